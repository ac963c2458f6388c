"""The tolerance heatmap: outputs × targets, the worst error as a multiple of what is allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..types.measure import Accuracy, OutputAccuracy
from ..types.outcome import Done
from .numbers import ratio, significant
from .taken import Taken, take
from .theme import axis, layout, safe, short, theme

LEAST, MOST = 1e-3, 10.0  # ends of the colour scale


@dataclass(frozen=True, slots=True)
class Cell:
    """One output of one target. ``ratio`` is NaN where there is none, ∞ where nothing is allowed.

    ``measured`` is what the comparison stored, for judging by another tolerance at once; None
    where only rows were given.
    """

    output: str
    ratio: float
    problem: str = ""
    measured: OutputAccuracy | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One target: a cell for each output, in the order of the columns."""

    run: int
    target: str
    family: str
    precision: str
    passed: bool | None
    reason: str
    worst: float | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Info:
    """Targets as rows, worst first; ``left_out`` are those without an answer, and why."""

    title: str
    runs: tuple[str, ...]
    outputs: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> int:
        """How many targets keep their tolerance."""
        return sum(1 for line in self.lines if line.passed)


def info(results: Any) -> Info:
    """The data of the view, from results, a session, a loaded run, or a list of those."""
    from .theme import family

    runs = take(results)
    outputs: dict[str, None] = {}
    for run in runs:
        for row in run.results:
            outputs.update(dict.fromkeys(row.ratios))
        if run.explored is not None:
            outputs.update(dict.fromkeys(s.name for s in run.explored.signature.outputs))
    lines, left_out = [], []
    for index, run in enumerate(runs):
        for row in run.results:
            if row.within_tolerance is None:
                if row.status != "skipped" or row.stages:
                    left_out.append((row.target, row.reason or "it was not compared"))
                continue
            measured = _measured(run, row.target)
            cells = tuple(_cell(name, row.ratios, measured.get(name)) for name in outputs)
            lines.append(
                Line(index, row.target, family(row.format, row.runner), row.precision,
                     row.within_tolerance, row.reason, row.worst_ratio, cells)
            )  # fmt: skip
    # NaN can't be: the worst is taken of numbers only. Failures first, also those of the mean.
    lines.sort(key=lambda line: (bool(line.passed), -(line.worst or 0.0), line.target))
    return Info(
        ", ".join(run.name for run in runs), tuple(run.name for run in runs),
        tuple(outputs), tuple(lines), tuple(left_out),
    )  # fmt: skip


def _measured(run: Taken, target: str) -> dict[str, OutputAccuracy]:
    if run.explored is None:
        return {}
    for one in run.explored.run_data.targets:
        if str(one.target) == target:
            outcome = one.outcome("correctness")
            if isinstance(outcome, Done):
                return {o.name: o for o in outcome.product.read(Accuracy).outputs}
    return {}


def _cell(name: str, ratios: dict[str, float], measured: OutputAccuracy | None) -> Cell:
    problem = measured.problem if measured is not None else ""
    return Cell(name, ratios.get(name, math.nan), problem, measured)


def draw(info: Info, *, dark: bool = False) -> Any:
    """The view as a plotly ``Figure``: colour = error ÷ tolerance, logarithmic around 1."""
    import plotly.graph_objects as go

    look = theme(dark)
    lines = list(reversed(info.lines))  # plotly counts rows from below
    figure = go.Figure()
    values, words, hover = [], [], []
    crowded = len(info.outputs) > 10
    for line in lines:
        where = f" ({info.runs[line.run]})" if len(info.runs) > 1 else ""
        values.append([_level(cell.ratio) for cell in line.cells])
        words.append([_words(cell, crowded) for cell in line.cells])
        hover.append([_hover(line, cell, where) for cell in line.cells])
    low, high = math.log10(LEAST), math.log10(MOST)
    middle = -low / (high - low)
    names = [
        f"{short(line.target, 40)}" + (f"  {info.runs[line.run]}" if len(info.runs) > 1 else "")
        for line in lines
    ]
    figure.add_trace(
        go.Heatmap(
            x=list(range(len(info.outputs))),
            y=list(range(len(lines))),
            z=values,
            text=words,
            texttemplate="%{text}",
            textfont={"size": 9 if crowded else 12, "color": look.text},
            hovertext=hover,
            hoverinfo="text",
            zmin=low,
            zmax=high,
            colorscale=[[0, look.low], [middle, look.middle], [1, look.high]],
            xgap=2,
            ygap=2,
            colorbar={
                "title": {"text": "error ÷ tolerance", "side": "right", "font": {"size": 11}},
                "tickvals": [-3, -2, -1, 0, 1],
                "ticktext": ["≤0.001", "0.01", "0.1", "1", "≥10"],
                "tickfont": {"size": 11, "color": look.muted},
                "thickness": 8,
                "outlinewidth": 0,
                "len": 1 if len(lines) < 12 else 320,
                "lenmode": "fraction" if len(lines) < 12 else "pixels",
                "x": min(0.96, 0.22 * max(len(info.outputs), 1) + 0.02),
                "y": 1,
                "yanchor": "top",
            },
        )
    )
    wide = min(0.94, 0.22 * max(len(info.outputs), 1))  # a lone column is no banner
    slanted = sum(len(short(name, 24)) for name in info.outputs) > 80
    said = f"{info.passed} of {len(info.lines)} targets within tolerance"
    figure.update_layout(
        **layout(look, f"{info.title}: {said}"),
        height=(184 if slanted else 110) + 29 * max(len(lines), 3),
        margin={"l": 10, "r": 10, "t": 150 if slanted else 76, "b": 16},
        xaxis=axis(
            look, side="top", showgrid=False, tickangle=-40 if slanted else 0, tickvals=list(range(len(info.outputs))),
            ticktext=[safe(short(name, 24)) for name in info.outputs],
            range=[-0.5, max(len(info.outputs), 1) - 0.5], domain=[0, wide],
        ),
        yaxis=axis(
            look, showgrid=False, tickvals=list(range(len(lines))),
            ticktext=[safe(name) for name in names], range=[-0.5, max(len(lines), 1) - 0.5],
        ),
    )  # fmt: skip
    return figure


def _level(value: float) -> float | None:
    if math.isnan(value):
        return None
    return math.log10(min(max(value, LEAST / 10), MOST * 10))


def _words(cell: Cell, crowded: bool) -> str:
    if cell.problem:
        return "×"
    if math.isnan(cell.ratio):
        return "–"
    said = "∞" if math.isinf(cell.ratio) else ratio(cell.ratio)
    if crowded and cell.ratio < 1:  # where columns are narrow, one digit of what is fine
        said = significant(cell.ratio, 1) if cell.ratio >= 0.001 else "~0"
    return f"<b>×{'' if crowded else ' '}{safe(said)}</b>" if cell.ratio > 1 else safe(said)


def _hover(line: Line, cell: Cell, where: str) -> str:
    said = [f"<b>{safe(line.target)}</b>{safe(where)}", f"output {safe(cell.output)}"]
    if cell.problem:
        said.append(safe(cell.problem))
    elif not math.isnan(cell.ratio):
        said.append(f"worst error {safe(ratio(cell.ratio))} × the tolerance")
    found = cell.measured
    if found is not None and found.absolute is not None:
        worst = found.absolute
        said.append(f"|Δ| {worst.error:.3g}: {worst.got:.6g} for {worst.reference:.6g}")
        if worst.sample >= 0:
            said.append(f"sample {worst.sample}, index {list(worst.index)}")
    return "<br>".join(said)
