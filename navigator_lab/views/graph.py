"""A graph by blocks: operators, bytes and FLOPs; and what differs from another of the same model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from ..types.graph import Network, Node
from .numbers import bytes_, grouped, significant
from .theme import axis, layout, safe, short, theme

_PUT_IN = ("QuantizeLinear", "DequantizeLinear", "Cast", "Constant")
MOST = 24  # blocks that are told apart, unless a depth is asked for

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the graph. ``unknown`` nodes give values whose size is known only while running."""

    name: str
    nodes: int
    operators: Counts
    dtypes: Counts  # nodes by what they give
    parameter_bytes: int
    activation_bytes: int
    flops: int
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """One block in both graphs: what of it is there more or less often, as (name, here, there)."""

    block: str
    operators: tuple[tuple[str, int, int], ...]
    dtypes: tuple[tuple[str, int, int], ...]
    parameter_bytes: tuple[int, int]
    activation_bytes: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that is shown."""

    target: str
    batch: int
    depth: int
    blocks: tuple[Block, ...]
    total: Block
    against: str = ""
    differences: tuple[Difference, ...] = ()

    def __repr__(self) -> str:
        heads = ("block", "nodes", "parameters", "activations", "FLOPs", "operators")
        lines = [[*_cells(one), _listed(one.operators, 4)] for one in (*self.blocks, self.total)]
        wide = [max(len(line[i]) for line in (heads, *lines)) for i in range(5)]
        made = [f"{self.target}: {self.total.nodes} nodes, at batch {self.batch}"]
        for line in (heads, *lines):
            cells = [f"{line[0]:<{wide[0]}}", *(f"{line[i]:>{wide[i]}}" for i in range(1, 5))]
            made.append("  ".join([*cells, line[5]]).rstrip())
        if self.against:
            made += ["", f"beside {self.against}, there → here:"]
            made += [f"  {_changed(one)}" for one in self.differences] or ["  nothing"]
        return "\n".join(made)

    def _repr_html_(self) -> str:
        left, right = 'style="text-align:left"', 'style="text-align:right"'
        heads = ("nodes", "parameters", "activations", "FLOPs")
        head = f"<th {left}>block</th>" + "".join(f"<th {right}>{h}</th>" for h in heads)
        body = ""
        for one in (*self.blocks, self.total):
            name, *numbers = _cells(one)
            cells = "".join(f"<td {right}>{escape(text)}</td>" for text in numbers)
            body += f"<tr><td {left}>{escape(name)}</td>{cells}<td {left}>{escape(_listed(one.operators, 6))}</td></tr>"
        more = "".join(f"<li>{escape(_changed(one))}</li>" for one in self.differences)
        if self.against:
            more = f"<p>beside {escape(self.against)}, there → here:</p><ul>{more or '<li>nothing</li>'}</ul>"
        return (
            f'<div class="navigator-graph"><p>{escape(self.target)}: {self.total.nodes} nodes, at batch '
            f"{self.batch}</p><table><thead><tr>{head}<th {left}>operators</th></tr></thead>"
            f"<tbody>{body}</tbody></table>{more}</div>"
        )


def info(
    network: Network,
    target: str = "",
    against: Network | None = None,
    other: str = "",
    depth: int | None = None,
) -> Info:
    """The data of the view; ``lab.graph(target)`` gives it.

    Args:
        network: what the file holds.
        target: its name.
        against: another graph of the same model, at the same batch size.
        other: the name of that.
        depth: so many parts of a block's name are told apart; by default as many as give at most
            `MOST` blocks.
    """
    both = (*network.nodes, *(against.nodes if against else ()))
    depth = max(depth, 1) if depth is not None else _depth(node.block for node in both)
    here = _grouped(network.nodes, depth)
    blocks = tuple(_block(name, nodes) for name, nodes in here.items())
    differences = []
    if against is not None:
        there = _grouped(against.nodes, depth)
        for name in dict.fromkeys((*here, *there)):
            one = _difference(name, here.get(name, []), there.get(name, []))
            if one.operators or one.dtypes or len(set(one.parameter_bytes)) > 1:
                differences.append(one)
    return Info(
        target, network.batch, depth, blocks, _block("all", network.nodes), other,
        tuple(differences),
    )  # fmt: skip


def draw(info: Info, *, dark: bool = False) -> Any:
    """Parameters, activations and FLOPs of each block, as a plotly ``Figure``."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    look = theme(dark)
    names = [safe(short(one.name or "(top)", 40)) for one in info.blocks]
    parts = (
        ("parameters, MB", [one.parameter_bytes / 1e6 for one in info.blocks]),
        (f"activations at batch {info.batch}, MB", [one.activation_bytes / 1e6 for one in info.blocks]),
        ("GFLOP of products", [one.flops / 1e9 for one in info.blocks]),
    )  # fmt: skip
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.03)
    for column, (title, values) in enumerate(parts, 1):
        figure.add_trace(
            go.Bar(
                x=values, y=names, orientation="h", marker={"color": look.low}, showlegend=False,
                hovertext=[f"<b>{n}</b><br>{significant(v)} {title}<br>{safe(_listed(b.operators, 8))}"
                           for n, v, b in zip(names, values, info.blocks, strict=True)],
                hoverinfo="text",
            ),
            row=1, col=column,
        )  # fmt: skip
        figure.update_xaxes(**axis(look, title), row=1, col=column)
        figure.update_yaxes(**axis(look, ""), autorange="reversed", row=1, col=column)
    figure.update_layout(
        **layout(look, f"{safe(short(info.target, 60))}: {info.total.nodes} nodes by block"),
        height=130 + 22 * len(names),
        margin={"l": 10, "r": 10, "t": 56, "b": 10},
        bargap=0.25,
    )
    return figure


def _depth(blocks: Iterable[str]) -> int:
    names = [name.split("/") for name in set(blocks)]
    fits = [
        n for n in range(1, 1 + max(map(len, names), default=1))
        if len({tuple(parts[:n]) for parts in names}) <= MOST
    ]  # fmt: skip
    return max(fits, default=1)


def _grouped(nodes: Iterable[Node], depth: int) -> dict[str, list[Node]]:
    every = [("/".join(node.block.split("/")[:depth]), node) for node in nodes]
    # In the model's order, whatever a conversion put at the head of the file.
    own = [name for name, node in every if node.operator not in _PUT_IN]
    made: dict[str, list[Node]] = {name: [] for name in (*own, *(name for name, _ in every))}
    for name, node in every:
        made[name].append(node)
    return made


def _block(name: str, nodes: Iterable[Node]) -> Block:
    every = list(nodes)
    return Block(
        name,
        len(every),
        _counted(node.operator for node in every),
        _counted(node.dtype for node in every if node.dtype),
        sum(node.parameter_bytes for node in every),
        sum(node.activation_bytes or 0 for node in every),
        sum(node.flops for node in every),
        sum(node.activation_bytes is None for node in every),
    )


def _difference(name: str, here: list[Node], there: list[Node]) -> Difference:
    a, b = _block(name, here), _block(name, there)
    return Difference(
        name,
        _other(a.operators, b.operators),
        _other(a.dtypes, b.dtypes),
        (a.parameter_bytes, b.parameter_bytes),
        (a.activation_bytes, b.activation_bytes),
    )


def _other(here: Counts, there: Counts) -> tuple[tuple[str, int, int], ...]:
    a, b = dict(here), dict(there)
    return tuple(
        (name, a.get(name, 0), b.get(name, 0))
        for name in dict.fromkeys((*a, *b))
        if a.get(name, 0) != b.get(name, 0)
    )


def _counted(names: Iterable[str]) -> Counts:
    return tuple(Counter(names).most_common())


def _listed(counts: Counts, most: int) -> str:
    said = ", ".join(f"{n} {name}" for name, n in counts[:most])
    return said + (f", {len(counts) - most} more kinds" if len(counts) > most else "")


def _cells(one: Block) -> list[str]:
    activations = bytes_(one.activation_bytes) + (" +" if one.unknown else "")
    return [one.name or "(top)", grouped(one.nodes, 0), bytes_(one.parameter_bytes), activations,
            flops_(one.flops)]  # fmt: skip


def flops_(value: float) -> str:
    """A number of operations in the unit that fits."""
    for unit in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{significant(value)}{unit and f' {unit}'}"
        value /= 1000
    return f"{significant(value)} T"


def _changed(one: Difference) -> str:
    said = [f"{name} {there} → {here}" for name, here, there in (*one.operators, *one.dtypes)]
    if one.parameter_bytes[0] != one.parameter_bytes[1]:
        said.append(f"parameters {' → '.join(map(bytes_, reversed(one.parameter_bytes)))}")
    return f"{one.block or '(top)'}: {', '.join(said)}"
