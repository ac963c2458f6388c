"""Results + objective + limits -> Choice. Pure: rows go in, a target comes out and says why.

A row is a `navigator_lab.types.run.Row` or a dict of the same names. What failed, was not compared,
or missed its tolerance or verification is in no choice; the choice names it, with the reason.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import NothingToChoose, RequestError
from ..types.measure import Interval
from .candidates import (
    Limit,
    Point,
    at_batch,
    candidates,
    check_metrics,
    latency_of,
    memory_of,
    metric_of,
    of_batch,
    where,
    within,
)
from .objectives import (
    OBJECTIVES,
    One,
    best_in_both,
    named,
    number,
    overlap,
    reason_of,
    score_of,
    selected_of,
    value_of,
)

Objective = One | Sequence[One]
_HIGHER = ("throughput", "sqnr_db", "top1_agreement")


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The next best target, and whether the measurement can tell the two apart."""

    target: str
    batch: int | None
    value: float
    within_noise: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A target and why it won. ``value`` is what the objective was judged by, in its own unit."""

    target: str
    batch: int | None
    objective: str
    value: float
    interval: Interval | None = None
    reasons: tuple[str, ...] = ()
    runner_up: RunnerUp | None = None
    left_out: tuple[tuple[str, str], ...] = ()


def choose(
    rows: Iterable[Any],
    objective: Objective = "throughput",
    *,
    p50_ms: float | None = None,
    p95_ms: float | None = None,
    p99_ms: float | None = None,
    memory_bytes: float | None = None,
    size_bytes: float | None = None,
    error: float | None = None,
    min_throughput: float | None = None,
    batch: int | None = None,
    formats: Sequence[str] | None = None,
    runners: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    latency_budget: float | None = None,
    target: str | None = None,
    model_key: str | None = None,
    runner_name: str | None = None,
    **metrics: float,
) -> Choice:
    """The best target under the limits, and why.

    ``objective`` is one of `OBJECTIVES`, a callable on a row (higher is better; None: not this
    one), or a list of those, of which the first that yields a target counts. ``error`` bounds the
    largest error as a multiple of its tolerance; ``metrics`` are the least values of the metrics
    that the verify function gave.

    Raises:
        RequestError: an unknown objective, format, runner, target or metric; a callable that raised.
        NothingToChoose: nothing keeps all limits. It lists who came nearest.
    """
    points, left_out = candidates(list(rows), formats, runners, targets)
    check_metrics(points, metrics)
    limits = [
        Limit(name, bound, read)
        for name, bound, read in (
            ("p50_ms", p50_ms, of_batch("p50_ms")),
            ("p95_ms", p95_ms, of_batch("p95_ms")),
            ("p99_ms", p99_ms, of_batch("p99_ms")),
            ("memory_bytes", memory_bytes, memory_of),
            ("size_bytes", size_bytes, lambda p: p.row.get("size_bytes")),
            ("error", error, lambda p: p.row.get("worst_ratio")),
        )
        if bound is not None
    ]
    if min_throughput is not None:
        limits.append(Limit("throughput", min_throughput, of_batch("throughput"), least=True))
    limits += [Limit(k, v, metric_of(k), least=True) for k, v in metrics.items()]
    selected = (target, model_key, runner_name)
    asked = [objective] if isinstance(objective, str) or callable(objective) else list(objective)
    if not asked:
        raise RequestError("no objective is given", f"objectives are: {', '.join(OBJECTIVES)}")
    before: list[str] = []
    for one in asked:
        name = one if callable(one) else named(one)
        try:
            made = _by(name, points, list(left_out), limits, batch, latency_budget, selected)
        except NothingToChoose as nothing:
            if one is asked[-1]:
                if before:
                    raise NothingToChoose(
                        "; ".join([*before, nothing.message]), nothing.remedy
                    ) from None
                raise
            before.append(nothing.message)
        else:
            return dataclasses.replace(made, reasons=(*made.reasons, *before))
    raise AssertionError("the last objective yields or raises")


def pareto_front(
    rows: Iterable[Any], x: str = "p50_ms", y: str = "throughput"
) -> list[tuple[str, int | None]]:
    """The (target, batch) that no other beats in both ``x`` and ``y``, in the order of ``x``.

    Both are names of what a row or a batch of it holds, or of a metric. Throughput, SQNR, top-1
    agreement and metrics are better when higher, everything else when lower. What may not be
    chosen is not on the front.
    """
    points, _ = candidates(list(rows), None, None, None)
    found = []
    for point in points:
        a, b = _good(point, x), _good(point, y)
        if a is not None and b is not None:
            found.append((-a, -b, point))
    found.sort(key=lambda one: one[:2])
    front: list[tuple[str, int | None]] = []
    best = math.inf
    last: tuple[float, float] | None = None
    for a, b, point in found:
        if b < best or (a, b) == last:
            front.append((point.target, point.size))
            best, last = min(best, b), (a, b)
    return front


def _good(point: Point, name: str) -> float | None:
    """A value such that higher is better; None where there is none."""
    metrics = point.row.get("metrics") or {}
    for place in (point.batch or {}, point.row, metrics):
        value = place.get(name)
        if isinstance(value, int | float) and not math.isnan(value):
            return float(value if name in _HIGHER or place is metrics else -value)
    return None


def _by(
    objective: One,
    points: list[Point],
    left_out: list[tuple[str, str]],
    limits: list[Limit],
    batch: int | None,
    latency_budget: float | None,
    selected: tuple[str | None, str | None, str | None],
) -> Choice:
    name = objective if isinstance(objective, str) else getattr(objective, "__name__", "callable")
    if objective == "max_throughput_with_latency_budget":
        if latency_budget is None:
            raise RequestError(f"{name} needs a budget", "give latency_budget=…, in milliseconds")
        limits = [*limits, Limit("p50_ms", latency_budget, of_batch("p50_ms"))]
    if objective == "selected_runtime":
        points = selected_of(points, left_out, *selected)
    if batch is not None:
        points = at_batch(points, left_out, batch)
    kept, misses = within(points, limits)
    scored = []
    for point in kept:
        score, why = score_of(objective, point)
        if score is None:
            misses.setdefault(point.target, (math.inf, why))
        else:
            scored.append((score, point))
    survivors = {p.target for _, p in scored}
    left_out += [(t, why) for t, (_, why) in misses.items() if t not in survivors]
    if not scored:
        raise _nothing(name, left_out, misses, limits)
    # Of equals the quicker one, then the one that is first in the alphabet: the same every time.
    scored.sort(key=lambda one: (-one[0], latency_of(one[1]), one[1].target))
    score, best = scored[0]
    other = next(((s, p) for s, p in scored if p.target != best.target), None)
    if objective == "max_throughput_and_min_latency":
        best_in_both(best, kept, name)
    value, interval = value_of(objective, score, best)
    reasons = [reason_of(objective, name, value, best)]
    reasons += [f"keeps {limit}: {limit.read(best):g}" for limit in limits]
    runner_up = None
    if other:
        second, second_interval = value_of(objective, *other)
        close = overlap(interval, second_interval)
        runner_up = RunnerUp(other[1].target, other[1].size, second, close)
        share = abs(value - second) / abs(value) if value else 0.0
        reasons.append(
            f"next is {other[1].target}{where(other[1])}: {number(second)}, "
            + ("within noise of it" if close else f"{share:.1%} off")
        )
    return Choice(
        best.target, best.size, name, value, interval, tuple(reasons), runner_up, tuple(left_out)
    )


def _nothing(
    name: str,
    left_out: list[tuple[str, str]],
    misses: dict[str, tuple[float, str]],
    limits: list[Limit],
) -> NothingToChoose:
    if not left_out:
        return NothingToChoose(f"{name}: there are no targets", "run some first")
    near = sorted(misses.items(), key=lambda one: one[1][0])
    order = [*(t for t, _ in near), *(t for t, _ in left_out if t not in misses)]
    said = dict(left_out)
    shown = "\n".join(f"  {t}: {said[t]}" for t in order[:5])
    more = f"\n  … and {len(order) - 5} more" if len(order) > 5 else ""
    what = ", ".join(map(str, limits)) or "no limit"
    remedy = (
        f"{near[0][0]} is nearest: widen the limit that it misses"
        if near and math.isfinite(near[0][1][0])
        else "see the reasons above; nothing that failed is ever chosen"
    )
    return NothingToChoose(f"{name} with {what}: nothing to choose\n{shown}{more}", remedy)


__all__ = ["OBJECTIVES", "Choice", "RunnerUp", "choose", "named", "pareto_front"]
