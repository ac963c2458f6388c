"""The view of loads as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...errors import RequestError
from ...types.served import LoadPoint, LoadTest

QUANTILES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
BEND = 0.1  # less of it is noise
TAKES_OVER = 2.0  # beyond a knee latency at least doubles; what only wavers has none
PARTS = ("queue", "copy in", "compute", "copy out")
_SHORT = {
    "max_batch_size": "max batch",
    "max_queue_delay_us": "queue delay, µs",
    "instance_count": "instances",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One load: what was answered a second, and how late, by quantile, with 95 % intervals.

    ``x`` is the asked rate of an open loop, and the answered one of a closed.
    """

    label: str
    level: float
    x: float
    rate: float
    ms: tuple[float, ...]  # by `QUANTILES`
    low: tuple[float, ...]
    high: tuple[float, ...]
    errors: int = 0
    kept_up: bool = True
    limited: bool = False  # by who sent it
    note: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """Where a request's time goes in the server, in ms by `PARTS`; and how many executions there
    were of each batch size."""

    label: str
    ms: tuple[float, ...]
    rest_ms: float  # what of the mean latency the server doesn't know of: network, client
    batches: tuple[tuple[int, int], ...]
    busy: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One test. ``knee`` is the index of the point beyond which latency grows faster than what is
    answered; ``levels`` says what the labels of its points mean."""

    name: str
    loop: str  # closed, open, or sweep
    levels: str
    points: tuple[Point, ...]
    bars: tuple[Bar, ...]
    knee: int | None = None
    limit_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that the drawing shows. ``remark`` is what the server can't prove."""

    title: str
    curves: tuple[Curve, ...]
    remark: str = ""


def info(given: Any) -> Info:
    """The data of the view.

    Args:
        given: what `load_test` gave, several of those, or a session or loaded run with some.

    Raises:
        RequestError: there are no loads.
    """
    tests = tests_of(given)
    curves = []
    for test in tests:
        name = test.model if len({t.model for t in tests}) > 1 else ""
        if len(tests) > 1:
            name = f"{name} {_kind(test)}".strip()
        curves.append(_curve(test, name or _kind(test)))
    names = [test.target or test.model for test in tests]
    remark = next((text for test in tests for text in test.unproven), "")
    return Info(", ".join(dict.fromkeys(names)), tuple(curves), remark)


def tests_of(given: Any) -> list[LoadTest]:
    """The loads that something holds.

    Raises:
        RequestError: there are none.
    """
    run = getattr(given, "run_data", None)
    if run is not None:
        given = run.loads
    tests = [given] if isinstance(given, LoadTest) else given
    if not isinstance(tests, Iterable):
        raise RequestError(f"a {type(given).__name__} holds no loads", "give what load_test gave")
    found = list(tests)
    for one in found:
        if not isinstance(one, LoadTest):
            raise RequestError(f"a {type(one).__name__} is no load", "give what load_test gave")
    if not any(one.points for one in found):
        raise RequestError("there are no loads yet", "lab.load_test(target) makes some")
    return found


def _kind(test: LoadTest) -> str:
    if test.swept:
        return "sweep"
    loops = {point.loop for point in test.points}
    word = "closed loop" if loops == {"closed"} else "open loop"
    batch, sequence = (
        (test.points[0].request_batch, test.points[0].sequence) if test.points else (1, 0)
    )
    word += f", sequences of {sequence}" if sequence else ""
    return word + (f", requests of {batch}" if batch > 1 else "")


def _curve(test: LoadTest, name: str) -> Curve:
    kinds = {point.loop for point in test.points}
    loop = "sweep" if test.swept else "closed" if kinds == {"closed"} else "open"
    ordered = list(enumerate(test.points))
    if loop == "open":  # a search asks a closed loop first, only to know where to begin
        ordered = [(i, p) for i, p in ordered if p.loop == "open"]
    if loop != "sweep":
        ordered.sort(key=lambda pair: (pair[1].loop, pair[1].level))
    points = tuple(_point(p, i == test.best) for i, p in ordered if math.isfinite(p.p50_ms.value))
    bars = tuple(_bar(p) for _, p in ordered if p.statistics is not None and p.statistics.requests)
    what = "sequences" if any(p.sequence for p in test.points) else "requests"
    levels = {"closed": f"{what} under way", "open": f"{what}/s asked"}.get(loop, "")
    if loop == "sweep":
        levels = " / ".join(_SHORT.get(name, name) for name in test.swept)
    knee = _knee(points) if loop != "sweep" else None
    return Curve(name, loop, levels, points, bars, knee, test.limit_ms)


def label(point: LoadPoint) -> str:
    """A load in a word or two: ``8 under way``, ``200/s asked``, ``8 / 500``."""
    if point.setting:
        return " / ".join(str(value) for value in point.setting.values())
    what = " sequences" if point.sequence else ""
    if point.loop == "closed":
        return f"{point.level:g}{what} under way"
    return f"{point.level:.4g}{what}/s asked"


def _point(one: LoadPoint, chosen: bool) -> Point:
    found = [getattr(one, name) for name in QUANTILES]
    said = []
    if one.errors:
        said.append(f"{one.errors} errors")
    if not one.kept_up:
        said.append("fell behind the asked rate")
    if one.sender.limited:
        said.append("held up by who sent it, not by the server")
    if one.ended:
        said.append(one.ended)
    asked = one.level * max(one.sequence, 1)  # in requests
    return Point(
        label(one), one.level, asked if one.loop == "open" else one.rate.value, one.rate.value, tuple(i.value for i in found),
        tuple(i.low for i in found), tuple(i.high for i in found), one.errors, one.kept_up,
        one.sender.limited, "; ".join(said), chosen,
    )  # fmt: skip


def _bar(one: LoadPoint) -> Bar:
    stats = one.statistics
    assert stats is not None
    parts = (stats.queue_ms, stats.input_ms, stats.compute_ms, stats.output_ms)
    rest = one.mean_ms - sum(parts)
    return Bar(
        label(one), parts, max(rest, 0.0) if math.isfinite(rest) else 0.0,
        tuple((b.size, b.executions) for b in stats.batches), stats.busy,
    )  # fmt: skip


def _knee(points: tuple[Point, ...]) -> int | None:
    """Where the curve is farthest below the line between its ends, both axes taken from 0 to 1 (the
    Kneedle rule), on the p95; None where it bends nowhere."""
    fine = sorted(
        (i for i, p in enumerate(points) if not p.errors and p.kept_up),
        key=lambda i: points[i].x,
    )
    if len(fine) < 3:
        return None
    first, last = points[fine[0]], points[fine[-1]]
    at = QUANTILES.index("p95_ms")
    wide, tall = last.x - first.x, last.ms[at] - first.ms[at]
    if wide <= 0 or tall <= 0:
        return None

    def below(i: int) -> float:
        return (points[i].x - first.x) / wide - (points[i].ms[at] - first.ms[at]) / tall

    best = max(fine[1:-1], key=below)
    takes_over = last.ms[at] >= TAKES_OVER * points[best].ms[at]
    return best if below(best) > BEND and takes_over else None
