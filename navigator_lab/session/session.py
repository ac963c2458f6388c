"""A live session: a model, its samples, an engine, and everything learnt so far."""

from __future__ import annotations

import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..catalog import Catalog, Way
from ..engine.engine import Engine
from ..engine.forecast import Forecast
from ..engine.journal import Journal
from ..errors import RequestError, WorkspaceError
from ..plan import Route, Source, routes, wanted
from ..stages.package import Package
from ..types.event import Event, Finished, Started
from ..types.measure import BatchLimit
from ..types.plugin import Unavailable
from ..types.request import Request
from ..types.run import Run, Settled, TargetRun
from ..types.step import Step
from ..types.target import Target
from ..views.board import Board
from ..views.preview import Preview
from ..views.results import Results
from ..views.targets import Targets, TargetState
from . import packaging
from .asking import limits_of, request_of
from .configured import Configured
from .explored import Tolerances
from .following import myself
from .job import Job
from .merging import still_true
from .saving import save, write_run
from .studied import Studied

Listener = Callable[[Event], None]


class Session(Studied):
    """Made by `navigator_lab.explore`. See `run` for what it can do."""

    def __init__(
        self,
        run: Run,
        engine: Engine,
        source: Source,
        workspace: Path,
        capture_metric: Callable[[Any], Any],
    ) -> None:
        super().__init__(run, workspace)
        self.engine = engine
        self.source = source
        self.workspace = workspace
        self.board = Board()
        self.listeners: list[Listener] = []
        self.job: Job | None = None
        self.request: Request | None = None
        self._capture_metric = capture_metric
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(run.created))
        self.id = f"{stamp}-{run.name}-{uuid.uuid4().hex[:6]}"
        self._folder = workspace / "runs" / self.id
        self._journal = Journal(self._folder / "journal.jsonl")
        self._going: dict[str, Any] | None = None  # for who follows this from another process
        self._started: set[str] = set()
        self._steps: tuple[Step, ...] = ()
        self._finished: dict[str, Finished] = {}
        self._under_way: tuple[Sequence[Route], str] = ((), "")
        engine.listeners = [self._hear]
        self._lock = threading.Lock()

    @property
    def catalog(self) -> Catalog:
        return self.engine.catalog

    # what there is

    @property
    def targets(self) -> Targets:
        """Every target of the catalog, each available, or with the reason and remedy; then those
        with settings of their own that were asked for."""
        found = self._found(Request())
        known = {str(target) for target, _, _ in found}
        asked = [n for t in self.run_data.targets if (n := str(t.target)) not in known]
        if asked:
            found += self._found(Request(targets=tuple(asked)))
        return Targets(
            [
                TargetState(target, why, tuple(str(v) for _, v in way.edges) if way else ())
                for target, way, why in found
            ],
            dict(self.catalog.broken),
        )

    def _found(self, request: Request) -> list[tuple[Target, Way | None, Unavailable | None]]:
        engine, signature = self.engine, self.run_data.signature
        return wanted(
            request, self.catalog, self.source.variant, engine.host, engine.version, signature
        )

    # running

    def run(self, **wanted: Any) -> Results:
        """Settle targets, as far as a stage; what is still true is not done again.

        Args:
            formats, precisions, runners, devices: names; a target must match all that are given.
            targets: exact targets instead, as ``"onnx:fp16@ort-cpu"``; options in brackets make
                one of its own, as ``"torch:fp32@compile[channels_last=True]-cpu"``.
            until: ``"export"``, ``"convert"``, ``"correctness"``, ``"profile"`` (the default) or
                ``"verify"`` (the default where ``verify`` is given).
            tolerance: a `Tolerance`, or a dict of them by precision or output name. Given alone,
                it judges again and runs nothing.
            verify: the user's own metric: see `navigator_lab.stages.verify`.
            batches, max_batch, width, p99, seconds, …: how to time: see `navigator_lab.Load`.
            options: a dict from a format, runner or action to its options (a dict or dataclass).
            batch: the larger batch that answers are compared at.
            retry_failed: try again what failed last time with the same facts.
            timeout_s: of one step.
            memory_limit_bytes: of one worker.
            progress: True or False; by default a bar is drawn where stderr is a terminal.

        Raises:
            RequestError: a name or option that means nothing; before any work.
        """
        progress = wanted.pop("progress", None)
        if set(wanted) == {"tolerance"} and self.request is not None:
            self.tolerance = wanted["tolerance"]
            self._save()
            return self.results
        job = self.start(**wanted)
        from .progress import shown

        try:
            with shown(job, progress):
                return job.wait()
        except KeyboardInterrupt:
            job.cancel()
            job.wait()
            raise

    def start(self, **wanted: Any) -> Job:
        """The same as `run`, in the background: a `Job` at once.

        Raises:
            RequestError: as `run`; also when a run is under way.
        """
        if self.job is not None and not self.job.done:
            raise RequestError(
                "a run of this session is under way", "await it, or end it by lab.job.cancel()"
            )
        retry = bool(wanted.pop("retry_failed", False))
        limits = limits_of(self.engine.limits, wanted)
        request, chosen = self._plan(wanted)
        goals = tuple(g for r in chosen for g in r.goals(request.until))
        self.engine.limits = limits
        self.request = request
        self._steps = tuple(s for r in chosen for s in r.stages.values())
        self.board = Board(expected=self._expected(goals))
        self._started.clear()
        self._finished.clear()
        self._under_way = (chosen, request.until)
        self._merge(chosen, request.until)
        plan = {str(r.target): [[stage, str(step)] for stage, step in r.steps()] for r in chosen}
        self._going = {"plan": plan, **myself()}
        self._save()

        def work() -> None:
            try:
                self.engine.run(goals, run=self.id, retry_failed=retry)
            finally:
                self._journal.close()
                self._merge(chosen, request.until)
                self._going = None
                self._save()

        self.job = Job(work, lambda: self.results, self.engine.cancel, self.board, str(request))
        return self.job

    def preview(self, **wanted: Any) -> Preview:
        """What `run` with the same arguments would do: each step fresh, stale (and why) or
        unknown, with seconds and bytes from earlier runs. Runs nothing."""
        wanted.pop("retry_failed", None)
        wanted.pop("progress", None)
        limits_of(self.engine.limits, wanted)
        request, chosen = self._plan(wanted, keep=False)
        return Preview(self._forecast(chosen, request.until), len(chosen))

    def cancel(self) -> None:
        """End the run under way, if there is one."""
        if self.job is not None:
            self.job.cancel()

    def _forecast(self, chosen: Sequence[Route], until: str) -> list[Forecast]:
        return self.engine.preview(g for r in chosen for g in r.goals(until))

    def _expected(self, goals: tuple[Step, ...]) -> dict[str, float]:
        forecast = self.engine.preview(goals) if len(goals) < 2000 else []
        return {f.step: f.seconds for f in forecast if f.seconds is not None}

    def _plan(self, given: dict[str, Any], keep: bool = True) -> tuple[Request, tuple[Route, ...]]:
        given = dict(given)
        source = self.source
        if "tolerance" in given:
            tolerance: Tolerances = given.pop("tolerance")
            if keep:
                self.tolerance = tolerance
        metric = given.pop("verify", None)
        if metric is not None:
            source = dataclasses.replace(source, metric=self._capture_metric(metric))
            given.setdefault("until", "verify")
        request = request_of(given)
        if request.until == "verify" and source.metric is None:
            raise RequestError(
                "until='verify' needs the function that verifies",
                "lab.run(verify=function): (outputs, reference) -> bool, float or dict",
            )
        engine, signature = self.engine, self.run_data.signature
        chosen = routes(request, self.catalog, source, engine.host, engine.version, signature)
        if keep:
            self.source = source
        return request, chosen

    def _hear(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started.add(event.step)
        elif isinstance(event, Finished):
            self._finished[event.step] = event
        self._journal(event)
        self.board(event)
        for listener in tuple(self.listeners):
            listener(event)

    @property
    def results(self) -> Results:
        """A row a target; while a run is under way, with what it has settled so far."""
        if self.job is not None and not self.job.done:
            self._merge(*self._under_way)
        return super().results

    def _merge(self, chosen: Sequence[Route], until: str) -> None:
        """Take what is settled into the run; what an earlier request settled and is still so,
        stays."""
        with self._lock:  # a screen may ask while the run ends
            self._merged(chosen)

    def _merged(self, chosen: Sequence[Route]) -> None:
        known = {str(t.target): t for t in self.run_data.targets}
        for route in chosen:
            name = str(route.target)
            steps = []
            for stage, step in route.steps():
                done = self._finished.get(str(step))
                if done is not None:
                    ran = str(step) in self._started
                    steps.append(Settled(stage, str(step), done.outcome, done.key, done.log, ran))
            old = known.get(name)
            if old is not None:
                steps = still_true(old.steps, steps)
            new = TargetRun(route.target, route.unavailable, tuple(steps))
            known[name] = old if old == new else new  # what is the same is not judged again
        targets = tuple(known.values())
        if targets != self.run_data.targets:
            self.run_data = dataclasses.replace(self.run_data, targets=targets)

    def _save(self) -> None:
        write_run(self._folder, self.run_data, self.request, self.tolerance, self._going)

    # what to do with it

    def config(self, target: Any, **options: Any) -> Configured:
        """What `package` would write: the configuration, and where each value comes from.

        Args:
            target: its text form.
            options: as for `package`; ``config={…}`` changes fields of Triton's ``ModelConfig``.
        """
        made = packaging.packaged(
            self.engine, self.run_data, str(target), options, self._opening(target)
        )
        return Configured(self, str(target), made.read(Package), options)

    def package(self, target: Any, repository: str | Path, **options: Any) -> Path | str:
        """A target as an entry of a Triton repository: ``repository/name/config.pbtxt`` and files.

        Args:
            target: its text form.
            repository: a folder, made if it isn't there; or an fsspec URL, as ``s3://…``.
            name: of the model on the server; the session's name by default.
            version: a number from 1.
            overwrite: True replaces a version that is there.
            options: see `navigator_lab.stages.package.PackageOptions`.

        Raises:
            PackageError: it can't be written, or would overwrite.
        """
        return packaging.package(
            self.engine,
            self.run_data,
            str(target),
            repository,
            options,
            self._opening(target),
        )

    def find_batch(self, target: Any, **options: Any) -> BatchLimit:
        """The largest batch of a target that runs, and the largest that still gains throughput.

        Args:
            target: its text form.
            options: see `navigator_lab.stages.find_batch.FindBatchOptions`.
        """
        return packaging.find_batch(
            self.engine, self.run_data, str(target), options, self._opening(target)
        )

    def _opening(self, target: Any) -> Any:
        """How the target's runner was opened in the last run."""
        for step in self._steps:
            if step.run_options is not None and str(step.about) == str(target):
                return step.run_options
        return None

    def save(self, path: str | Path) -> Path:
        """The run as one ``.nav`` file: results, raw latencies and logs, readable without
        frameworks. No models and no samples are in it."""
        return save(self.run_data, self._folder, self.root, Path(path), self.tolerance)

    def close(self) -> None:
        """End the workers. The workspace keeps everything."""
        self.cancel()
        self.engine.close()
        self._journal.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["Session", "WorkspaceError", "request_of", "wanted"]
