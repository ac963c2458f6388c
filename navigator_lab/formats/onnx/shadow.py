"""A graph with a twin beside every node that a precision would touch: the twin rounds what it takes
and gives, so both can be compared while all else stays exact. Nothing is run here.

The rounding is that of the edges with their default options: 16-bit floats by a cast each way; int8
by the range of a value, a scale for each channel of a weight, and what a node gives too; fp8 by the
largest size, and only what a product takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError

from . import graph, qdq
from .prepared import CHAIN, PRODUCTS
from .retype import convertible, types_of

if TYPE_CHECKING:
    import onnx

    from .ranges import Range

PRECISIONS = ("fp16", "bf16", "int8", "fp8")
SCALED = ("int8", "fp8")  # they need the range of every value
_LEAST_OPSET = {"fp16": 9, "bf16": 13, "int8": 13, "fp8": 19}
_WEIGHTS = {"int8": qdq.INT8, "fp8": qdq.FP8}


@dataclass(frozen=True, slots=True)
class Twin:
    """The names, in the shadowed graph, of what is known of one node."""

    operator: str
    output: str  # the exact one
    error: str  # the twin's minus the exact one
    signal: str  # sum of squares of the output minus its mean
    noise: str  # sum of squares of the error


@dataclass(frozen=True)
class Shadowed:
    """A graph whose outputs are, of each node with a twin, error, signal and noise."""

    model: onnx.ModelProto
    nodes: dict[str, Twin]
    types: dict[str, int]

    def is_float(self, name: str) -> bool:
        """Is a value of the source fp32?"""
        return self.types.get(name) == 1  # onnx.TensorProto.FLOAT


def shadowed(source: onnx.ModelProto, precision: str, known: Mapping[str, Range]) -> Shadowed:
    """The graph with its twins; ``known`` are the ranges of its values, for `SCALED` precisions.

    Raises:
        ModelError: no rounding to that precision is known, or the graph can't hold it.
    """
    import onnx

    if precision not in PRECISIONS:
        raise ModelError(
            f"the sensitivity of nodes to {precision} is not measured",
            f"it is for {', '.join(PRECISIONS)}",
        )
    kind = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}.get(precision)
    types = types_of(source)
    if kind is None:
        wanted = {*PRODUCTS, *CHAIN} if precision == "int8" else set(PRODUCTS)
        names = {n.name for n in source.graph.node if n.op_type in wanted}
    else:
        names = set(convertible(source, kind))
    least = _LEAST_OPSET[precision]
    model, notes = graph.raised(source, least)
    if graph.opset(model) < least:
        raise ModelError(
            f"{precision} needs operator set {least}, and the graph {notes[0]}",
            f"export the model with opset={least} or newer",
        )
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.ir_version = max(made.ir_version, 9)
    work = _Work(made, precision, kind, known, types)
    twins = {}
    for node in list(made.graph.node):
        if node.name in names and (twin := work.twin(node)):
            twins[node.name] = twin
    del made.graph.node[:]
    made.graph.node.extend(work.nodes(model.graph.node))
    del made.graph.output[:]
    for one in twins.values():
        for name in (one.error, one.signal, one.noise):
            value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            made.graph.output.append(value)
    return Shadowed(made, twins, types)


def injection(output: str) -> str:
    """The input that adds an error to a node's output."""
    return f"{output}/injected"


def injected(source: onnx.ModelProto, taken: Mapping[str, str]) -> onnx.ModelProto:
    """The graph with an input for each of these nodes' outputs, nothing by default, added to it."""
    import numpy as np
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(source)
    made.ir_version = max(made.ir_version, 4)  # from here on an input may have a default
    exact = {name: f"{name}/exact" for name in taken.values()}
    nodes = []
    for node in made.graph.node:
        nodes.append(node)
        for i, name in enumerate(node.output):
            if name not in exact:
                continue
            node.output[i] = exact[name]
            add = [exact[name], injection(name)]
            nodes.append(onnx.helper.make_node("Add", add, [name], f"{name}/add"))
            zero = onnx.numpy_helper.from_array(np.float32(0), injection(name))
            made.graph.initializer.append(zero)
            value = onnx.helper.make_tensor_value_info(
                injection(name), onnx.TensorProto.FLOAT, None
            )
            made.graph.input.append(value)
    # What is inferred of shapes may be what the exporter left; it holds with an error added too.
    kept = list(nodes)
    del made.graph.node[:]
    made.graph.node.extend(kept)
    return made


class _Work:
    """Twins as they are made: what two of them read is rounded once."""

    def __init__(
        self,
        model: onnx.ModelProto,
        precision: str,
        kind: int | None,
        known: Mapping[str, Range],
        types: Mapping[str, int],
    ) -> None:
        self.graph, self.precision, self.kind = model.graph, precision, kind
        self.known, self.types = known, types
        self.weights = {t.name: t for t in model.graph.initializer}
        self.rounded: dict[tuple[Any, ...], str] = {}
        self.more: list[Any] = []

    def nodes(self, exact: Any) -> list[Any]:
        """All nodes: a twin reads what the exact graph gives, so it stands behind it."""
        return [*exact, *self.more]

    def twin(self, node: Any) -> Twin | None:
        """The twin of a node and what is told of it; None where it neither takes nor gives fp32."""
        import onnx

        outputs = [n for n in node.output if n and self.types.get(n) == onnx.TensorProto.FLOAT]
        if not outputs:
            return None
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = f"{node.name}/twin"
        if not self._round_inputs(node, copy):
            return None
        for i, name in enumerate(node.output):
            if name:
                copy.output[i] = f"{name}/twin"
        self.more.append(copy)
        output = outputs[0]
        got = self._round_output(output)
        error, signal, noise = (f"{output}/{word}" for word in ("error", "signal", "noise"))
        mean, moved = f"{output}/mean", f"{output}/moved"
        self._node("Sub", [got, output], error)
        self._node("ReduceSumSquare", [error], noise, keepdims=0)
        self._node("ReduceMean", [output], mean, keepdims=0)
        self._node("Sub", [output, mean], moved)
        self._node("ReduceSumSquare", [moved], signal, keepdims=0)
        return Twin(node.op_type, output, error, signal, noise)

    def _round_inputs(self, node: Any, copy: Any) -> bool:
        import onnx

        found = False
        product = node.op_type in PRODUCTS
        for i, name in enumerate(node.input):
            if not name or self.types.get(name) != onnx.TensorProto.FLOAT:
                continue
            if self.kind is None and product and i > 1:
                continue  # a bias stays as it is
            if self.kind is None and name in self.weights:
                if product:
                    copy.input[i] = self._weight(node, i)
                    found = True
                continue
            if self.kind is None and (name not in self.known or self.known[name].odd):
                continue
            copy.input[i] = self._value(name)
            found = True
        return found

    def _round_output(self, name: str) -> str:
        twin = f"{name}/twin"
        if self.kind is not None:
            return self._cast(twin)
        if self.precision == "int8" and name in self.known and not self.known[name].odd:
            return self._scaled(twin, self.known[name])
        return twin

    def _value(self, name: str) -> str:
        if (name,) not in self.rounded:
            made = self._cast(name) if self.kind else self._scaled(name, self.known[name])
            self.rounded[(name,)] = made
        return self.rounded[(name,)]

    def _cast(self, name: str) -> str:
        import onnx

        self._node("Cast", [name], f"{name}/low", to=self.kind)
        self._node("Cast", [f"{name}/low"], f"{name}/rounded", to=onnx.TensorProto.FLOAT)
        return f"{name}/rounded"

    def _scaled(self, name: str, one: Range) -> str:
        import numpy as np

        if self.precision == "fp8":
            scale = qdq.scale_of(one.largest, qdq.FP8)
            zero = np.zeros((), qdq.FP8.dtype)
        else:  # zero is a value of its own, as the quantiser has it
            low, high = min(one.lowest, 0.0), max(one.highest, 0.0)
            scale = np.float32((high - low) / 255 or 1.0)
            zero = np.asarray(np.clip(np.rint(-low / scale), 0, 255), np.uint8)
        parameters = [f"{name}/scale", f"{name}/zero"]
        for label, array in zip(parameters, (np.float32(scale), zero), strict=True):
            self._store(label, np.asarray(array))
        self._node("QuantizeLinear", [name, *parameters], f"{name}/low")
        self._node("DequantizeLinear", [f"{name}/low", *parameters], f"{name}/rounded")
        return f"{name}/rounded"

    def _weight(self, node: Any, i: int) -> str:
        """A product's weight as it is after rounding, in fp32."""
        import numpy as np
        import onnx

        name = node.input[i]
        array = onnx.numpy_helper.to_array(self.weights[name])
        axis = qdq.channel_axis(node, array.ndim) if i == 1 and array.ndim > 1 else None
        key = (name, axis)
        if key not in self.rounded:
            kind = _WEIGHTS[self.precision]
            others = tuple(n for n in range(array.ndim) if n != axis)
            scale = qdq.scale_of(np.abs(array).max(axis=others, keepdims=True, initial=0), kind)
            low = kind.narrow(array, scale).astype(np.float32) * scale
            self.rounded[key] = f"{name}/rounded/{len(self.rounded)}"
            self._store(self.rounded[key], low.astype(np.float32))
        return self.rounded[key]

    def _store(self, name: str, array: Any) -> None:
        import onnx

        self.graph.initializer.append(onnx.numpy_helper.from_array(array, name))

    def _node(self, op: str, inputs: list[str], output: str, **facts: Any) -> None:
        import onnx

        self.more.append(onnx.helper.make_node(op, inputs, [output], output, **facts))
