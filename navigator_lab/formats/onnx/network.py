"""An ONNX graph as plain data: its nodes by the model's modules, with bytes and FLOPs at a batch size.

Nothing is run: shapes are inferred. Bodies of loops and branches count as the node that holds them.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.types import samples as stored
from navigator_lab.types.graph import Network, Node
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, action, option
from navigator_lab.types.signature import Signature

from . import graph

if TYPE_CHECKING:
    import onnx

ACTION = "onnx-network"
_SCOPES = "pkg.torch.onnx.name_scopes"
_PRODUCTS = {"MatMul", "MatMulInteger", "QLinearMatMul", "MatMulNBits"}
_CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv"}
_WRAPPED = "module"  # our own wrapper around a torch module


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """At which shapes bytes and FLOPs are counted."""

    batch: int = option(1, "the batch size; other axes are as in the first sample", unit="samples")


@action(ACTION, needs=("onnx", "numpy"), options=NetworkOptions)
def network(at: At, model: Product, samples: Product) -> Network:
    """The graph of an ONNX product, node by node."""
    options = at.options or NetworkOptions()
    signature = samples.read(Signature)
    feeds = stored.batch_of(stored.read(samples.path), signature, options.batch)
    made = graph.plain(graph.load(model.path / graph.FORMAT.filename))
    shapes, types, notes = inferred(made, {name: a.shape for name, a in feeds.items()})
    return Network(options.batch, nodes(made, shapes, types), graph.opset(made), notes)


def inferred(
    model: onnx.ModelProto, fed: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int], tuple[str, ...]]:
    """Shapes and element types of all values when inputs of these shapes are fed."""
    import onnx

    work = onnx.ModelProto()
    work.CopyFrom(model)
    del work.graph.value_info[:]
    for value in work.graph.input:
        if value.name in fed:
            kind = value.type.tensor_type.elem_type
            new = onnx.helper.make_tensor_value_info(value.name, kind, fed[value.name])
            value.CopyFrom(new)
    for value in work.graph.output:
        value.type.tensor_type.ClearField("shape")
    for tensor in work.graph.initializer:  # shapes need small constants only
        if len(tensor.raw_data) > 1 << 20:
            tensor.ClearField("raw_data")
    notes: tuple[str, ...] = ()
    try:
        work = onnx.shape_inference.infer_shapes(work, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        notes = (f"shapes could not be inferred: {str(error).splitlines()[0][:160]}",)
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    types = {t.name: t.data_type for t in model.graph.initializer}
    for value in (*work.graph.input, *work.graph.output, *work.graph.value_info):
        tensor = value.type.tensor_type
        types[value.name] = tensor.elem_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = tuple(d.dim_value for d in dims)
    return shapes, types, notes


def nodes(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, int]
) -> tuple[Node, ...]:
    """Every node of the main graph, in its order."""
    weights = {t.name: bits(t.data_type) * math.prod(t.dims) // 8 for t in model.graph.initializer}
    blocks = blocks_of(model)
    made = []
    for node in model.graph.node:
        own = [weights.pop(name) for name in node.input if name in weights]
        given = [name for name in node.output if name]
        known = [name in shapes and types.get(name, 0) for name in given]
        size = (
            sum(bits(types[n]) * math.prod(shapes[n]) // 8 for n in given) if all(known) else None
        )
        first = given[0] if given else ""
        if node.op_type == "Constant":
            own, size = [size or 0], 0
        made.append(
            Node(
                node.name,
                node.op_type,
                first,
                blocks[node.name],
                name_of(types.get(first, 0)),
                shapes.get(first),
                sum(own),
                size,
                flops(node, shapes),
            )
        )
    return tuple(made)


def bits(kind: int) -> int:
    """Of one element; 0 of what has no size, as text."""
    import onnx

    if name_of(kind) in ("int4", "uint4", "float4e2m1"):
        return 4
    if kind in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return 0
    return int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize) * 8


def name_of(kind: int) -> str:
    """The element type as numpy calls it; "" where it is not known."""
    import onnx

    name = onnx.TensorProto.DataType.Name(kind).lower() if kind else ""
    return {"float": "float32", "double": "float64"}.get(name, name)


def flops(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Of a convolution or a product, by the shapes of what it takes and gives; else 0."""
    out = shapes.get(node.output[0]) if node.output else None
    if node.op_type in _CONVOLUTIONS:
        weight = shapes.get(node.input[3 if node.op_type == "QLinearConv" else 1])
        return 2 * math.prod(out) * math.prod(weight[1:]) if out and weight else 0
    if node.op_type == "ConvTranspose":
        taken, weight = shapes.get(node.input[0]), shapes.get(node.input[1])
        return 2 * math.prod(taken) * math.prod(weight[1:]) if taken and weight else 0
    if node.op_type == "Gemm":
        taken = shapes.get(node.input[0])
        across = any(a.name == "transA" and a.i for a in node.attribute)
        return 2 * math.prod(out) * taken[0 if across else 1] if out and taken else 0
    if node.op_type in _PRODUCTS:
        taken = shapes.get(node.input[0])
        return 2 * math.prod(out) * taken[-1] if out is not None and taken else 0
    return 0


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
