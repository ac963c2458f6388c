"""Which rows may be chosen at all, and which of their batch sizes keep the limits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import unknown
from ..types.target import Target

Facts = Mapping[str, Any]
_LIMITS = ("p50_ms", "p95_ms", "p99_ms", "memory_bytes", "size_bytes", "error", "min_throughput")


@dataclass(frozen=True, slots=True)
class Point:
    """A target at a batch size (None: it was not profiled, and need not be)."""

    row: Facts
    given: Any  # the row as it came
    batch: Facts | None

    @property
    def target(self) -> str:
        return str(self.row["target"])

    @property
    def size(self) -> int | None:
        return int(self.batch["batch"]) if self.batch else None


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound: the name of what is bounded, how it is read, and from which side."""

    name: str
    bound: float
    read: Callable[[Point], float | None]
    least: bool = False  # a lower bound

    def excess(self, value: float) -> float:
        """How far a value is on the wrong side, as a share of the bound; 0 if it keeps it."""
        over = self.bound - value if self.least else value - self.bound
        if over <= 0:
            return 0.0
        return over / abs(self.bound) if self.bound and math.isfinite(over) else math.inf

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.least else '<='} {self.bound:g}"


def candidates(
    rows: list[Any],
    formats: Sequence[str] | None,
    runners: Sequence[str] | None,
    targets: Sequence[str] | None,
) -> tuple[list[Point], list[tuple[str, str]]]:
    """What may be chosen, a point for each batch size, and who is left out with the reason.

    Raises:
        RequestError: a format, runner or target that no row has.
    """
    facts = [(_facts(row), row) for row in rows]
    wanted = {"format": formats, "runner": runners, "target": targets}
    for key, names in wanted.items():
        known = dict.fromkeys(_part(row, key) for row, _ in facts)
        for name in names or ():
            if name not in known:
                raise unknown(key, name, known)
    points: list[Point] = []
    left_out: list[tuple[str, str]] = []
    for row, given in facts:
        why = next(
            (
                f"its {key} is not among those asked for"
                for key, names in wanted.items()
                if names is not None and _part(row, key) not in names
            ),
            "",
        )
        if why := why or _unfit(row):
            left_out.append((str(row["target"]), why))
            continue
        points += [Point(row, given, one) for one in row.get("batches") or [None]]
    return points, left_out


def _facts(row: Any) -> Facts:
    if isinstance(row, Mapping):
        return row
    return {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}


def _part(row: Facts, key: str) -> str:
    """Format, runner or target of a row; rows without the column have it in the target's text."""
    if key in row:
        return str(row[key])
    target = Target.parse(str(row["target"]))
    return target.format if key == "format" else target.runner


def _unfit(row: Facts) -> str:
    """Why a row may never be chosen; "" if it may."""
    said = f": {row['reason']}" if row.get("reason") else ""
    status = row.get("status", "done")
    if status != "done":
        return f"{status}{said}"
    if row.get("within_tolerance") is False:
        return f"it is not within the tolerance{said}"
    if row.get("verified") is False:
        return f"it failed the verification{said}"
    if row.get("passed") is False:
        return f"it did not pass{said}"
    if row.get("passed") is None:
        return "it was never compared with the reference: run it until correctness"
    return ""


def check_metrics(points: list[Point], metrics: Mapping[str, float]) -> None:
    """Raises RequestError for a limit that is no metric of any row."""
    known = dict.fromkeys(k for p in points for k in p.row.get("metrics") or {})
    for name in metrics:
        if points and name not in known:
            raise unknown("limit or metric", name, [*known, *_LIMITS])


def at_batch(points: list[Point], left_out: list[tuple[str, str]], batch: int) -> list[Point]:
    """The points at one batch size; who was not measured there is left out."""
    kept = [p for p in points if p.size == batch]
    have = {p.target for p in kept}
    for target in dict.fromkeys(p.target for p in points):
        if target not in have:
            left_out.append((target, f"it was not measured at batch {batch}"))
    return kept


def within(
    points: list[Point], limits: list[Limit]
) -> tuple[list[Point], dict[str, tuple[float, str]]]:
    """The points that keep all limits; of every other target its nearest miss, in words."""
    kept: list[Point] = []
    misses: dict[str, tuple[float, str]] = {}
    for point in points:
        worst, said = 0.0, []
        for limit in limits:
            value = limit.read(point)
            if value is None or math.isnan(value):
                worst = math.inf
                said.append(f"{limit} can't be told: it was not measured")
            elif excess := limit.excess(value):
                worst = max(worst, excess)
                said.append(f"misses {limit} by {excess:.1%} ({value:.4g}{where(point)})")
        if not said:
            kept.append(point)
        elif point.target not in misses or worst < misses[point.target][0]:
            misses[point.target] = (worst, "; ".join(said))
    survivors = {p.target for p in kept}
    return kept, {t: miss for t, miss in misses.items() if t not in survivors}


def of_batch(name: str) -> Callable[[Point], float | None]:
    """Reads a measurement of a batch size."""
    return lambda point: None if point.batch is None else point.batch.get(name)


def metric_of(name: str) -> Callable[[Point], float | None]:
    """Reads a metric of the user's own."""
    return lambda point: (point.row.get("metrics") or {}).get(name)


def memory_of(point: Point) -> float | None:
    """The device's peak on a GPU, else the host's; None if it was not measured."""
    on_gpu = "cuda" in point.target.rpartition("@")[2]
    value = point.row.get("device_peak_bytes" if on_gpu else "host_peak_bytes")
    return None if value is None else float(value)


def latency_of(point: Point) -> float:
    """The p50 in ms; infinite if it was not measured."""
    return float(point.batch["p50_ms"]) if point.batch else math.inf


def where(point: Point) -> str:
    """The batch size, for a sentence."""
    return f" at batch {point.size}" if point.size else ""
