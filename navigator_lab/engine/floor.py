"""The shop floor: which piece of work has which worker, and when. No store, no outcome in here.

Builds share ``slots`` workers. So does what measures, until it asks for its first turn (`At.turn`):
to import and to open a model is no measurement. From there on it runs when nothing else does,
several candidates open at once and one after the other: at each turn the one is stopped (SIGSTOP:
its threads spin for nobody) and the next goes on, so that a drift of the machine hits all alike.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..types.outcome import Failure, Product
from ..types.plugin import Action
from ..types.step import Step
from .wall import Wall

Hear = Callable[[Wall, dict[str, Any]], None]
_WATCH_S = 0.25
_RETIRE_BYTES = 3 << 30  # a warm worker that holds more than this after a job is replaced


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the machine a run may use."""

    slots: int = 2  # builds at once
    together: int = 6  # measured candidates open at once
    memory_bytes: int = 0  # of one worker; 0: no limit
    timeout_s: float | None = None  # of one step; None: what its action says, or half an hour


@dataclass(eq=False)
class Work:
    """A step that has to be done: what the engine knows of it, and what the floor makes of it."""

    step: Step
    action: Action
    key: str
    facts: dict[str, Any]
    claim: int
    inputs: dict[str, Product]
    why: tuple[str, ...]
    python: str
    fresh: bool  # it, or a runner it uses, wants a process of its own
    timeout_s: float  # counts only the time in which it may run
    folder: Path  # of its job and log
    apart: str = ""  # it shares workers with work of the same word only
    out: Path | None = None
    wall: Wall | None = None
    stage: str = "queued"  # queued, running, waiting (for its turn to measure), over
    killed: Failure | None = None
    _resumed: float = 0.0
    _spent_s: float = field(default=0.0)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def spent(self) -> float:
        """Seconds in which it ran, the time it was stopped left out."""
        return self._spent_s + (time.monotonic() - self._resumed if self.stage == "running" else 0)

    def runs(self) -> None:
        self.stage, self._resumed = "running", time.monotonic()

    def halts(self, stage: str) -> None:
        self._spent_s, self.stage = self.spent(), stage


class Floor:
    """Lays work on the machine. ``hear`` gets every worker's messages, on threads of theirs."""

    def __init__(self, limits: Limits, hear: Hear) -> None:
        self.limits = limits
        self._hear = hear
        self._builds: deque[Work] = deque()
        self._measures: deque[Work] = deque()
        self._active: dict[Wall, Work] = {}
        self._waiting: deque[Work] = deque()  # measured ones, for their turn
        self._holder: Work | None = None  # whose turn it is
        self._idle: list[Wall] = []
        self._watched = 0.0

    def queue(self, work: Work) -> None:
        """It waits for a worker."""
        (self._measures if work.action.measures else self._builds).append(work)

    @property
    def busy(self) -> bool:
        return bool(self._active or self._builds or self._measures)

    def whose(self, wall: Wall, message: dict[str, Any]) -> Work | None:
        """The work that a message is about; None for one of an idle worker."""
        work = self._active.get(wall)
        if work is None and "ended" in message and wall in self._idle:
            self._idle.remove(wall)
        return work

    def dispatch(self, start: Callable[[Work, Wall], None]) -> None:
        """Give waiting work to workers: builds first, then what measures, then turns."""
        if self._holder is not None:
            return
        working = sum(w.stage == "running" for w in self._active.values())
        opened = sum(w.action.measures for w in self._active.values())
        while working < self.limits.slots:
            if self._builds:
                work = self._builds.popleft()
            elif self._measures and opened < self.limits.together:
                work = self._measures.popleft()
                opened += 1
            else:
                break
            work.wall = self._worker(work)
            self._active[work.wall] = work
            work.runs()
            start(work, work.wall)
            working += 1
        if working or not self._waiting:
            return
        work = self._holder = self._waiting.popleft()
        assert work.wall is not None
        self._quiet(True)
        work.wall.resume()
        work.runs()
        work.wall.send({"go": True})

    def turn(self, work: Work) -> None:
        """It asks for the machine, or offers it to others."""
        assert work.wall is not None
        if self._holder is work:
            if not (self._waiting or self._builds or self._measures):
                work.wall.send({"go": True})
                return
            self._holder = None
        work.halts("waiting")
        work.wall.stop()
        self._waiting.append(work)

    def release(self, work: Work, *, reuse: bool) -> None:
        """It is over; its worker is kept warm if it may be."""
        wall = work.wall
        assert wall is not None
        work.halts("over")
        self._active.pop(wall, None)
        if self._holder is work:
            self._holder = None
            if not self._waiting:
                self._quiet(False)
        with contextlib.suppress(ValueError):
            self._waiting.remove(work)
        alike = sum(_alike(one, work) for one in self._idle)
        spare = alike < self.limits.slots and not work.fresh
        if reuse and spare and wall.memory_bytes(family=False) < _RETIRE_BYTES:
            self._idle.append(wall)
        else:
            wall.close()

    def watch(self) -> bool:
        """Kill what has used up its time or its memory; False if it is too early to look again."""
        if time.monotonic() - self._watched <= _WATCH_S:
            return False
        self._watched = time.monotonic()
        for wall, work in self._active.items():
            if work.stage == "running" and not work.killed:
                work.killed = self._over(wall, work)
                if work.killed:
                    wall.kill()
        return True

    def _over(self, wall: Wall, work: Work) -> Failure | None:
        if work.spent() > work.timeout_s:
            return Failure(
                "TimedOut", f"no answer within {work.timeout_s:g} s; the worker was ended",
                "give it more time (timeout_s=…), or leave this target out", "", lasting=False)  # fmt: skip
        limit = self.limits.memory_bytes
        if limit and wall.memory_bytes(not work.action.measures) > limit:
            return Failure(
                "MemoryLimit", f"the worker used more than {limit / 2**30:.1f} GiB; it was ended",
                "raise memory_limit_bytes, use a smaller batch, or leave this target out", "",
                lasting=False)  # fmt: skip
        return None

    def kill(self) -> None:
        """End all that runs, at once."""
        for wall in list(self._active):
            wall.kill()

    def clear(self) -> list[Work]:
        """End and forget everything; what was not over."""
        self.kill()
        left = [*self._active.values(), *self._builds, *self._measures]
        for line in (self._active, self._builds, self._measures, self._waiting):
            line.clear()
        self._holder = None
        self._quiet(False)
        return left

    def close(self) -> None:
        """End the warm workers."""
        for wall in self._idle:
            wall.close()
        self._idle.clear()

    def _worker(self, work: Work) -> Wall:
        if not work.fresh:
            for wall in self._idle:
                if _alike(wall, work) and wall.alive:
                    self._idle.remove(wall)
                    if wall.stopped:
                        wall.resume()
                    return wall
        wall = Wall(self._hear, work.log, work.python, sharing=not work.action.measures)
        wall.apart = work.apart
        return wall

    def _quiet(self, wanted: bool) -> None:
        """While something is measured, idle workers are stopped: their thread pools may spin."""
        for wall in self._idle:
            if wanted and not wall.stopped:
                wall.stop()
            elif not wanted and wall.stopped:
                wall.resume()


def _alike(wall: Wall, work: Work) -> bool:
    """Is it a worker for this work: the same interpreter, and nothing in it that may not be there?"""
    return wall.python == work.python and wall.apart == work.apart
