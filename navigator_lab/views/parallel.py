"""Parallel coordinates: a line a target across runtime, precision, speed, error and size.

Better is up on every axis; dragging along an axis keeps the lines that pass there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import unknown
from .numbers import significant
from .pareto.data import value_of
from .taken import take
from .theme import AXES, SHAPES, colours, family, layout, safe, short, theme

NUMBERS = ("p50_ms", "p99_ms", "throughput", "error", "memory_bytes", "size_bytes", "load_ms")
_UP = ("throughput",)
_LEAST_ERROR = 1e-3
_NAMED = 40  # more targets than these are not named on their axis
_SAID = {  # heads of the axes: they stand close together
    "p50_ms": "p50, ms", "p90_ms": "p90, ms", "p95_ms": "p95, ms", "p99_ms": "p99, ms",
    "throughput": "samples/s", "error": "error ÷ tol", "memory_bytes": "memory, MB",
    "size_bytes": "size, MB", "load_ms": "load, ms",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One target at its best batch. ``values`` by axis; None where it was not measured."""

    run: int
    target: str
    family: str
    precision: str
    passed: bool | None
    batch: int
    values: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that the drawing shows. ``axes`` are those that some target has a value for."""

    title: str
    runs: tuple[str, ...]
    axes: tuple[str, ...]
    batch: int | None  # None: each target at its own best batch
    lines: tuple[Line, ...]


def info(results: Any, axes: tuple[str, ...] = NUMBERS, batch: int | None = None) -> Info:
    """The data of the view, from results, a session, a loaded run, or a list of those.

    ``batch``: all at that batch size; by default each where its throughput is best.

    Raises:
        RequestError: an axis that there isn't.
    """
    for name in axes:
        if name not in AXES:
            raise unknown("axis", name, AXES)
    runs = take(results)
    lines = []
    for index, run in enumerate(runs):
        for row in run.results:
            at = [b for b in row.batches if batch is None or b["batch"] == batch]
            if not at:
                continue
            best = max(at, key=lambda b: b["throughput"])
            values = {name: _finite(value_of(row, best, name), AXES[name][2]) for name in axes}
            lines.append(
                Line(index, row.target, family(row.format, row.runner), row.precision,
                     row.passed, best["batch"], values)
            )  # fmt: skip
    used = tuple(name for name in axes if any(line.values[name] is not None for line in lines))
    names = tuple(run.name for run in runs)
    return Info(", ".join(names), names, used, batch, tuple(lines))


def _finite(value: float | None, per: float) -> float | None:
    return None if value is None or not math.isfinite(value) else value * per


def draw(info: Info, *, dark: bool = False) -> Any:
    """The view as a plotly ``Figure``. Drag along an axis to keep only what passes there."""
    import plotly.graph_objects as go

    look = theme(dark)
    lines = sorted(info.lines, key=lambda line: -(line.values.get("throughput") or 0.0))
    families = list(dict.fromkeys(line.family for line in lines))
    hues = colours(families, dark)
    palette = [*hues.values(), look.wrong]
    codes = [
        len(families) if line.passed is False else families.index(line.family) for line in lines
    ]
    size = len(palette)
    scale = [[k / size, palette[i]] for i in range(size) for k in (i, i + 1)]
    dimensions = [_names(info, lines), _precisions(lines)]
    dimensions += [_axis(name, lines) for name in info.axes]
    figure = go.Figure()
    if lines:
        figure.add_trace(
            go.Parcoords(
                dimensions=dimensions,
                line={
                    "color": codes,
                    "colorscale": scale,
                    "cmin": -0.5,
                    "cmax": len(palette) - 0.5,
                },
                labelfont={"size": 12, "color": look.text},
                tickfont={"size": 11, "color": look.muted},
                rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
                unselected={"line": {"color": look.muted, "opacity": 0.12}},
            )
        )
    at = "each at its best batch" if info.batch is None else f"batch {info.batch}"
    wrong = sum(1 for line in lines if line.passed is False)
    said = "better is up; drag along an axis to filter"
    said += f"; {wrong} out of tolerance in purple" if wrong else ""
    long = max((len(_name(info, line)) for line in lines), default=10)
    figure.update_layout(
        **layout(look, f"{info.title}: {at}"),
        height=min(max(420, 130 + 22 * len(lines)), 760),
        margin={"l": 24 + 7 * min(long, 40) if len(lines) <= _NAMED else 64, "r": 56, "t": 96, "b": 44},
        annotations=[
            {
                "x": 0, "y": 0, "xref": "paper", "yref": "paper", "yshift": -34, "text": said,
                "showarrow": False, "xanchor": "left", "font": {"size": 11, "color": look.muted},
            }
        ],
    )  # fmt: skip
    return figure


def _name(info: Info, line: Line) -> str:
    where = f", {info.runs[line.run]}" if len(info.runs) > 1 else ""
    return short(line.target + where, 40)


def _names(info: Info, lines: list[Line]) -> dict[str, Any]:
    count = len(lines)
    shown = count <= _NAMED
    return {
        "label": "target" if shown else f"{count} targets",
        "values": [count - 1 - i for i in range(count)],
        "range": [-0.5, count - 0.5],
        "tickvals": [count - 1 - i for i in range(count)] if shown else [0, count - 1],
        "ticktext": [safe(_name(info, line)) for line in lines] if shown else ["slow", "fast"],
    }


def _precisions(lines: list[Line]) -> dict[str, Any]:
    order = {name: i for i, name in enumerate(SHAPES)}
    names = sorted({line.precision for line in lines}, key=lambda n: (-order.get(n, 99), n))
    return {
        "label": "precision",
        "values": [names.index(line.precision) for line in lines],
        "range": [-0.5, len(names) - 0.5],
        "tickvals": list(range(len(names))),
        "ticktext": [safe(name) for name in names],
    }


def _axis(name: str, lines: list[Line]) -> dict[str, Any]:
    """A logarithmic axis, turned so that better is up. What was not measured lies below."""
    least = _LEAST_ERROR if name == "error" else 1e-12
    known = [math.log10(max(v, least)) for line in lines if (v := line.values[name]) is not None]
    low, high = min(known), max(known)
    if high - low < 0.02:
        low, high = low - 0.1, high + 0.1
    pad = (high - low) * 0.06
    worst = low - pad if name in _UP else high + pad
    values = [
        math.log10(max(v, least)) if (v := line.values[name]) is not None else worst
        for line in lines
    ]
    marks = [low + (high - low) * i / 4 for i in range(5)]
    reach = [low - pad, high + pad]
    return {
        "label": _SAID.get(name, name),
        "values": values,
        "range": reach if name in _UP else reach[::-1],
        "tickvals": marks,
        "ticktext": [_mark(10**m, name) for m in marks],
    }


def _mark(value: float, name: str) -> str:
    return "≤0.001" if name == "error" and value <= _LEAST_ERROR else significant(value, 2)
