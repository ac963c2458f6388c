"""A run of another process, while it runs and afterwards: read from its folder. Runs nothing.

``run.json`` says what is asked, by whom and of which targets; the journal beside it what became of
each step. So a page that was reloaded, a second kernel or a later day sees the same run.
"""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil

from ..errors import PackageError, RequestError, WorkspaceError, unknown
from ..types.codec import decode
from ..types.event import Event, Finished, Planned, Started
from ..types.request import Request
from ..types.run import Run, Settled, TargetRun
from ..types.target import Target
from ..views.board import Board
from ..views.results import Results
from ..views.targets import Targets, TargetState
from .explored import Explored, Tolerances
from .saving import read_run

_STAMP = re.compile(r"[\w.-]+")
_LOOK_S = 0.25  # at most this often
_ASIDE = ("package ", "find_batch ", "replay ")  # what a session does beside a run
_NAMED = 20  # runs that are named where one isn't found


class FollowedJob:
    """The run under way in the other process, as far as its journal tells."""

    def __init__(
        self, board: Board, look: Callable[[], Any], results: Callable[[], Results]
    ) -> None:
        self.board = board
        self.over = False
        self.error: Exception | None = None
        self._look, self._results = look, results
        self._looked = time.monotonic()

    @property
    def done(self) -> bool:
        if not self.over and time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            self._look()
        return self.over

    @property
    def results(self) -> Results:
        """What is known so far."""
        return self._results()

    def wait(self, timeout_s: float | None = None) -> Results:
        """The results, once it is done.

        Raises:
            TimeoutError: it isn't done within ``timeout_s``; it goes on.
            RequestError: the kernel that ran it is gone.
        """
        began = time.monotonic()
        while not self.done:
            if timeout_s is not None and time.monotonic() - began > timeout_s:
                raise TimeoutError(f"not done after {timeout_s} s; it goes on in its kernel")
            time.sleep(_LOOK_S / 2)
        if self.error is not None:
            raise self.error
        return self._results()

    def cancel(self) -> NoReturn:
        """Refused: only the kernel that runs it can."""
        raise RequestError("this run is another kernel's", "cancel it there: %navigator cancel")

    def __repr__(self) -> str:
        if self.error is not None:
            return f"job ended: {self.error}"
        state = "done" if self.over else "running in another kernel"
        return f"job {state}: {self.board.settled} of {len(self.board.steps)} steps settled"


class Followed(Explored):
    """Made by `attach`. `poll` reads what is new; results, choices and logs are as of then."""

    def __init__(self, run: Run, root: Path, tolerance: Tolerances = None) -> None:
        super().__init__(run, root, tolerance)
        self.id = ""
        self.board = Board()
        self.listeners: list[Callable[[Event], None]] = []
        self.finished: dict[str, Finished] = {}
        self.request: Request | None = None
        self.job = self._job()
        self._folder = root
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None  # of run.json: what it was when it was read
        self._at = 0  # how far the journal is read
        self._aside = False
        self._by: dict[str, Any] | None = None  # the process that runs it
        self._plan: dict[str, list[list[str]]] = {}
        self._started: set[str] = set()

    def _job(self) -> FollowedJob:
        return FollowedJob(self.board, self.poll, lambda: self.results)

    def follow(self, folder: Path) -> None:
        """Read from this folder from now on."""
        self._folder, self.id = folder, folder.name
        self.poll()

    @property
    def targets(self) -> Targets:
        """The targets that the run knows, each available, or with the reason and remedy."""
        made = []
        for one in self.run_data.targets:
            labels = [label for _, label in self._plan.get(str(one.target), [])]
            labels = labels or [step.label for step in one.steps]
            way = tuple(la.removeprefix("build ") for la in labels if la.startswith("build "))
            made.append(TargetState(one.target, one.unavailable, way))
        return Targets(made, {})

    def poll(self) -> bool:
        """Take in what was written since; whether that was anything.

        Raises:
            WorkspaceError, PackageError: the folder is gone, or what it holds is damaged.
        """
        with self._lock:
            # run.json first: what the journal says of a run that it names under way comes after.
            moved = self._said()
            moved = self._journal() or moved
            if not self.job.over and not self._alive():
                # It may have ended well since run.json was read.
                self._said()
                if not self.job.over:
                    self.job.error = RequestError(
                        "the kernel that ran this is gone",
                        "open the model again and run: what was finished is not done again",
                    )
                    self.job.over = True
                moved = True
            if moved and self._plan:
                self._merge()
            return moved

    def _said(self) -> bool:
        """What run.json says: all that was settled before, and what is under way."""
        file = self._folder / "run.json"
        try:
            stat = file.stat()
            now = (stat.st_mtime_ns, stat.st_size)
            if now == self._seen:
                return False
            said = json.loads(file.read_bytes())
            self.run_data = read_run(file, self.root, Explored).run_data
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"the run {self.id} can't be read any more: {error}") from error
        self._seen = now
        self._by = said.get("under_way")
        self._plan = self._by["plan"] if self._by else {}
        if until := said.get("until"):
            self.request = Request(until=until)
        if self._by and self.job.over:  # another one began
            self.job = self._job()
        elif not self._by:
            self.job.over = True
        return True

    def _journal(self) -> bool:
        try:
            with (self._folder / "journal.jsonl").open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return False
        whole = data[: data.rfind(b"\n") + 1]  # a line that is being written is read next time
        self._at += len(whole)
        for line in whole.splitlines():
            try:
                event: Any = decode(Event, json.loads(line))
            except ValueError:  # torn by a kill, then written on
                continue
            self._hear(event)
        return bool(whole)

    def _hear(self, event: Any) -> None:
        match event:
            case Planned(_, steps, _):
                self._aside = any(step.startswith(_ASIDE) for step in steps)
                for step in steps:
                    self.finished.pop(step, None)
                    self._started.discard(step)
            case Started(step, _, _):
                self._started.add(step)
            case Finished(step, _, _, _, _):
                self.finished[step] = event
        if not self._aside:
            self.board(event)
            for listener in tuple(self.listeners):
                listener(event)

    def _merge(self) -> None:
        """The targets that are under way, with what is settled of them so far."""
        made = []
        for one in self.run_data.targets:
            plan = self._plan.get(str(one.target))
            if plan is None:
                made.append(one)
                continue
            steps = []
            for stage, label in plan:
                done = self.finished.get(label)
                if done is not None:
                    ran = label in self._started
                    steps.append(Settled(stage, label, done.outcome, done.key, done.log, ran))
            new = TargetRun(one.target, one.unavailable, tuple(steps))
            made.append(one if one == new else new)  # what is the same is not judged again
        self.run_data = dataclasses.replace(self.run_data, targets=tuple(made))

    def cancel(self) -> None:
        """Refused: only the kernel that runs it can."""
        self.job.cancel()

    def package(self, target: str | Target, repository: str | Path, **options: Any) -> Path:
        """Refused: that needs the model's own session."""
        raise PackageError(
            "this run is another kernel's: its results are here, its engine is not",
            "package it there, or open the model again with nav.explore(...): nothing is rebuilt",
        )

    def _alive(self) -> bool:
        by = self._by or {}
        try:
            return bool(abs(psutil.Process(by["pid"]).create_time() - by["began"]) < 1)
        except (psutil.Error, KeyError):
            return False


def attach(id: str, workspace: str | Path | None = None) -> Followed:
    """A run by its id, of this kernel or another, under way or finished: results as they come.

    Args:
        id: what `Session.id` says; a folder of the workspace's ``runs``.
        workspace: the folder that keeps all results; ``./navigator_workspace`` by default.

    Raises:
        RequestError: there is no such run.
        PackageError, WorkspaceError: what is there can't be read.
    """
    from .opening import WORKSPACE

    root = Path(workspace or WORKSPACE).expanduser().absolute()
    known = {p.parent.name: p for p in (root / "runs").glob("*/run.json")}
    if not _STAMP.fullmatch(id) or id not in known:
        if not known:
            raise RequestError(
                f"there is no run in the workspace {root}",
                "start the notebook in the folder where the run was started",
            )
        newest = sorted(known, key=lambda name: known[name].stat().st_mtime)
        raise unknown("run", id, newest[-_NAMED:])
    made = read_run(known[id], root, Followed)
    made.follow(known[id].parent)
    return made


def myself() -> dict[str, Any]:
    """How another process knows this one."""
    me = psutil.Process()
    return {"pid": me.pid, "began": me.create_time()}
