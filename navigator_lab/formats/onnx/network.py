"""An ONNX graph as plain data: its nodes by the model's modules, with bytes and FLOPs at a batch size.

Nothing is run: shapes are inferred. Bodies of loops and branches count as the node that holds them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.types.graph import Network, Node
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, action, option
from navigator_lab.types.signature import Signature

from . import graph
from .retype import types_of
from .work import Counted

if TYPE_CHECKING:
    import onnx

ACTION = "onnx-network"
_SCOPES = "pkg.torch.onnx.name_scopes"
_WRAPPED = "module"  # our own wrapper around a torch module


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """At which shapes bytes and FLOPs are counted."""

    batch: int = option(1, "the batch size; other axes are at their usual size", unit="samples")


@action(ACTION, needs=("onnx",), options=NetworkOptions)
def network(at: At, model: Product, samples: Product) -> Network:
    """The graph of an ONNX product, node by node."""
    options = at.options or NetworkOptions()
    made = graph.plain(graph.load(model.path / graph.FORMAT.filename))
    return of(made, samples.read(Signature), options.batch)


def of(model: onnx.ModelProto, signature: Signature, batch: int) -> Network:
    """A graph whose nodes have names, at a batch size."""
    counted = Counted(model, signature, batch)
    weights, blocks, types = dict(counted.weights), blocks_of(model), types_of(model)
    made = []
    for node in model.graph.node:
        own = sum(weights.pop(name) for name in node.input if name in weights)
        given = [name for name in node.output if name]
        size = counted.whole(given)
        if node.op_type == "Constant":
            own, size = size or 0, 0
        first = given[0] if given else ""
        made.append(
            Node(
                node.name, node.op_type, first, blocks[node.name], name_of(types.get(first, 0)),
                counted.shapes.get(first), own, size, counted.flop(node),
            )
        )  # fmt: skip
    return Network(batch, tuple(made), graph.opset(model))


def name_of(kind: int) -> str:
    """The element type as numpy calls it; "" where it is not known."""
    import onnx

    name = onnx.TensorProto.DataType.Name(kind).lower() if kind else ""
    return {"float": "float32", "double": "float64"}.get(name, name)


def blocks_of(model: onnx.ModelProto) -> dict[str, str]:
    """Of each node its place in the model's modules: as torch's exporter noted it, or as its name
    has it; of a node that a conversion put in, that of what it reads, or of who reads it."""
    found = {node.name: _noted(node) for node in model.graph.node}
    made = {name: node.name for node in model.graph.node for name in node.output}
    readers: dict[str, str] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, node.name)
    placed = {name: place for name, place in found.items() if place is not None}
    for node in model.graph.node:
        if node.name not in placed:
            before = [placed[made[n]] for n in node.input if made.get(n) in placed]
            if before:
                placed[node.name] = before[0]
    for node in reversed(model.graph.node):
        if node.name not in placed:
            after = [placed[readers[n]] for n in node.output if readers.get(n) in placed]
            placed[node.name] = after[0] if after else ""
    return placed


def _noted(node: Any) -> str | None:
    for one in node.metadata_props:
        if one.key == _SCOPES:
            scopes = ast.literal_eval(one.value)[:-1]  # the last is the operator's own
            parts = (scopes[-1] if scopes else "").split(".")
            return "/".join(parts[1:] if parts[0] == _WRAPPED else parts)
    path = str(node.name).strip("/").split("/")
    return "/".join(path[:-1]) if len(path) > 1 and "half" not in path else None
