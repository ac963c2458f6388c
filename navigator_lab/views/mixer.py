"""The precision mixer: error and latency by how many of the most sensitive nodes stay in fp32."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ..errors import RequestError
from ..types.run import Row
from ..types.target import Target
from .numbers import bytes_, interval, ratio
from .taken import only
from .theme import axis, colours, family, layout, safe, short, theme

OPTION = "keep_worst"


@dataclass(frozen=True, slots=True)
class Point:
    """One setting: ``keep`` nodes in fp32. None where something was not measured."""

    keep: int
    target: str
    status: str
    passed: bool | None
    sqnr_db: float | None
    worst_ratio: float | None
    ms: float | None
    ms_low: float | None
    ms_high: float | None
    throughput: float | None
    size_bytes: int | None
    reason: str = ""
    notes: tuple[str, ...] = ()  # which nodes, and why


@dataclass(frozen=True, slots=True)
class Info:
    """The settings of one target by their number, and fp32 on the same runner beside them."""

    title: str
    target: str  # without the setting
    family: str
    batch: int | None
    points: tuple[Point, ...]
    full: Point | None = None

    def __repr__(self) -> str:
        at = "" if self.batch is None else f", batch {self.batch}"
        lines = [
            f"{self.title}: {self.target} with its most sensitive nodes in fp32{at}",
            f"  {'in fp32':>8} {'signal':>8} {'error':>10} {'p50, ms':>18} {'size':>10}",
        ]
        for one in (*self.points, *([self.full] if self.full else [])):
            name = "all" if one is self.full else str(one.keep)
            lines.append(f"  {name:>8} {'  '.join(said(one))}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        right = 'style="text-align:right"'
        heads = ("nodes in fp32", "signal kept", "error ÷ tolerance", "p50, ms", "size", "")
        head = "".join(f"<th {right}>{h}</th>" for h in heads)
        body = ""
        for one in (*self.points, *([self.full] if self.full else [])):
            name = "all" if one is self.full else str(one.keep)
            cells = (name, *(part.strip() for part in said(one)), *one.notes[-1:])
            body += "<tr>" + "".join(f"<td {right}>{escape(c)}</td>" for c in cells) + "</tr>"
        return (
            f'<div class="navigator-mixer"><p>{escape(self.target)}</p><table><thead><tr>{head}</tr>'
            f"</thead><tbody>{body}</tbody></table></div>"
        )


def info(results: Any, target: str, batch: int | None = None) -> Info:
    """The settings of a target that were run.

    Args:
        results: results, a session or a loaded run.
        target: its text form, with or without the number.
        batch: where latency is compared; by default the smallest that all were measured at.

    Raises:
        RequestError: none of them was run.
    """
    run = only(results, "mixer")
    wanted = without(Target.parse(str(target)))
    rows = [row for row in run.results if without(Target.parse(row.target)) == wanted]
    if not rows:
        raise RequestError(
            f"{wanted} was not run in this session", f"lab.mix({str(wanted)!r}) runs it"
        )
    common = set.intersection(*({b["batch"] for b in row.batches} or {0} for row in rows)) - {0}
    at = batch if batch is not None else min(common, default=None)
    points = sorted((_point(row, at) for row in rows), key=lambda one: one.keep)
    plain = replace(wanted, settings=(), precision=type(wanted.precision)("fp32"))
    full = next((row for row in run.results if row.target == str(plain)), None)
    return Info(
        run.name,
        str(wanted),
        family(wanted.format, wanted.runner),
        at,
        tuple(points),
        None if full is None else _point(full, at),
    )


def without(target: Target) -> Target:
    """The target without the number of nodes."""
    kept = tuple((name, value) for name, value in target.settings if name != OPTION)
    return replace(target, settings=kept)


def _point(row: Row, batch: int | None) -> Point:
    one: dict[str, Any] = next((b for b in row.batches if b["batch"] == batch), {})
    return Point(
        int(dict(Target.parse(row.target).settings).get(OPTION, 0)),
        row.target,
        row.status,
        row.passed,
        row.sqnr_db,
        row.worst_ratio,
        one.get("p50_ms"),
        one.get("p50_ms_low"),
        one.get("p50_ms_high"),
        one.get("throughput"),
        row.size_bytes,
        row.reason,
        row.notes,
    )


def said(one: Point) -> tuple[str, str, str, str]:
    """Signal, error, latency and size in words."""
    ms = "–"
    if one.ms is not None and one.ms_low is not None and one.ms_high is not None:
        ms = interval(one.ms, one.ms_low, one.ms_high)
    return (
        f"{decibels(one.sqnr_db):>8}",
        f"{'–' if one.worst_ratio is None else ratio(one.worst_ratio):>8}",
        f"{ms:>18}",
        f"{'–' if one.size_bytes is None else bytes_(one.size_bytes):>10}",
    )


def decibels(value: float | None) -> str:
    """A signal-to-noise ratio in words."""
    if value is None:
        return "–"
    return ("∞" if value > 0 else "-∞") + " dB" if math.isinf(value) else f"{value:.1f} dB"


def draw(info: Info, *, dark: bool = False) -> Any:
    """Signal and latency by the number of nodes in fp32, as a plotly ``Figure``.

    Its slider walks along the settings; it needs no kernel.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    look = theme(dark)
    hue = colours([info.family], dark)[info.family]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    shown = [one for one in info.points if one.sqnr_db is not None]
    timed = [one for one in info.points if one.ms is not None]
    for row, points, value in ((1, shown, "sqnr_db"), (2, timed, "ms")):
        figure.add_trace(
            go.Scatter(
                x=[one.keep for one in points],
                y=[getattr(one, value) for one in points],
                mode="lines+markers",
                line={"color": hue, "width": 1.3},
                marker={
                    "size": 9,
                    "color": [look.wrong if one.passed is False else hue for one in points],
                    "symbol": ["x-open" if one.passed is False else "circle" for one in points],
                },
                error_y=_spread(points) if value == "ms" else None,
                hovertext=[_hover(one) for one in points],
                hoverinfo="text",
                showlegend=False,
            ),
            row=row,
            col=1,
        )
        known = getattr(info.full, value) if info.full else None
        if known is not None and math.isfinite(known):
            figure.add_hline(
                y=known, line={"color": look.muted, "dash": "dot", "width": 1}, row=row, col=1,
                annotation_text="all fp32", annotation_font_size=11,
            )  # fmt: skip
    at = "" if info.batch is None else f", batch {info.batch}"
    figure.update_layout(
        **layout(look, f"{info.title}: {safe(short(info.target, 50))}, the worst in fp32{at}"),
        height=470,
        margin={"l": 10, "r": 10, "t": 56, "b": 10},
    )
    figure.update_xaxes(**axis(look, ""), row=1, col=1)
    figure.update_xaxes(**axis(look, "most sensitive nodes kept in fp32 →"), row=2, col=1)
    figure.update_yaxes(**axis(look, "↑ signal kept, dB"), row=1, col=1)
    figure.update_yaxes(**axis(look, "p50, ms per call"), rangemode="tozero", row=2, col=1)
    if info.points:
        figure.update_layout(
            sliders=[_slider(info, look)],
            shapes=[*figure.layout.shapes, _mark(info.points[0], look)],
        )
    return figure


def _mark(one: Point, look: Any) -> dict[str, Any]:
    line = {"color": look.text, "width": 1.5}
    return {"type": "line", "x0": one.keep, "x1": one.keep, "y0": 0, "y1": 1, "xref": "x",
            "yref": "paper", "line": line}  # fmt: skip


def _slider(info: Info, look: Any) -> dict[str, Any]:
    """A step a setting: it moves the mark and says what was measured there."""
    last = sum(
        1
        for value in ("sqnr_db", "ms")
        if info.full is not None
        and getattr(info.full, value) is not None
        and math.isfinite(getattr(info.full, value))
    )
    steps = []
    for one in info.points:
        signal, error, ms, size = (part.strip() for part in said(one))
        words = f"{one.keep}: {signal}, error {error}×, {ms} ms, {size}"
        change = {f"shapes[{last}].x0": one.keep, f"shapes[{last}].x1": one.keep}
        steps.append({"method": "relayout", "args": [change], "label": words})
    return {
        "active": 0,
        "steps": steps,
        "currentvalue": {"prefix": "in fp32 ", "font": {"color": look.text, "size": 13}},
        "font": {"color": "rgba(0,0,0,0)", "size": 1},  # the words of the others
        "ticklen": 4,
        "pad": {"t": 44},
    }


def _spread(points: list[Point]) -> dict[str, Any]:
    high = [(one.ms_high or 0) - (one.ms or 0) for one in points]
    low = [(one.ms or 0) - (one.ms_low or 0) for one in points]
    return {"type": "data", "symmetric": False, "array": high, "arrayminus": low, "width": 0}


def _hover(one: Point) -> str:
    signal, error, ms, size = (part.strip() for part in said(one))
    lines = [f"<b>{one.keep} nodes in fp32</b>", f"signal {signal}, error {error}× the tolerance"]
    lines += [f"p50 {ms} ms", size]
    if one.reason:
        lines.append(safe(short(one.reason, 90)))
    return "<br>".join(lines)
