"""Latency by batch size: a curve a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import unknown
from .numbers import interval, significant
from .taken import take
from .theme import AXES, axis, colours, faint, family, layout, safe, shape, short, theme

KINDS = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Point:
    """The latency at one batch size, with its 95 % interval where one is known."""

    batch: int
    ms: float
    low: float
    high: float
    stable: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One target of one run, by growing batch."""

    run: int
    target: str
    family: str
    precision: str
    passed: bool | None
    baseline: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that the drawing shows."""

    title: str
    runs: tuple[str, ...]
    kind: str
    batches: tuple[int, ...]
    lines: tuple[Line, ...]


def info(results: Any, latency: str = "p50_ms") -> Info:
    """The data of the view, from results, a session, a loaded run, or a list of those.

    Raises:
        RequestError: ``latency`` is none of `KINDS`.
    """
    if latency not in KINDS:
        raise unknown("latency", latency, KINDS)
    runs = take(results)
    lines = []
    for index, run in enumerate(runs):
        for row in run.results:
            points = tuple(
                Point(
                    b["batch"],
                    b[latency],
                    b.get(f"{latency}_low", b[latency]),
                    b.get(f"{latency}_high", b[latency]),
                    b["stable"],
                )
                for b in sorted(row.batches, key=lambda b: b["batch"])
            )
            if points:
                lines.append(
                    Line(index, row.target, family(row.format, row.runner), row.precision,
                         row.passed, row.target == run.results.baseline, points)
                )  # fmt: skip
    batches = sorted({p.batch for line in lines for p in line.points})
    names = tuple(run.name for run in runs)
    return Info(", ".join(names), names, latency, tuple(batches), tuple(lines))


def draw(info: Info, *, dark: bool = False) -> Any:
    """The view as a plotly ``Figure``; both axes logarithmic."""
    import plotly.graph_objects as go

    look = theme(dark)
    hues = colours((line.family for line in info.lines), dark)
    words = AXES[info.kind][0]
    figure = go.Figure()
    for line in info.lines:
        wrong = line.passed is False
        where = f", {info.runs[line.run]}" if len(info.runs) > 1 else ""
        filled = shape(line.precision)
        figure.add_trace(
            go.Scatter(
                x=[p.batch for p in line.points],
                y=[p.ms for p in line.points],
                mode="lines+markers",
                name=safe(short(line.target, 44) + where),
                line={
                    "color": hues[line.family],
                    "width": 2 if line.baseline else 1.3,
                    "dash": "dot" if wrong else ("solid", "dash", "longdash")[line.run % 3],
                },
                marker={
                    "symbol": "x-open" if wrong else filled,
                    "size": 8,
                    "color": look.wrong if wrong else hues[line.family],
                },
                error_y={
                    "type": "data", "symmetric": False, "thickness": 1.2, "width": 0,
                    "color": faint(hues[line.family]),
                    "array": [p.high - p.ms for p in line.points],
                    "arrayminus": [min(p.ms - p.low, p.ms * 0.95) for p in line.points],
                },
                hovertext=[
                    f"<b>{safe(line.target)}</b>{safe(where)}<br>batch {p.batch}<br>{words} "
                    f"{interval(p.ms, p.low, p.high)} ms" + ("" if p.stable else "<br>noisy")
                    for p in line.points
                ],
                hoverinfo="text",
            )
        )  # fmt: skip
    figure.update_layout(
        **layout(look, f"{info.title}: {words} by batch size"),
        height=460,
        margin={"l": 10, "r": 10, "t": 56, "b": 10},
        xaxis=axis(look, "batch size (log) →", type="log", tickvals=list(info.batches),
                   ticktext=[str(b) for b in info.batches]),
        yaxis=axis(look, f"↑ {words}, ms per call (log)", type="log", **_ticks(info)),
        legend={"font": {"size": 11}, "bgcolor": "rgba(0,0,0,0)"},
    )  # fmt: skip
    return figure


def _ticks(info: Info) -> dict[str, Any]:
    from math import ceil, floor, log10

    values = [v for line in info.lines for p in line.points for v in (p.ms,) if v > 0]
    if not values:
        return {}
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    marks = [
        k * 10.0**d for d in range(low, high + 1) for k in ((1, 2, 5) if high - low < 5 else (1,))
    ]
    return {"tickvals": marks, "ticktext": [significant(m, 1) for m in marks]}
