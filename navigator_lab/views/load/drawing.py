"""The view of loads as a plotly figure."""

from __future__ import annotations

import math
from typing import Any

from ..numbers import interval, significant
from ..theme import Theme, axis, faint, layout, safe, short, theme
from .data import PARTS, QUANTILES, Bar, Curve, Info, Point

# Of tests drawn over each other, for a light and a dark ground; told apart without red and green.
_HUES = (
    ("#0072b2", "#5aaeea"),
    ("#b37700", "#e69f00"),
    ("#008a64", "#2fc498"),
    ("#bb5f92", "#e39bc5"),
)
_PARTS = (("#b37700", "#e69f00"), ("#9fb7c9", "#4f6b80"), ("#0072b2", "#5aaeea"),
          ("#c5b6d6", "#6f5f86"), ("#d9d9d9", "#4a4a4a"))  # fmt: skip
_DASHES = {"p50_ms": "solid", "p99_ms": "dot"}
_SHOWN = ("p50_ms", "p99_ms")
_MANY = 12  # more bars than these are the last ones only


def draw(info: Info, *, dark: bool = False) -> Any:
    """The view as a plotly ``Figure``: latency above, the server's time and batches below."""
    import plotly.graph_objects as go

    look = theme(dark)
    figure = go.Figure()
    for index, curve in enumerate(info.curves):
        hue = _HUES[index % len(_HUES)][dark]
        for trace in _latency(go, curve, hue, look, len(info.curves) > 1):
            figure.add_trace(trace)
    bars = info.curves[-1].bars[-_MANY:]
    for trace in (*_time(go, bars, dark), *_batches(go, bars, look, dark)):
        figure.add_trace(trace)
    last = info.curves[-1]
    of = f", {safe(last.name)}" if len(info.curves) > 1 else ""
    notes = [
        _heading(0.0, f"where a request's time goes, mean ms{of}", look),
        _heading(0.62, f"executions by batch size{of}", look),
        *_marks(info, look),
    ]
    if info.remark:
        text = _wrapped(f"{info.remark[:1].upper()}{info.remark[1:]}.", 122)
        notes.append(
            {**_heading(0.0, text, look), "y": -0.17, "yanchor": "top", "align": "left",
             "font": {"size": 11, "color": look.muted}}
        )  # fmt: skip
    quiet = {"font": {"size": 11, "color": look.muted}, "orientation": "h", "x": 0,
             "xanchor": "left", "traceorder": "normal", "bgcolor": "rgba(0,0,0,0)"}  # fmt: skip
    figure.update_layout(
        **layout(look, f"{info.title}: latency by requests a second"),
        height=720 if info.remark else 670,
        margin={"l": 10, "r": 24, "t": 72, "b": 130 if info.remark else 80},
        barmode="stack",
        bargap=0.35,
        hovermode="closest",
        separators=".\u202f",
        legend={**quiet, "y": 1.0, "yanchor": "bottom"},
        legend2={**quiet, "y": -0.1, "yanchor": "top"},
        xaxis=axis(look, f"{_asked(info)} →", domain=[0, 1], anchor="y",
                   tickformat=",~f", range=_reach(info)),
        yaxis=axis(look, "↑ latency, ms (log)", domain=[0.54, 1], anchor="x", type="log",
                   **_ticks(info)),
        xaxis2=axis(look, safe(last.levels), domain=[0, 0.54], anchor="y2", type="category",
                    tickangle=0),
        yaxis2=axis(look, "", domain=[0, 0.4], anchor="x2", rangemode="tozero"),
        xaxis3=axis(look, "share of executions", domain=[0.62, 1], anchor="y3", range=[0, 1],
                    tickformat=".0%"),
        yaxis3=axis(look, "", domain=[0, 0.4], anchor="x3", type="category",
                    autorange="reversed"),
        shapes=_limits(info, look),
        annotations=notes,
    )  # fmt: skip
    return figure


def _asked(info: Info) -> str:
    loops = {"asked" if curve.loop == "open" else "answered" for curve in info.curves}
    if len(loops) > 1:
        return "requests a second: asked in an open loop, answered in a closed one"
    return f"requests {loops.pop()} a second"


def _heading(x: float, text: str, look: Theme) -> dict[str, Any]:
    return {
        "x": x, "y": 0.41, "xanchor": "left", "yanchor": "bottom", "xref": "paper",
        "yref": "paper", "showarrow": False, "text": text,
        "font": {"size": 12, "color": look.text},
    }  # fmt: skip


def _reach(info: Info) -> list[float]:
    """From nothing on; of a sweep, whose points lie together, only about them."""
    rates = [p.x for c in info.curves for p in c.points] or [1.0]
    low = 0.0
    if all(c.loop == "sweep" for c in info.curves):
        low = max(0.0, min(rates) - 0.15 * (max(rates) - min(rates)) - 0.02 * max(rates))
    return [low, max(rates) + 0.1 * (max(rates) - low)]


def _latency(go: Any, curve: Curve, hue: str, look: Theme, several: bool) -> list[Any]:
    made = []
    for name in _SHOWN:
        at = QUANTILES.index(name)
        word = name.removesuffix("_ms")
        fine = [not (p.errors or p.limited) and p.kept_up for p in curve.points]
        symbol = "circle" if name == "p50_ms" else "diamond"
        made.append(
            go.Scatter(
                x=[p.x for p in curve.points],
                y=[p.ms[at] for p in curve.points],
                mode="markers" if curve.loop == "sweep" else "lines+markers",
                name=safe(f"{curve.name}, {word}" if several else word),
                line={"color": hue, "width": 1.8, "dash": _DASHES[name]},
                marker={
                    "symbol": [symbol if ok else f"{symbol}-open" for ok in fine],
                    "size": [12 if p.chosen else 8 for p in curve.points],
                    "color": hue, "line": {"width": 1.4, "color": hue},
                },
                error_y={
                    "type": "data", "symmetric": False, "thickness": 1.2, "width": 0,
                    "color": faint(hue),
                    "array": [max(p.high[at] - p.ms[at], 0) for p in curve.points],
                    "arrayminus": [
                        min(max(p.ms[at] - p.low[at], 0), p.ms[at] * 0.95) for p in curve.points
                    ],
                },
                hovertext=[_hover(curve, p) for p in curve.points],
                hoverinfo="text",
            )
        )  # fmt: skip
    return made


def _hover(curve: Curve, point: Point) -> str:
    said = [f"<b>{safe(point.label)}</b>", f"{significant(point.rate)} answers/s"]
    for at, name in enumerate(QUANTILES):
        told = interval(point.ms[at], point.low[at], point.high[at])
        said.append(f"{name.removesuffix('_ms')} {told} ms")
    if point.note:
        said.append(safe(point.note))
    return "<br>".join(said)


def _marks(info: Info, look: Theme) -> list[dict[str, Any]]:
    """Names of the loads where there is room, the knee, and what was chosen."""
    made = []
    low, high = _reach(info)
    for curve in info.curves:
        for index, point in enumerate(curve.points):
            at = (point.x - low) / (high - low)
            knee, chosen = curve.knee == index, point.chosen
            few = len(info.curves) == 1 and len(curve.points) <= 8 and curve.loop == "closed"
            if not (knee or chosen or few) or not point.ms[0] > 0:
                continue
            text = safe(short(point.label, 40))
            if knee:
                text = f"<b>knee</b>: {text}"
            if chosen:
                text = f"<b>chosen</b>: {text}"
            made.append(
                {"x": point.x, "y": math.log10(point.ms[0]), "xref": "x", "yref": "y",
                 "text": text, "showarrow": True, "arrowhead": 0, "arrowwidth": 0.8,
                 "arrowcolor": look.muted, "standoff": 5, "ax": 0, "ay": 26 if not knee else 42,
                 "font": {"size": 11, "color": look.text if knee or chosen else look.muted},
                 "bgcolor": look.ground, "borderpad": 1,
                 "xanchor": "left" if at < 0.1 else "right" if at > 0.85 else "center"}
            )  # fmt: skip
    return made


def _limits(info: Info, look: Theme) -> list[dict[str, Any]]:
    return [
        {"type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": limit, "y1": limit,
         "line": {"color": look.wrong, "width": 1, "dash": "dash"},
         "label": {"text": f"p99 ≤ {significant(limit)} ms", "textposition": "start",
                   "font": {"size": 11, "color": look.wrong}}}
        for limit in dict.fromkeys(c.limit_ms for c in info.curves if c.limit_ms is not None)
    ]  # fmt: skip


def _time(go: Any, bars: tuple[Bar, ...], dark: bool) -> list[Any]:
    names = (*PARTS, "network and client")
    made = []
    for at, name in enumerate(names):
        values = [b.rest_ms if at == len(PARTS) else b.ms[at] for b in bars]
        made.append(
            go.Bar(
                x=[_name(b) for b in bars], y=values, name=name, xaxis="x2", yaxis="y2",
                legend="legend2", marker={"color": _PARTS[at][dark]},
                hovertext=[
                    f"<b>{safe(b.label)}</b><br>{name} {significant(v)} ms"
                    + (f"<br>instances busy {b.busy:.0%}" if b.busy is not None else "")
                    for b, v in zip(bars, values, strict=True)
                ],
                hoverinfo="text",
            )
        )  # fmt: skip
    return made


def _batches(go: Any, bars: tuple[Bar, ...], look: Theme, dark: bool) -> list[Any]:
    """A row a load, cut by batch size: the larger the batch, the stronger the colour."""
    sizes = sorted({size for bar in bars for size, _ in bar.batches})
    made = []
    for at, size in enumerate(sizes):
        share = []
        for bar in bars:
            total = sum(n for _, n in bar.batches)
            share.append(dict(bar.batches).get(size, 0) / total if total else 0.0)
        colour = _shade(at / max(len(sizes) - 1, 1), dark)
        made.append(
            go.Bar(
                y=[_name(b) for b in bars], x=share, orientation="h", xaxis="x3", yaxis="y3",
                name=f"batch {size}", showlegend=False,
                marker={"color": colour, "line": {"color": look.ground, "width": 1}},
                text=[str(size) if s >= 0.07 else "" for s in share], textposition="inside",
                insidetextanchor="middle", textangle=0,
                insidetextfont={"size": 11, "color": _ink(at / max(len(sizes) - 1, 1), dark)},
                hovertext=[
                    f"<b>{safe(b.label)}</b><br>batch {size}: {s:.1%} of executions"
                    for b, s in zip(bars, share, strict=True)
                ],
                hoverinfo="text",
            )
        )  # fmt: skip
    return made


def _name(bar: Bar) -> str:
    short = bar.label.removesuffix(" under way").removesuffix("/s asked")
    return safe(short.removesuffix(" sequences"))


def _shade(share: float, dark: bool) -> str:
    ends = ((214, 230, 241), (0, 74, 120)) if not dark else ((52, 72, 88), (140, 205, 250))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(*ends, strict=True))


def _ink(share: float, dark: bool) -> str:
    strong = share > 0.5
    return ("#101010" if strong else "#f0f0f0") if dark else ("#ffffff" if strong else "#212121")


def _ticks(info: Info) -> dict[str, Any]:
    """1, 2, 5 of each decade in reach."""
    points = [p for c in info.curves for p in c.points]
    ends = [v for p in points for v in (p.ms[0], p.ms[-1], p.low[0], p.high[0], p.high[-1])]
    values = [v for v in ends if math.isfinite(v) and v > 0]
    values += [c.limit_ms for c in info.curves if c.limit_ms]
    if not values:
        return {}
    low, high = math.log10(min(values)), math.log10(max(values))
    pad = max(0.12 * (high - low), 0.12)
    low, high = low - 1.6 * pad, high + pad
    marks = [
        k * 10.0**d
        for d in range(math.floor(low) - 1, math.ceil(high) + 1)
        for k in (1, 2, 5)
        if low <= math.log10(k * 10.0**d) <= high
    ]
    return {"range": [low, high], "tickvals": marks,
            "ticktext": [f"{m:g}" for m in marks]}  # fmt: skip


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "<br>".join(safe(line) for line in textwrap.wrap(text, width))
