"""What can be read from a run, live or loaded: results, one target, a choice. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..choose import choose, pareto_front
from ..errors import PackageError, RequestError, unknown
from ..stages.judge import DEFAULTS, held_to, judge
from ..types.measure import Accuracy, OutputAccuracy, Tolerance, Verdict
from ..types.run import Row, Run, TargetRun
from ..types.target import Precision, Target
from ..views import mixer
from ..views.results import Results
from ..views.rows import row
from .observed import Observed
from .viewed import Best, TargetView

Tolerances = Tolerance | Mapping[str, Tolerance] | None


@dataclass(frozen=True)
class _Judged:
    """The last results and what they were made of: what is still so is not judged again."""

    run: Run | None = None
    by: Any = None
    rows: dict[Target, tuple[TargetRun, Row]] = field(default_factory=dict)
    results: Results | None = None


class Explored(Observed):
    """A run and the tolerance that it is judged by."""

    def __init__(self, run: Run, root: Path, tolerance: Tolerances = None) -> None:
        super().__init__()
        self.run_data = run
        self.root = root  # where logs lie: the workspace, or an unpacked .nav
        self._tolerance: Tolerances = None
        self._judged = _Judged()
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

    def asked(
        self, target: Target, outputs: Iterable[OutputAccuracy] = ()
    ) -> tuple[Tolerance, dict[str, tuple[Tolerance, bool]]]:
        """What a target is held to: of outputs at large; and of each of these, where that is
        something else, with whether the user asked it of the output by name."""
        named, default = self._asked(target)
        own = {}
        for one in outputs:
            limit = held_to(one, named, default)
            if one.name in named or limit != default:
                own[one.name] = (limit, one.name in named)
        return default, own

    def _asked(self, target: Target) -> tuple[dict[str, Tolerance], Tolerance]:
        default, wanted = DEFAULTS[target.precision], self._tolerance
        if isinstance(wanted, Tolerance):
            return {}, wanted
        if wanted is None:
            return {}, default
        outputs = [spec.name for spec in self.run_data.signature.outputs]
        named = {name: wanted[name] for name in outputs if name in wanted}
        return named, wanted.get(str(target.precision), default)

    def _judge(self, target: Target, accuracy: Accuracy) -> Verdict:
        named, default = self._asked(target)
        # Only outputs that were named: ints and bools of the others must be equal.
        own = {one.name: named[one.name] for one in accuracy.outputs if one.name in named}
        return judge(accuracy, own or default, default)

    @property
    def results(self) -> Results:
        """A row a target, judged by the tolerance as it is now."""
        run, wanted = self.run_data, self._tolerance
        # A dict of the user's may have been changed in place since.
        by = tuple(sorted(wanted.items())) if isinstance(wanted, Mapping) else wanted
        last = self._judged
        if last.results is not None and last.run is run and last.by == by:
            return last.results
        same = last.rows if last.by == by else {}
        made = []
        for one in run.targets:
            known = same.get(one.target)
            made.append(known[1] if known and known[0] is one else row(one, self._judge))
        rows = {one.target: (one, its) for one, its in zip(run.targets, made, strict=True)}
        results = Results(made, run.name, run.reference)
        self._judged = _Judged(run, by, rows, results)
        return results

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

    def mixed(self, target: str | Target, batch: int | None = None) -> Any:
        """The settings of the precision mixer that were run for a target: see `Session.mix`."""
        return mixer.info(self, str(target), batch)

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


def _valid(wanted: Any) -> None:
    if not isinstance(wanted, Tolerance):
        raise RequestError(
            f"{wanted!r} is no tolerance", "nav.Tolerance(relative=1e-3, absolute=1e-5)"
        )
    for name in ("relative", "absolute", "spread", "sqnr_db"):
        value = getattr(wanted, name)
        if not isinstance(value, int | float) or not value >= 0:
            raise RequestError(f"{name}={value!r} in a tolerance must be a number of 0 or more")
