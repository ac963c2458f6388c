"""Error by layer between a reference graph and a candidate, and where it starts."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from ..types.graph import EXACT_DB, Drift, LayerError
from .numbers import significant
from .theme import axis, layout, safe, short, theme

SHOWN = 8  # layers in the table: those that lose most


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that is shown. ``losers`` are the layers that lose most of the signal they take."""

    target: str
    reference: str
    samples: int
    layers: tuple[LayerError, ...]
    outputs: tuple[tuple[str, float], ...]
    start: LayerError | None
    losers: tuple[LayerError, ...]
    unmatched: tuple[str, ...] = ()

    def __repr__(self) -> str:
        made = [self.head(), self.pointer()]
        if self.losers:
            wide = max(len(one.node) for one in self.losers)
            kind = max(len(one.operator) for one in self.losers)
            made.append("layers that lose most:")
        for one in self.losers:
            made.append(
                f"  {one.node:<{wide}}  {one.operator:<{kind}}  {one.dtype:<8}  "
                f"{_db(one.inputs_db):>8} → {_db(one.sqnr_db):>8}  worst |Δ| {significant(one.worst)}"
            )
        if self.unmatched:
            made.append(f"{len(self.unmatched)} values of the reference have no twin (fused away)")
        return "\n".join(made)

    def _repr_html_(self) -> str:
        left, right = 'style="text-align:left"', 'style="text-align:right"'
        body = "".join(
            f"<tr><td {left}>{escape(one.node)}</td><td {left}>{escape(one.operator)}</td>"
            f"<td {left}>{escape(one.dtype)}</td><td {right}>{_db(one.inputs_db)}</td>"
            f"<td {right}>{_db(one.sqnr_db)}</td><td {right}>{significant(one.worst)}</td></tr>"
            for one in self.losers
        )
        heads = ("layer", "operator", "type", "signal in", "signal out", "worst |Δ|")
        head = "".join(f"<th {left}>{h}</th>" for h in heads)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return (
            f'<div class="navigator-drift"><p>{escape(self.head())}</p><p><strong>'
            f"{escape(self.pointer())}</strong></p>{table if self.losers else ''}</div>"
        )

    def head(self) -> str:
        """What was compared, and what is left at the outputs."""
        many = f"{self.samples} sample{'' if self.samples == 1 else 's'}"
        outs = ", ".join(f"{name} {_db(db)}" for name, db in self.outputs)
        return (
            f"{self.target} beside {self.reference}, {len(self.layers)} values on {many}; "
            f"signal left at the outputs: {outs or 'not compared'}"
        )

    def pointer(self) -> str:
        """Where the error of the outputs is first there."""
        one = self.start
        if one is None:
            return "no error: the outputs are as exact as fp32 is"
        where = f" in {one.block}" if one.block else ""
        return (
            f"it starts at {one.node} ({one.operator}{where}): {_db(one.inputs_db)} of signal go in, "
            f"{_db(one.sqnr_db)} come out"
        )


def info(drift: Drift, target: str = "", reference: str = "") -> Info:
    """The data of the view; ``lab.drift(target)`` gives it."""
    losing = sorted(drift.layers, key=lambda one: -one.lost_db)[:SHOWN]
    return Info(
        target,
        reference,
        drift.samples,
        drift.layers,
        tuple(drift.outputs.items()),
        None if drift.start is None else drift.layers[drift.start],
        tuple(one for one in losing if one.lost_db > 1),
        drift.unmatched,
    )


def draw(info: Info, *, dark: bool = False) -> Any:
    """The signal that is left after each layer, in the order in which they run."""
    import plotly.graph_objects as go

    look = theme(dark)
    figure = go.Figure()
    places = range(len(info.layers))
    figure.add_trace(
        go.Scatter(
            x=list(places), y=[one.sqnr_db for one in info.layers], mode="lines+markers",
            line={"color": look.low, "width": 1}, showlegend=False,
            marker={"size": 6, "color": [look.wrong if one is info.start else look.low for one in info.layers]},
            hovertext=[f"<b>{safe(one.node)}</b> {safe(one.operator)}, {one.dtype}<br>{safe(one.block)}<br>"
                       f"{_db(one.inputs_db)} in, {_db(one.sqnr_db)} out<br>worst |Δ| {significant(one.worst)} "
                       f"at values up to {significant(one.largest)}" for one in info.layers],
            hoverinfo="text",
        )
    )  # fmt: skip
    if info.start is not None:
        at = info.layers.index(info.start)
        figure.add_vline(x=at, line={"color": look.wrong, "dash": "dot", "width": 1})
        figure.add_annotation(
            x=at, y=1, yref="paper", yanchor="bottom", showarrow=False, font={"size": 11},
            text=safe(f"starts at {short(info.start.node, 36)}"),
            xanchor="left" if at < len(info.layers) / 2 else "right",
        )  # fmt: skip
    figure.update_layout(
        **layout(look, f"{safe(short(info.target, 50))}: signal left, layer by layer"),
        height=380,
        margin={"l": 10, "r": 10, "t": 72, "b": 10},
        xaxis=axis(look, "layer, as they run →"),
        yaxis=axis(look, "↑ signal over error, dB"),
    )
    return figure


def _db(value: float | None) -> str:
    return "exact" if value is None or value >= EXACT_DB else f"{value:.1f} dB"
