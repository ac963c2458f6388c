"""The roofline: how near each target comes to what its device can do for this model.

After Williams, Waterman and Patterson (2009). The least time of a call is the larger of two: its
matrix products at the device's best rate in the target's precision, and its weights, inputs and
outputs at the rate of its memory. That no runtime has to keep its intermediate results in memory
makes it a bound that is seldom reached, and never beaten but by a smaller model.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from ..errors import RequestError
from ..types.measure import Roofline
from .numbers import ratio, significant
from .taken import only
from .theme import axis, colours, family, layout, safe, shape, short, theme

# Bytes of a weight by precision, in place of the graph's four.
_WEIGHTS = {"fp16": 2, "bf16": 2, "int8": 1, "int8-dynamic": 1, "int8-weights": 1, "fp8": 1,
            "int4-weights": 0.5}  # fmt: skip
# What a precision's products are computed in, where that has another name.
_COMPUTES = {"int8-dynamic": "int8"}


@dataclass(frozen=True, slots=True)
class Point:
    """A target at a batch size. ``least_ms`` is None where the device's rate is not known.

    ``compute_ms`` is the median without the transfers of inputs and outputs, ``share`` what the
    bound is of that.
    """

    target: str
    family: str
    precision: str
    device: str
    passed: bool | None
    batch: int
    compute_ms: float
    least_ms: float | None
    bound: str  # "compute" or "memory"; or why there is none
    share: float | None
    flop: int
    moved_bytes: float


@dataclass(frozen=True, slots=True)
class Info:
    """Each target at each batch size, the nearest to its bound first, and the peaks by device."""

    title: str
    devices: tuple[Roofline, ...]
    points: tuple[Point, ...]

    def best(self) -> tuple[Point, ...]:
        """Each target where it comes nearest to its bound; those without one last."""
        found: dict[str, Point] = {}
        for point in self.points:
            found.setdefault(point.target, point)
        return tuple(found.values())

    def _lines(self) -> list[tuple[str, ...]]:
        return [
            (p.target, str(p.batch), significant(p.compute_ms),
             "–" if p.least_ms is None else significant(p.least_ms),
             "–" if p.share is None else f"{p.share:.1%}", p.bound)
            for p in self.best()
        ]  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"{self.title}: share of the roofline, each target at its nearest batch"]
        lines += [f"  {_machine(one)}" for one in self.devices]
        rows = [("target", "batch", "ms", "least ms", "share", "bound by"), *self._lines()]
        wide = [max(len(row[i]) for row in rows) for i in range(5)]
        for row in rows:
            cells = [row[0].ljust(wide[0]), *(row[i].rjust(wide[i]) for i in range(1, 5)), row[5]]
            lines.append("  " + "  ".join(cells))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = ("target", "batch", "ms", "least ms", "share", "bound by")
        right = 'style="text-align:right"'
        head = "".join(f"<th>{h}</th>" for h in heads)
        body = "".join(
            "<tr>" + f"<td><code>{escape(row[0])}</code></td>"
            + "".join(f"<td {right}>{escape(cell)}</td>" for cell in row[1:5])
            + f"<td>{escape(row[5])}</td></tr>"
            for row in self._lines()
        )  # fmt: skip
        said = "<br>".join(escape(_machine(one)) for one in self.devices)
        return f"<p>{said}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def info(results: Any) -> Info:
    """The roofline of a session or a loaded run.

    Raises:
        RequestError: none was measured in it.
    """
    run = only(results, "roofline")
    data = getattr(run.explored, "run_data", None)
    known = {one.device: one for one in (data.rooflines if data else ())}
    if not known:
        raise RequestError(
            "no roofline was measured in this run", "lab.roofline() measures one, in a live session"
        )
    points = []
    for row in run.results:
        if row.device not in known:
            continue
        timing = run.explored[row.target].timing
        for one in timing.batches if timing else ():
            if one.batch in known[row.device].work.batches:
                spent = one.p50_ms.value - one.put_ms - one.get_ms
                points.append(_point(row, one.batch, max(spent, 1e-6), known[row.device]))
    points.sort(key=lambda p: -(p.share or 0.0))
    return Info(run.name, tuple(known.values()), tuple(points))


def _point(row: Any, batch: int, compute_ms: float, line: Roofline) -> Point:
    work, peaks = line.work, line.peaks
    at = work.batches.index(batch)
    moved = work.weight_bytes * _WEIGHTS.get(row.precision, 4) / 4 + work.outside_bytes[at]
    name = _COMPUTES.get(row.precision, row.precision)
    if name.endswith("-weights"):
        name = "fp32"
    rate = peaks.flops.get(name)
    least, share = None, None
    bound = f"no rate for {name} is known here: {peaks.missing.get(name, 'it was not measured')}"
    if rate:
        compute, memory = work.flop[at] / rate, moved / peaks.bytes_s
        least = max(compute, memory) * 1e3
        bound, share = "compute" if compute >= memory else "memory", least / compute_ms
    return Point(
        row.target, family(row.format, row.runner), row.precision, row.device, row.passed, batch,
        compute_ms, least, bound, share, work.flop[at], moved,
    )  # fmt: skip


def _machine(one: Roofline) -> str:
    rates = ", ".join(f"{name} {rate / 1e12:.3g}" for name, rate in one.peaks.flops.items())
    per = one.work.flop[0] / one.work.batches[0] / 1e9
    more = f"; {len(one.work.unknown)} nodes of unknown shape are not counted" if one.work.unknown else ""  # fmt: skip
    return (
        f"{one.device}: {rates} TFLOP/s, memory {one.peaks.bytes_s / 1e9:,.0f} GB/s; "
        f"the model takes {per:.3g} GFLOP a sample and {one.work.weight_bytes / 1e6:.3g} MB of weights{more}"
    )


def draw(info: Info, *, device: str = "", dark: bool = False) -> Any:
    """Rate by intensity, both logarithmic, under the device's roofs, as a plotly ``Figure``."""
    import plotly.graph_objects as go

    look = theme(dark)
    line = next(d for d in info.devices if device in ("", d.device))
    points = [p for p in info.points if p.device == line.device and p.flop]
    hues = colours([p.family for p in points], dark)
    figure = go.Figure()
    spread = [p.flop / p.moved_bytes for p in points] or [1.0]
    ends = [min(spread) / 4, max(spread) * 4]
    for name, rate in line.peaks.flops.items():
        bend = rate / line.peaks.bytes_s
        xs = sorted({ends[0], min(max(bend, ends[0]), ends[1]), ends[1]})
        figure.add_trace(go.Scatter(
            x=xs, y=[min(rate, x * line.peaks.bytes_s) / 1e9 for x in xs], mode="lines+text",
            line={"color": look.muted, "width": 1, "dash": "dot"}, hoverinfo="skip",
            text=["", *[""] * (len(xs) - 2), name], textposition="top left",
            textfont={"size": 11, "color": look.muted}, showlegend=False,
        ))  # fmt: skip
    for name, hue in hues.items():
        own = [p for p in points if p.family == name]
        figure.add_trace(go.Scatter(
            x=[p.flop / p.moved_bytes for p in own], y=[p.flop / p.compute_ms / 1e6 for p in own],
            mode="markers", name=safe(name),
            marker={"color": hue, "size": 9, "symbol": [
                shape(p.precision) + ("-open" if p.passed is False else "") for p in own]},
            hovertext=[_hover(p) for p in own], hoverinfo="text",
        ))  # fmt: skip
    figure.update_layout(
        **layout(look, f"{info.title}: roofline of {line.device}"), height=460,
        margin={"l": 10, "r": 10, "t": 56, "b": 10},
    )  # fmt: skip
    figure.update_xaxes(**axis(look, "FLOP per byte that must be moved →", type="log"))
    figure.update_yaxes(**axis(look, "↑ GFLOP/s reached", type="log"))
    return figure


def _hover(p: Point) -> str:
    share = "no bound is known" if p.share is None else f"{p.share:.1%} of the roofline ({p.bound})"
    return (
        f"<b>{safe(short(p.target, 60))}</b><br>batch {p.batch}: {significant(p.compute_ms)} ms<br>"
        f"{share}, {ratio(p.flop / p.compute_ms / 1e9)} TFLOP/s"
    )
