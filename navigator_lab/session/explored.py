"""What can be read from a run, live or loaded: results, one target, a choice. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..choose import Choice, choose, pareto_front
from ..errors import PackageError, RequestError, unknown
from ..stages.judge import DEFAULTS, judge
from ..types.measure import Accuracy, Timing, Tolerance, Verdict
from ..types.outcome import Done, Outcome
from ..types.run import Row, Run, Settled, TargetRun
from ..types.target import Precision, Target
from ..views.results import Results
from ..views.rows import row, rows
from .observed import Observed

Tolerances = Tolerance | Mapping[str, Tolerance] | None


class Explored(Observed):
    """A run and the tolerance that it is judged by."""

    def __init__(self, run: Run, root: Path, tolerance: Tolerances = None) -> None:
        super().__init__()
        self.run_data = run
        self.root = root  # where logs lie: the workspace, or an unpacked .nav
        self._tolerance: Tolerances = None
        self.tolerance = tolerance

    @property
    def name(self) -> str:
        return self.run_data.name

    @property
    def signature(self) -> Any:
        return self.run_data.signature

    @property
    def notes(self) -> tuple[str, ...]:
        return self.run_data.notes

    @property
    def tolerance(self) -> Tolerances:
        """None: the defaults by precision. Else one for all, or a dict by precision or output."""
        return self._tolerance

    @tolerance.setter
    def tolerance(self, wanted: Tolerances) -> None:
        outputs = [spec.name for spec in self.run_data.signature.outputs]
        if isinstance(wanted, Mapping):
            for name, one in wanted.items():
                if name not in outputs and name not in list(Precision):
                    raise unknown("output or precision", name, [*outputs, *Precision])
                _valid(one)
        elif wanted is not None:
            _valid(wanted)
        old, self._tolerance = self._tolerance, wanted
        self._tell("tolerance", old, wanted)

    def _judge(self, target: Target, accuracy: Accuracy) -> Verdict:
        default = DEFAULTS[target.precision]
        wanted = self._tolerance
        if wanted is None:
            return judge(accuracy, default)
        if isinstance(wanted, Tolerance):
            return judge(accuracy, wanted)
        # Only outputs that were named: ints and bools of the others must be equal.
        named = {o.name: wanted[o.name] for o in accuracy.outputs if o.name in wanted}
        return judge(accuracy, named, wanted.get(str(target.precision), default))

    @property
    def results(self) -> Results:
        """A row a target, judged by the tolerance as it is now."""
        made = rows(self.run_data, self._judge)
        return Results(made, self.name, self.run_data.reference)

    def __getitem__(self, target: str | Target) -> TargetView:
        name = str(target)
        for one in self.run_data.targets:
            if str(one.target) == name:
                return TargetView(self, one)
        raise unknown("target of this run", name, [str(t.target) for t in self.run_data.targets])

    def choose(self, objective: Any = "throughput", **limits: Any) -> Best:
        """The best target for an objective under limits: see `navigator_lab.choose.choose`.

        Raises:
            NothingToChoose: no target satisfies the limits; it names the nearest misses.
        """
        self._settled()
        return Best(self, choose(self.results, objective, **limits), limits.get("p99_ms"))

    def front(self, x: str = "p50_ms", y: str = "throughput") -> list[tuple[str, int | None]]:
        """The (target, batch) pairs that no other beats in both: the Pareto front."""
        return pareto_front(self.results, x, y)

    def why(self, target: str | Target) -> str:
        """What each step of a target did, and why."""
        return self[target].why()

    def _settled(self) -> None:
        if not self.run_data.targets:
            raise RequestError("nothing was run yet", "lab.run(...) first")

    def package(self, target: str | Target, repository: str | Path, **options: Any) -> Path | str:
        """A Triton repository entry of a target. Only a session whose store is at hand can."""
        raise PackageError(
            "this run was loaded from a file, which holds results and no models",
            "open the model again with nav.explore(...), in the same workspace nothing is rebuilt",
        )

    def config(self, target: str | Target, **options: Any) -> Any:
        """What `package` would write. Only a session whose store is at hand can say."""
        return self.package(target, "", **options)

    def serve(self, target: Any = None, repository: str | Path | None = None, **how: Any) -> Any:
        """A target on a live server. Only a session whose store is at hand can."""
        raise PackageError(
            "this run was loaded from a file, which holds results and no models to serve",
            "open the model again with nav.explore(...), or navigator-lab replay REPO of an export",
        )

    def __repr__(self) -> str:
        from ..types.signature import TensorSpec

        def words(spec: TensorSpec) -> str:
            return f"{spec.name} {spec.dtype}[{', '.join(map(str, spec.shape))}]"

        run = self.run_data
        lines = [f"{run.name}: {run.model}"]
        lines.append("  in   " + "; ".join(words(s) for s in run.signature.inputs))
        lines.append("  out  " + "; ".join(words(s) for s in run.signature.outputs))
        lines += [f"  note {note}" for note in run.notes]
        made = [r for r in self.results if r.status == "done"]
        lines.append(f"  {len(made)} of {len(run.targets)} targets done" if run.targets
                     else "  nothing run yet: lab.targets shows what can be, lab.run(...) runs it")  # fmt: skip
        return "\n".join(lines)


class TargetView:
    """One target of a run: its outcomes, accuracy, timing, files and logs."""

    def __init__(self, explored: Explored, run: TargetRun) -> None:
        self._explored = explored
        self._run = run

    @property
    def target(self) -> Target:
        return self._run.target

    @property
    def row(self) -> Row:
        return row(self._run, self._explored._judge)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Outcome by stage."""
        return {step.stage: step.outcome for step in self._run.steps}

    @property
    def steps(self) -> tuple[Settled, ...]:
        return self._run.steps

    @property
    def accuracy(self) -> Accuracy | None:
        """What the comparison found; None if it wasn't done."""
        return self._value("correctness", Accuracy)

    @property
    def verdict(self) -> Verdict | None:
        """The accuracy under the tolerance as it is now."""
        accuracy = self.accuracy
        return None if accuracy is None else self._explored._judge(self.target, accuracy)

    @property
    def timing(self) -> Timing | None:
        """What the profile found; None if it wasn't done."""
        return self._value("profile", Timing)

    def _value(self, stage: str, cls: type[Any]) -> Any:
        outcome = self._run.outcome(stage)
        return outcome.product.read(cls) if isinstance(outcome, Done) else None

    @property
    def latencies_ns(self) -> dict[int, Any]:
        """Raw latencies by batch size: arrays of nanoseconds, one element a call."""
        import numpy as np

        outcome = self._run.outcome("profile")
        if not isinstance(outcome, Done):
            return {}
        path = outcome.product.path / "latency_ns.npz"
        if not path.is_file():
            raise PackageError(
                f"the raw latencies are not at {path}", "open the session in its workspace"
            )
        with np.load(path, allow_pickle=False) as file:
            return {int(name): file[name] for name in file.files if name.isdigit()}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the built model."""
        return tuple(Path(name) for name in self.row.files)

    @property
    def logs(self) -> dict[str, str]:
        """What each step printed, by stage."""
        return {step.stage: self.log(step.stage) for step in self._run.steps}

    def log(self, stage: str) -> str:
        """What the step of a stage printed, with the trace of its error if it failed."""
        found = [s for s in self._run.steps if s.stage == stage]
        if not found:
            raise unknown("stage of this target", stage, [s.stage for s in self._run.steps])
        step, text = found[-1], ""
        path = self._explored.root / step.log
        if step.log and path.is_file():
            text = path.read_text(errors="replace")
        failure = getattr(step.outcome, "failure", None)
        return text + (failure.trace if failure else "")

    @property
    def reproduce(self) -> dict[str, str]:
        """By stage, the line that does the step again, in the foreground."""
        made = {}
        for step in self._run.steps:
            job = self._explored.root / Path(step.log).with_name("job.json") if step.log else None
            if job is not None and job.is_file():
                made[step.stage] = f"python -m navigator_lab.engine.worker --job {job}"
        return made

    def why(self) -> str:
        """What each step did and why, in words."""
        one = self._run
        if one.unavailable is not None:
            remedy = f"\n  remedy: {one.unavailable.remedy}" if one.unavailable.remedy else ""
            return f"{one.target}: not available: {one.unavailable.reason}{remedy}"
        lines = [str(one.target)]
        for step in one.steps:
            outcome = step.outcome
            head = f"  {step.stage:<12}{step.label:<44}"
            if isinstance(outcome, Done):
                if step.ran:
                    lines.append(f"{head} ran {outcome.seconds:.2f} s because: {outcome.reason}")
                else:
                    lines.append(f"{head} from the store (took {outcome.seconds:.2f} s then)")
            else:
                word = type(outcome).__name__.lower()
                lines.append(f"{head} {word}: {outcome.reason}")
                remedy = getattr(outcome, "remedy", "") or getattr(
                    getattr(outcome, "failure", None), "remedy", ""
                )
                if remedy:
                    lines.append(f"  {'':<12}remedy: {remedy}")
        verdict = self.verdict
        if verdict is not None:
            lines.append(
                f"  {'verdict':<12}{'passed' if verdict.passed else 'failed'}: {verdict.reason}"
            )
        return "\n".join(lines)

    def config(self, **options: Any) -> Any:
        """What `package` would write, and where each value comes from: see `Session.config`."""
        return self._explored.config(self.target, **options)

    def package(self, repository: str | Path, **options: Any) -> Path | str:
        """This target as an entry of a Triton repository: see `Session.package`."""
        return self._explored.package(self.target, repository, **options)

    def __repr__(self) -> str:
        return self.why()


class Best:
    """A choice, and what can be done with it."""

    def __init__(self, explored: Explored, choice: Choice, p99_ms: float | None = None) -> None:
        self._explored = explored
        self.choice = choice
        self._limit = {"p99_ms": p99_ms} if p99_ms else {}  # sizes keep what it was chosen by

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "choice":
            raise AttributeError(name)
        return getattr(self.choice, name)

    @property
    def view(self) -> TargetView:
        """The chosen target in full."""
        return self._explored[self.choice.target]

    def config(self, **options: Any) -> Any:
        """What `package` would write, and where each value comes from: see `Session.config`."""
        return self._explored.config(self.choice.target, **{**self._limit, **options})

    def package(self, repository: str | Path, **options: Any) -> Path | str:
        """The chosen target as an entry of a Triton repository: see `Session.package`."""
        options = {**self._limit, **options}
        return self._explored.package(self.choice.target, repository, **options)

    def __repr__(self) -> str:
        from ..views.choice import told

        return told(self.choice)


def _valid(wanted: Any) -> None:
    if not isinstance(wanted, Tolerance):
        raise RequestError(
            f"{wanted!r} is no tolerance", "nav.Tolerance(relative=1e-3, absolute=1e-5)"
        )
    for name in ("relative", "absolute", "spread", "sqnr_db"):
        value = getattr(wanted, name)
        if not isinstance(value, int | float) or not value >= 0:
            raise RequestError(f"{name}={value!r} in a tolerance must be a number of 0 or more")
