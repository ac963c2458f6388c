"""The Pareto view as plain data: points by target and batch, and the front under the limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import RequestError, unknown
from ...types.run import Row
from ...types.served import LoadPoint
from ..taken import Taken, take
from ..theme import AXES, family

LIMITS = (  # upper bounds, but for the last
    "p50_ms", "p90_ms", "p95_ms", "p99_ms", "memory_bytes", "size_bytes", "load_ms", "error",
    "min_throughput",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """A target at one batch size. Intervals are of 95 %; without one, low and high are the value.

    ``misses`` are the limits it doesn't keep, in words; ``gain`` is its throughput as a multiple
    of the baseline's at the same batch.
    """

    batch: int
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    stable: bool = True
    note: str = ""
    misses: tuple[str, ...] = ()
    front: bool = False
    gain: float | None = None
    load: str = ""  # of a served target: how much was under way, or asked a second


@dataclass(frozen=True, slots=True)
class Line:
    """One target of one run: its points, by growing batch.

    ``passed`` is None where it was never compared. What isn't ``done`` (a later step failed), not
    compared, or not passed is never on the front.
    """

    run: int  # index into the runs
    target: str
    family: str
    precision: str
    passed: bool | None
    reason: str
    baseline: bool
    points: tuple[Point, ...]
    status: str = "done"
    served: str = ""  # a load on a server, which this names: beside the others, never on the front

    @property
    def fit(self) -> bool:
        """Whether it may be chosen."""
        return self.status == "done" and self.passed is True and not self.served


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that the drawing shows.

    ``front`` are (index of the line, batch) in order of x; ``steps`` the corners of its step line.
    ``left_out`` are targets without a measurement and why.
    """

    title: str
    runs: tuple[str, ...]
    x: str
    x_words: str
    x_unit: str
    y: str
    y_words: str
    y_unit: str
    lines: tuple[Line, ...]
    front: tuple[tuple[int, int], ...] = ()
    steps: tuple[tuple[float, float], ...] = ()
    limits: dict[str, float] = field(default_factory=dict)
    left_out: tuple[tuple[str, str], ...] = ()


def info(
    results: Any, latency: str = "p50_ms", limits: Mapping[str, float | None] | None = None
) -> Info:
    """The data of the view.

    Args:
        results: results, a session, a loaded run, or a list of those, drawn over each other.
        latency: the x axis: ``p50_ms``, ``p90_ms``, ``p95_ms``, ``p99_ms``, or ``memory_bytes``,
            ``size_bytes``, ``load_ms``, ``error``.
        limits: bounds by name (`LIMITS`), as those of `choose`. What misses one is off the front.

    Raises:
        RequestError: an axis or limit that there isn't.
    """
    axes = [name for name in AXES if name != "throughput"]
    if latency not in axes:
        raise unknown("axis", latency, axes)
    bounds = _checked(limits or {})
    runs = take(results)
    lines: list[Line] = []
    left_out: list[tuple[str, str]] = []
    for index, run in enumerate(runs):
        for row in run.results:
            points = _points(row, latency, bounds, run)
            if points:
                lines.append(
                    Line(index, row.target, family(row.format, row.runner), row.precision,
                         row.passed, row.reason, row.target == run.results.baseline, points, row.status)
                )  # fmt: skip
            elif row.status != "skipped" or row.stages:
                left_out.append((row.target, row.reason or "it was not measured"))
        lines += _served(index, run, latency)
    lines, front = _fronted(lines)
    words, unit, _ = AXES[latency]
    y_words, y_unit, _ = AXES["throughput"]
    return Info(
        ", ".join(run.name for run in runs), tuple(run.name for run in runs),
        latency, words, unit, "throughput", y_words, y_unit,
        tuple(lines), tuple(front), _steps(lines, front), bounds, tuple(left_out),
    )  # fmt: skip


def _served(index: int, run: Taken, latency: str) -> list[Line]:
    """Loads on a live server, as lines of their own; of requests, so only against a latency."""
    loads = run.explored.run_data.loads if run.explored is not None else ()
    rows = {row.target: row for row in run.results}
    made = []
    for load in loads:
        row = rows.get(load.target)
        points = tuple(
            Point(
                one.request_batch, x.value, x.low, x.high, one.throughput.value,
                one.throughput.low, one.throughput.high, load=_asked(one),
            )
            for i, one in enumerate(load.points)
            if i == load.best or (load.best is None and not load.swept and one.kept_up)
            if (x := getattr(one, latency, None)) is not None
            and math.isfinite(x.value) and not one.errors and not one.ended
        )  # fmt: skip
        if row is not None and points:
            made.append(
                Line(index, row.target, family(row.format, row.runner), row.precision, row.passed,
                     row.reason, False, points, row.status, load.server)
            )  # fmt: skip
    return made


def _asked(one: LoadPoint) -> str:
    if one.setting:
        return ", ".join(f"{name} {value}" for name, value in one.setting.items())
    return f"{one.level:g} under way" if one.loop == "closed" else f"{one.level:.4g}/s asked"


def _checked(limits: Mapping[str, float | None]) -> dict[str, float]:
    made = {}
    for name, bound in limits.items():
        if name not in LIMITS:
            raise unknown("limit", name, LIMITS)
        if bound is None:
            continue
        try:
            made[name] = float(bound)
        except (TypeError, ValueError):
            made[name] = math.nan
        if math.isnan(made[name]):
            raise RequestError(f"{name}={bound!r} is no limit", "give a number")
    return made


def value_of(row: Row, batch: Mapping[str, Any], name: str) -> float | None:
    """What a row, at one batch size, has for an axis or a limit; None where it was not measured."""
    if name in ("throughput", "min_throughput"):
        return float(batch["throughput"])
    if name in batch:
        return float(batch[name])
    if name == "memory_bytes":
        on_gpu = row.device.startswith("cuda")
        found: float | None = row.device_peak_bytes if on_gpu else row.host_peak_bytes
    elif name == "error":
        found = row.worst_ratio
    else:
        found = getattr(row, name)
    return None if found is None else float(found)


def _points(row: Row, x: str, limits: Mapping[str, float], run: Taken) -> tuple[Point, ...]:
    per = AXES[x][2]
    base = next((r for r in run.results if r.target == run.results.baseline), None)
    made = []
    for batch in sorted(row.batches, key=lambda b: b["batch"]):
        value = value_of(row, batch, x)
        if value is None or not math.isfinite(value):
            continue
        low, high = batch.get(f"{x}_low", value), batch.get(f"{x}_high", value)
        ground = base.throughput.get(batch["batch"]) if base is not None else None
        made.append(
            Point(
                batch["batch"], value * per, low * per, high * per,
                batch["throughput"], batch["throughput_low"], batch["throughput_high"],
                batch["stable"], batch["note"], _misses(row, batch, limits),
                gain=batch["throughput"] / ground if ground else None,
            )
        )  # fmt: skip
    return tuple(made)


def _misses(row: Row, batch: Mapping[str, Any], limits: Mapping[str, float]) -> tuple[str, ...]:
    said = []
    for name, bound in limits.items():
        least = name == "min_throughput"
        value = value_of(row, batch, name)
        if value is None or math.isnan(value):
            said.append(f"{name} was not measured")
        elif value < bound if least else value > bound:
            said.append(f"{name} {value:.4g} {'<' if least else '>'} {bound:g}")
    return tuple(said)


def _fronted(lines: list[Line]) -> tuple[list[Line], list[tuple[int, int]]]:
    """The points that no other beats in both, of all lines together; equal ones are all on it."""
    fit = [
        (point.x, -point.y, index, point.batch)
        for index, line in enumerate(lines)
        if line.fit
        for point in line.points
        if not point.misses
    ]
    fit.sort()
    front: list[tuple[int, int]] = []
    best, last = math.inf, None
    for x, y, index, batch in fit:
        if y < best or (x, y) == last:
            front.append((index, batch))
            best, last = min(best, y), (x, y)
    on = set(front)
    marked = [
        replace(
            line,
            points=tuple(replace(p, front=(index, p.batch) in on) for p in line.points),
        )
        for index, line in enumerate(lines)
    ]
    return marked, front


def _steps(lines: list[Line], front: list[tuple[int, int]]) -> tuple[tuple[float, float], ...]:
    """The corners of the front as a line: what can be had at each x."""
    made: list[tuple[float, float]] = []
    for index, batch in front:
        point = next(p for p in lines[index].points if p.batch == batch)
        made.append((point.x, made[-1][1] if made else 0.0))
        made.append((point.x, point.y))
    return tuple(made)
