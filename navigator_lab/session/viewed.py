"""One target of a run, and a choice: what is read of them. Runs nothing by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..choose import Choice
from ..errors import PackageError, unknown
from ..types.measure import Accuracy, Timing, Verdict
from ..types.outcome import Done, Outcome
from ..types.run import Row, Settled, TargetRun
from ..types.target import Target
from ..views.rows import row

if TYPE_CHECKING:
    from .explored import Explored


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
        found: Accuracy | None = self._value("correctness", Accuracy)
        return found

    @property
    def verdict(self) -> Verdict | None:
        """The accuracy under the tolerance as it is now."""
        accuracy = self.accuracy
        return None if accuracy is None else self._explored._judge(self.target, accuracy)

    @property
    def timing(self) -> Timing | None:
        """What the profile found; None if it wasn't done."""
        found: Timing | None = self._value("profile", Timing)
        return found

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
        if one.unavailable is not None and not one.steps:
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
        if one.unavailable is not None:
            lines.append(f"  {'not run':<12}{one.unavailable.reason}")
        lines += [f"  {'note':<12}{' '.join(note.split())[:300]}" for note in self.row.notes]
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
