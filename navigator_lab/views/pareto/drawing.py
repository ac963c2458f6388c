"""The Pareto view as a plotly figure."""

from __future__ import annotations

from typing import Any

from ..numbers import interval, significant
from ..theme import AXES, SHAPES, Theme, axis, colours, faint, layout, safe, shape, short, theme
from .data import Info, Line, Point
from .labels import named, nothing
from .scale import height, is_log, ticks

_DASHES = ("solid", "dot", "dash", "longdash")  # runs drawn over each other


def draw(info: Info, *, dark: bool = False) -> Any:
    """The view as a plotly ``Figure``: nothing in it is computed here."""
    import plotly.graph_objects as go

    look = theme(dark)
    hues = colours((line.family for line in info.lines), dark)
    figure = go.Figure()
    order = sorted(range(len(info.lines)), key=lambda i: any(p.front for p in info.lines[i].points))
    for index in order:
        line = info.lines[index]
        figure.add_trace(_trace(go, info, index, line, hues[line.family], look))
    if info.steps:
        xs, ys = zip(*_reaching(info), strict=True)
        figure.add_trace(
            go.Scatter(
                x=xs, y=ys, mode="lines", name="front", hoverinfo="skip", showlegend=False,
                line={"color": look.text, "width": 1.5},
            )
        )  # fmt: skip
    _legend(go, figure, info, hues, look)
    x_title = f"{info.x_words}, {info.x_unit} (log)" if is_log(info) else _linear(info)
    figure.update_layout(
        **layout(look, f"{info.title}: {info.y_words} against {info.x_words}"),
        height=500,
        margin={"l": 10, "r": 24, "t": 64, "b": 10},
        hovermode="closest",
        xaxis=axis(
            look, f"{safe(x_title)} →", type="log" if is_log(info) else "linear",
            minor={"showgrid": False}, **ticks(info),
        ),
        yaxis=axis(look, f"↑ {info.y_words}, {info.y_unit}", rangemode="tozero",
                   range=height(info), tickformat=",~f"),
        separators=".\u202f",
        legend={
            "orientation": "h", "x": 0, "xanchor": "left", "y": -0.16, "yanchor": "top",
            "font": {"size": 11, "color": look.muted}, "itemclick": "toggle",
            "itemdoubleclick": "toggleothers", "traceorder": "normal",
        },
        shapes=_limit_shapes(info, look),
        annotations=named(info, hues, look),
    )  # fmt: skip
    if not info.front:
        figure.add_annotation(nothing(info, look))
    return figure


def _trace(go: Any, info: Info, index: int, line: Line, hue: str, look: Theme) -> Any:
    wrong = line.passed is False or line.status != "done"
    cross = look.wrong if line.passed is False else look.failed
    on_front = any(p.front for p in line.points)
    symbols, fills, sizes = [], [], []
    for point in line.points:
        base = shape(line.precision)
        symbols.append("x-open" if wrong else base if point.front else f"{base}-open")
        fills.append(cross if wrong else hue)
        sizes.append(11 if point.front or (line.baseline and not wrong) else 9)
    many = len(info.lines) > 20
    faded = 1.0 if on_front or line.baseline else 0.4 if many else 0.75
    return go.Scatter(
        x=[p.x for p in line.points],
        y=[p.y for p in line.points],
        mode="lines+markers",
        name=safe(line.target) + (", served" if line.served else ""),
        legendgroup=safe(line.family),
        showlegend=False,
        line={
            "color": hue, "width": 2 if on_front else 1,
            "dash": "dashdot" if line.served else "dot" if wrong else _DASHES[line.run % len(_DASHES)],
        },
        opacity=faded,
        marker={
            "symbol": symbols, "size": sizes, "color": fills,
            "line": {"width": 1.6, "color": fills},
            "opacity": [0.35 if p.misses else 1.0 for p in line.points],
        },
        error_x=_bars([p.x for p in line.points], [p.x_low for p in line.points],
                      [p.x_high for p in line.points], hue, many and not on_front),
        error_y=_bars([p.y for p in line.points], [p.y_low for p in line.points],
                      [p.y_high for p in line.points], hue, many and not on_front),
        hovertext=[_hover(info, line, p) for p in line.points],
        hoverinfo="text",
        customdata=[[line.run, line.target, p.batch] for p in line.points],
        meta=index,
    )  # fmt: skip


def _bars(
    values: list[float], low: list[float], high: list[float], hue: str, quiet: bool
) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "visible": not quiet,
        "array": [max(h - v, 0.0) for v, h in zip(values, high, strict=True)],
        # A log axis has no place for zero and below.
        "arrayminus": [min(max(v - w, 0.0), v * 0.95) for v, w in zip(values, low, strict=True)],
        "color": faint(hue),
        "thickness": 1.2,
        "width": 0,
    }


def _hover(info: Info, line: Line, point: Point) -> str:
    per = AXES[info.x][1]
    said = [f"<b>{safe(line.target)}</b>", f"batch {point.batch}"]
    if line.served:
        said[1] = f"served, {point.load}, requests of {point.batch}"
        said.append(safe(line.served))
    if len(info.runs) > 1:
        said.insert(1, safe(info.runs[line.run]))
    said.append(f"{info.x_words} {interval(point.x, point.x_low, point.x_high)} {per}")
    said.append(f"{info.y_words} {interval(point.y, point.y_low, point.y_high)} /s")
    if point.gain is not None:
        name = "the baseline" if not line.baseline else "itself: it is the baseline"
        said.append(f"{significant(point.gain, 2)}× {name}" if not line.baseline else name)
    if line.status != "done":
        said.append(f"{line.status}: {_cut(line.reason)}")
    elif line.passed is False:
        said.append(f"not within tolerance: {_cut(line.reason)}")
    elif line.passed is None:
        said.append("never compared with the reference, so not on the front")
    said += [f"off limits: {safe(miss)}" for miss in point.misses]
    if not point.stable:
        said.append(f"noisy: {_cut(point.note)}")
    return "<br>".join(said)


def _cut(text: str) -> str:
    """A sentence in lines of bearable width."""
    import textwrap

    return "<br>   ".join(safe(part) for part in textwrap.wrap(text, 70)[:3])


def _linear(info: Info) -> str:
    return f"{info.x_words}, {info.x_unit}"


def _reaching(info: Info) -> list[tuple[float, float]]:
    """The front, carried on to the right edge: what it offers from there on."""
    end = max(p.x for line in info.lines for p in line.points) * 1.03
    if info.x in info.limits:
        end = min(end, info.limits[info.x] * AXES[info.x][2])
    return [*info.steps, (max(end, info.steps[-1][0]), info.steps[-1][1])]


def _limit_shapes(info: Info, look: Theme) -> list[dict[str, Any]]:
    made = []
    if info.x in info.limits:
        at = info.limits[info.x] * AXES[info.x][2]
        ends = ticks(info).get("range")
        edge = 10 ** ends[1] if ends else at * 1.2
        made += [
            {"type": "rect", "xref": "x", "yref": "paper", "x0": at, "x1": max(edge, at), "y0": 0,
             "y1": 1, "fillcolor": look.soft, "line": {"width": 0}, "layer": "below"},
            {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1,
             "line": {"color": look.text, "width": 1, "dash": "dash"}},
        ]  # fmt: skip
    if "min_throughput" in info.limits:
        at = info.limits["min_throughput"]
        made.append(
            {"type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": at, "y1": at,
             "line": {"color": look.text, "width": 1, "dash": "dash"}}
        )  # fmt: skip
    return made


def _legend(go: Any, figure: Any, info: Info, hues: dict[str, str], look: Theme) -> None:
    """Colours, then shapes, then what a cross is; names are told when pointed at."""

    def entry(name: str, **more: Any) -> None:
        figure.add_trace(go.Scatter(x=[None], y=[None], name=name, hoverinfo="skip", **more))

    for name, hue in hues.items():
        entry(safe(name), mode="lines", line={"color": hue, "width": 3}, legendgroup=safe(name))
    for precision in dict.fromkeys([*SHAPES, *(line.precision for line in info.lines)]):
        if any(line.precision == precision for line in info.lines):
            marker = {"symbol": shape(precision), "size": 8, "color": look.muted}
            entry(safe(precision), mode="markers", marker=marker, legendgroup="shapes")
    plain = {"size": 9, "line": {"width": 1.6}}
    if info.lines:
        hollow = {**plain, "symbol": "circle-open", "color": look.muted}
        entry("off the front", mode="markers", marker=hollow, legendgroup="state")
    if any(line.served for line in info.lines):
        dash = {"color": look.muted, "width": 2, "dash": "dashdot"}
        entry("served, by load", mode="lines", line=dash, legendgroup="state")
    if any(line.passed is False for line in info.lines):
        cross = {**plain, "symbol": "x-open", "color": look.wrong}
        entry("out of tolerance", mode="markers", marker=cross, legendgroup="state")
    if any(line.status != "done" for line in info.lines):
        cross = {**plain, "symbol": "x-open", "color": look.failed}
        entry("a step failed", mode="markers", marker=cross, legendgroup="state")
    if len(info.runs) > 1:
        for index, name in enumerate(info.runs):
            dash = {"color": look.muted, "width": 2, "dash": _DASHES[index % len(_DASHES)]}
            entry(safe(short(name, 48)), mode="lines", line=dash, legendgroup="runs")
