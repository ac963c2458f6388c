"""One output of one target under every tolerance: does it pass, and what share of it does."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from ..errors import RequestError, unknown
from ..types.measure import Accuracy, OutputAccuracy, Worst
from ..types.outcome import Done
from .numbers import grouped
from .taken import only
from .theme import axis, layout, safe, short, theme

DECADES = tuple(10.0 ** (k / 2) for k in range(-14, 3))  # 1e-7 to 10, half a decade apart


@dataclass(frozen=True, slots=True)
class Info:
    """``passes[i][j]`` and ``shares[i][j]`` are of ``relative[i]`` and ``absolute[j]``.

    ``passes`` is exact, from the hull of all elements; ``shares`` an estimate from the histogram.
    ``errors`` are (|Δ| from, to, elements); those equal to the reference are counted in ``exact``.
    """

    target: str
    output: str
    relative: tuple[float, ...]
    absolute: tuple[float, ...]
    passes: tuple[tuple[bool, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, float, int], ...]
    elements: int
    exact: int
    problem: str = ""
    worst: Worst | None = None
    largest_relative: Worst | None = None


def info(
    explored: Any,
    target: str,
    output: str | None = None,
    relative: tuple[float, ...] = DECADES,
    absolute: tuple[float, ...] = DECADES,
) -> Info:
    """The data of the view; ``output`` is the worst one unless named.

    Raises:
        RequestError: no such target or output, or it was not compared; rows alone hold too little.
    """
    run = only(explored, "the surface").explored
    if run is None:
        raise RequestError("rows alone don't hold the errors", "give lab, not lab.results")
    view = {str(t.target): t for t in run.run_data.targets}.get(str(target))
    if view is None:
        raise unknown("target of this run", target, [str(t.target) for t in run.run_data.targets])
    outcome = view.outcome("correctness")
    if not isinstance(outcome, Done):
        why = outcome.reason if outcome is not None else "it was not compared"
        raise RequestError(f"{target}: {why}", "lab.run(until='correctness') compares")
    found = outcome.product.read(Accuracy).outputs
    names = [one.name for one in found]
    if output is None:
        ratios = run.results[str(target)].ratios
        one = max(found, key=lambda o: ratios.get(o.name, 0.0))
    elif output in names:
        one = found[names.index(output)]
    else:
        raise unknown("output", output, names)
    return of(one, str(target), relative, absolute)


def of(
    one: OutputAccuracy,
    target: str = "",
    relative: tuple[float, ...] = DECADES,
    absolute: tuple[float, ...] = DECADES,
) -> Info:
    """The same, of what the comparison stored of one output."""
    passes, shares = [], []
    for r in relative:
        fits = [keeps(one, a, r) for a in absolute]
        passes.append(tuple(fits))
        shares.append(
            tuple(1.0 if fit else share(one, a, r) for a, fit in zip(absolute, fits, strict=True))
        )
    return Info(
        target, one.name, relative, absolute, tuple(passes), tuple(shares), _errors(one),
        one.elements, one.exact, one.problem, one.absolute, one.relative,
    )  # fmt: skip


def keeps(one: OutputAccuracy, absolute: float, relative: float) -> bool:
    """Whether every element is within ``absolute + relative · |ref|``: exact."""
    if one.problem:
        return False
    if not one.hull:
        return one.exact == one.elements
    return all(error <= absolute + relative * size for size, error in one.hull)


def share(one: OutputAccuracy, absolute: float, relative: float) -> float:
    """About how much of the output is within a tolerance that not all of it keeps.

    A bin of |ref| counts as its geometric middle; one of |Δ| that the limit cuts, in proportion.
    """
    if not one.elements:
        return 1.0
    if not one.histogram or len(one.edges) < 2 or one.discrete:
        return one.exact / one.elements
    start, step = one.edges[0], one.edges[1] - one.edges[0]
    passing = 0.0
    for j in range(len(one.histogram[0])):
        middle = 10 ** (one.edges[j] + step / 2) if j else 0.0
        allowed = absolute + relative * middle
        cut = (math.log10(allowed) - start) / step if allowed > 0 else 0.0
        for i, row in enumerate(one.histogram):
            if row[j]:
                # The first bin holds what is equal: it passes under any tolerance.
                passing += row[j] * (1.0 if i == 0 else min(max(cut - i, 0.0), 1.0))
    # Something does fail, and what is NaN or of another shape is in no bin.
    return min(max(passing, float(one.exact)) / one.elements, 1.0 - 1.0 / one.elements)


def _errors(one: OutputAccuracy) -> tuple[tuple[float, float, int], ...]:
    """How many elements have which |Δ|, without those that are equal."""
    return tuple(
        (10 ** one.edges[i], 10 ** one.edges[i + 1], sum(row))
        for i, row in enumerate(one.histogram)
        if i and sum(row)
    )


def draw(info: Info, *, dark: bool = False, at: tuple[float, float] | None = None) -> Any:
    """The view as a plotly ``Figure``: the surface, and the errors behind it.

    ``at`` marks a tolerance: (relative, absolute).
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    look = theme(dark)
    figure = make_subplots(
        rows=1, cols=2, column_widths=[0.5, 0.5], horizontal_spacing=0.14,
        subplot_titles=("share of elements within the tolerance", "elements by |Δ|"),
    )  # fmt: skip
    columns, rows = len(info.absolute), len(info.relative)
    figure.add_trace(
        go.Heatmap(
            x=list(range(columns)),
            y=list(range(rows)),
            z=[[100 * v for v in line] for line in info.shares],
            zmin=0,
            zmax=100,
            colorscale=[[0, look.high], [0.999, look.middle], [1, look.low]],
            text=[["✓" if ok else "" for ok in line] for line in info.passes],
            texttemplate="%{text}",
            textfont={"size": 11, "color": look.text},
            hovertext=[
                [
                    f"relative {r:.1e}, absolute {a:.1e}<br>"
                    + ("all pass" if ok else f"about {part:.2%} pass")
                    for a, ok, part in zip(info.absolute, fits, parts, strict=True)
                ]
                for r, fits, parts in zip(info.relative, info.passes, info.shares, strict=True)
            ],
            hoverinfo="text",
            xgap=1,
            ygap=1,
            colorbar={
                "x": 0.44, "thickness": 8, "outlinewidth": 0, "ticksuffix": " %",
                "tickfont": {"size": 11, "color": look.muted},
            },
        ),
        row=1,
        col=1,
    )  # fmt: skip
    if at is not None:
        figure.add_trace(
            go.Scatter(
                x=[_place(at[1], info.absolute)], y=[_place(at[0], info.relative)], mode="markers",
                marker={"size": 14, "symbol": "circle-open", "color": look.text,
                        "line": {"width": 2.5}},
                hovertext=f"the tolerance: relative {at[0]:g}, absolute {at[1]:g}",
                hoverinfo="text",
            ),
            row=1,
            col=1,
        )  # fmt: skip
    figure.add_trace(
        go.Bar(
            x=[math.sqrt(low * high) for low, high, _ in info.errors],
            y=[count for _, _, count in info.errors],
            width=[(high - low) * 0.94 for low, high, _ in info.errors],
            marker={"color": look.running, "line": {"width": 0}},
            hovertext=[
                f"|Δ| from {low:.1e} to {high:.1e}<br>{grouped(count, 0)} elements"
                for low, high, count in info.errors
            ],
            hoverinfo="text",
        ),
        row=1,
        col=2,
    )
    said = f"{safe(short(info.target))} → {safe(short(info.output))}"
    equal = f"{grouped(info.exact, 0)} of {grouped(info.elements, 0)} elements are equal"
    figure.update_layout(
        **layout(look), height=420, showlegend=False, bargap=0,
        margin={"l": 10, "r": 16, "t": 88, "b": 10},
    )  # fmt: skip
    more = f"; {safe(info.problem)}" if info.problem else ""
    figure.update_layout(title={"text": f"{said}: {equal}{more}"})
    if not info.errors:
        figure.add_annotation(
            x=0.5, y=0.5, xref="x2 domain", yref="y2 domain", showarrow=False,
            text="every element equals the reference" if info.exact else "there is nothing to show",
        )  # fmt: skip
    figure.update_annotations(font={"size": 12, "color": look.muted})
    figure.update_xaxes(axis(look, "absolute tolerance →", showgrid=False, **_marks(info.absolute)),
                        row=1, col=1)  # fmt: skip
    figure.update_yaxes(axis(look, "↑ relative tolerance", showgrid=False,
                             **_marks(info.relative)), row=1, col=1)  # fmt: skip
    figure.update_xaxes(axis(look, "|Δ| (log) →", type="log", **_decades(info)),
                        row=1, col=2)  # fmt: skip
    figure.update_yaxes(
        axis(
            look, rangemode="tozero", showticklabels=bool(info.errors), showgrid=bool(info.errors)
        ),
        row=1,
        col=2,
    )
    return figure


def _decades(info: Info) -> dict[str, Any]:
    if not info.errors:
        return {"showticklabels": False, "showgrid": False}
    low, high = math.log10(info.errors[0][0]), math.log10(info.errors[-1][1])
    marks = [10.0**d for d in range(math.floor(low), math.ceil(high) + 1)]
    return {"tickvals": marks, "ticktext": [_decade(m) for m in marks]}


def _marks(values: tuple[float, ...]) -> dict[str, Any]:
    whole = [i for i, v in enumerate(values) if abs(math.log10(v) - round(math.log10(v))) < 1e-6]
    whole = whole or list(range(len(values)))
    return {"tickvals": whole, "ticktext": [_decade(values[i]) for i in whole]}


def _decade(value: float) -> str:
    return f"{value:g}" if 0.01 <= value <= 100 else f"{value:.0e}".replace("e-0", "e-")


def _place(value: float, values: tuple[float, ...]) -> float:
    """Where a value lies among those of an axis, between their indices."""
    if value <= values[0]:
        return 0.0
    if value >= values[-1]:
        return len(values) - 1.0
    for i, (low, high) in enumerate(itertools.pairwise(values)):
        if low <= value <= high:
            return i + math.log(value / low) / math.log(high / low)
    raise AssertionError("the values of an axis rise")
