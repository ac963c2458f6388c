"""How much a graph has to do at a batch size, by its operators and shapes. Nothing is run.

FLOP are those of matrix products and convolutions, a multiply and an add counting two: what every
other operator does is bounded by memory, and its bytes are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.types.measure import NodeWork, Work
from navigator_lab.types.plugin import At, action, option
from navigator_lab.types.signature import BATCH, Signature

from . import graph

if TYPE_CHECKING:
    import onnx

    from navigator_lab.types.outcome import Product

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """At which sizes."""

    batches: tuple[int, ...] = option((1,), "batch sizes; other axes are at their usual size")


@action("onnx-work", needs=("onnx",), options=WorkOptions, timeout_s=600)
def work(at: At, model: Product, samples: Product) -> Work:
    """Count the FLOP and bytes of each node of an ONNX graph."""
    options = at.options or WorkOptions()
    source = graph.plain(graph.load(model.path / graph.FORMAT.filename))
    return of(source, samples.read(Signature), options.batches)


def of(model: onnx.ModelProto, signature: Signature, batches: tuple[int, ...]) -> Work:
    """The work of a graph whose nodes have names, at each batch size."""
    counted = [Counted(model, signature, batch) for batch in batches]
    first = counted[0]
    nodes = tuple(
        NodeWork(
            node.name,
            node.op_type,
            tuple(one.flop(node) for one in counted),
            tuple(one.bytes(n for n in node.input if n not in one.weights) for one in counted),
            tuple(one.bytes(node.output) for one in counted),
            sum(first.weights[n] for n in node.input if n in first.weights),
        )
        for node in model.graph.node
    )
    outside = [v.name for v in (*graph.real_inputs(model), *model.graph.output)]
    return Work(
        batches,
        tuple(sum(node.flop[i] for node in nodes) for i in range(len(batches))),
        tuple(one.bytes(outside) for one in counted),
        sum(first.weights.values()),
        nodes,
        tuple(n.name for n in model.graph.node if n.op_type in _FLOP and first.unknown(n)),
    )


class Counted:
    """Shapes of a graph at one batch size, and what they come to."""

    def __init__(self, model: onnx.ModelProto, signature: Signature, batch: int) -> None:
        import onnx

        sizes = {axis.name: axis.opt for axis in signature.axes} | {BATCH: batch}
        shaped = onnx.ModelProto()
        shaped.CopyFrom(model)
        specs = {spec.name: spec.shape for spec in signature.inputs}
        for value in shaped.graph.input:
            for dim, size in zip(
                value.type.tensor_type.shape.dim, specs.get(value.name, ()), strict=False
            ):
                dim.dim_value = size if isinstance(size, int) else sizes[size]
        # What the file says of its outputs is symbolic, and would win over what is inferred.
        del shaped.graph.value_info[:]
        for value in shaped.graph.output:
            value.type.tensor_type.ClearField("shape")
        for tensor in shaped.graph.initializer:
            if len(tensor.raw_data) > 1 << 20:  # shapes need small constants only, and
                tensor.ClearField("raw_data")  # a protobuf beyond 2 GiB can't be handed over
        shaped = onnx.shape_inference.infer_shapes(shaped, data_prop=True)
        self.shapes: dict[str, Shape] = {}
        self.widths: dict[str, float] = {}
        for value in (*shaped.graph.input, *shaped.graph.value_info, *shaped.graph.output):
            kind = value.type.tensor_type
            if all(dim.HasField("dim_value") for dim in kind.shape.dim) and kind.HasField("shape"):
                self.shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
                self.widths[value.name] = _width(kind.elem_type)
        self.weights: dict[str, int] = {}
        for tensor in shaped.graph.initializer:
            self.shapes[tensor.name] = tuple(tensor.dims)
            self.widths[tensor.name] = _width(tensor.data_type)
            self.weights[tensor.name] = self.bytes([tensor.name])

    def bytes(self, names: Iterable[str]) -> int:
        known = [name for name in names if name in self.shapes]
        return int(sum(math.prod(self.shapes[n]) * self.widths[n] for n in known))

    def whole(self, names: Iterable[str]) -> int | None:
        """The bytes of these values; None where one of them is not known before it runs."""
        given = list(names)
        return self.bytes(given) if all(name in self.shapes for name in given) else None

    def unknown(self, node: onnx.NodeProto) -> bool:
        return any(name and name not in self.shapes for name in (*node.input[:2], *node.output[:1]))

    def flop(self, node: onnx.NodeProto) -> int:
        count = _FLOP.get(node.op_type)
        return 0 if count is None or self.unknown(node) else count(node, self.shapes)


def _width(kind: int) -> float:
    """Bytes of an element of a type."""
    import onnx

    packed = {onnx.TensorProto.INT4: 0.5, onnx.TensorProto.UINT4: 0.5}
    if kind in packed:
        return packed[kind]
    if kind == onnx.TensorProto.STRING:
        return 0.0  # of any length
    return float(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize)


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((a.i for a in node.attribute if a.name == name), default)


def _conv(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    # Every element of the output is a product over a window of the (group's) input channels.
    return 2 * math.prod(shapes[node.output[0]]) * math.prod(shapes[_weight(node)][1:])


def _conv_transpose(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    return 2 * math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


def _weight(node: onnx.NodeProto) -> str:
    return str(node.input[3] if node.op_type == "QLinearConv" else node.input[1])


def _gemm(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    inner = shapes[node.input[0]][0 if _attribute(node, "transA", 0) else 1]
    return 2 * math.prod(shapes[node.output[0]]) * inner


def _matmul(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    return 2 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _recurrent(gates: int) -> Callable[[onnx.NodeProto, Mapping[str, Shape]], int]:
    def count(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
        steps, batch, width = shapes[node.input[0]]
        directions, rows, _ = shapes[node.input[1]]
        hidden = rows // gates
        return 2 * steps * batch * directions * gates * hidden * (width + hidden)

    return count


_FLOP: dict[str, Callable[[Any, Mapping[str, Shape]], int]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "MatMulNBits": _matmul,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
}
