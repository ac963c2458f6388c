"""Write symmetric quantise/dequantise pairs into a graph: fp8, and weights in 8 or 4 bits.

For what ONNX Runtime's quantiser lacks: fp8 by ranges rather than by distributions, and weights
alone, in standard operators that every runtime reads. Zero is zero, so TensorRT takes it too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx


@dataclass(frozen=True, slots=True)
class Kind:
    """A narrow type: ``most`` is its largest value, ``opset`` the first whose Q/DQ know it."""

    name: str  # as ml_dtypes or numpy calls it
    most: float
    opset: int
    whole: bool = True  # an integer

    @property
    def dtype(self) -> Any:
        import ml_dtypes
        import numpy as np

        return np.dtype(getattr(ml_dtypes, self.name, self.name))

    def narrow(self, array: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """``array / scale`` in this type, saturating."""
        import numpy as np

        scaled = np.clip(array / scale, -self.most, self.most)
        return np.asarray((np.rint(scaled) if self.whole else scaled).astype(self.dtype))


FP8 = Kind("float8_e4m3fn", 448.0, 19, whole=False)
INT8 = Kind("int8", 127.0, 13)
INT4 = Kind("int4", 7.0, 21)


def scale_of(largest: Any, kind: Kind) -> np.ndarray:
    """The scale that brings the largest values to the end of a type; 1 where all are zero."""
    import numpy as np

    size = np.asarray(largest, np.float32)
    return np.where(size > 0, size / np.float32(kind.most), np.float32(1)).astype(np.float32)


def channel_axis(node: Any, rank: int) -> int | None:
    """Of a product's weight, the axis of its output channels, or None if there is no single one."""
    facts = {one.name: one for one in node.attribute}
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1 if "group" not in facts or facts["group"].i == 1 else None
    if node.op_type == "Gemm":
        return 0 if "transB" in facts and facts["transB"].i else 1
    return rank - 1 if rank == 2 else None


def write(
    model: onnx.ModelProto,
    kind: Kind,
    chosen: Collection[str],
    largest: Mapping[str, float] | None = None,
    *,
    per_channel: bool = True,
    block: int = 0,
) -> int:
    """Quantise, in place, the weights of the chosen nodes; with ``largest`` (of each value, by name)
    also what they take. ``block``: a scale for so many elements along the summed axis.

    Gives the number of weights and values that got a pair.
    """
    work = _Work(model, kind, per_channel, block)
    for node in model.graph.node:
        if node.name in chosen:
            for i in (0, 1):
                if node.input[i] in work.weights:
                    node.input[i] = work.weight(node, i)
                elif largest is not None and node.input[i] in largest:
                    node.input[i] = work.value(node.input[i], largest[node.input[i]])
        work.nodes.append(node)
    kept = list(work.nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    read = {n for node in model.graph.node for n in node.input} | {
        o.name for o in model.graph.output
    }
    _drop_unread(model.graph, read | _read_inside(model.graph))
    return len(work.made)


class _Work:
    """What has been written so far: a weight or value that two nodes read is quantised once."""

    def __init__(self, model: onnx.ModelProto, kind: Kind, per_channel: bool, block: int) -> None:
        import onnx

        self.model, self.kind = model, kind
        self.per_channel, self.block = per_channel, block
        fed = {i.name for i in model.graph.input}
        self.weights = {
            t.name: t
            for t in model.graph.initializer
            if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1 and t.name not in fed
        }
        self.made: dict[tuple[Any, ...], str] = {}
        self.nodes: list[Any] = []

    def weight(self, node: Any, i: int) -> str:
        """The name of a node's weight, stored in the narrow type and brought back."""
        import numpy as np
        import onnx

        tensor = self.weights[node.input[i]]
        array = onnx.numpy_helper.to_array(tensor)
        axis = channel_axis(node, array.ndim) if i == 1 else None
        summed = 1 - axis if self.block and array.ndim == 2 and axis is not None else None
        if not self.per_channel and summed is None:
            axis = None
        key = (tensor.name, axis, summed)
        if key in self.made:
            return self.made[key]
        facts: dict[str, Any] = {}
        if summed is not None:
            scale, wide = _blocks(array, summed, self.block, self.kind)
            facts = {"axis": summed, "block_size": self.block}
        elif axis is None:
            scale = wide = scale_of(np.abs(array).max(initial=0), self.kind)
        else:
            others = tuple(n for n in range(array.ndim) if n != axis)
            wide = scale_of(np.abs(array).max(axis=others, keepdims=True), self.kind)
            scale = wide.reshape(-1)
            facts = {"axis": axis}
        name = self._name(f"{tensor.name}/{self.kind.name}", key)
        self._store(f"{name}/stored", self.kind.narrow(array, wide))
        self._scale(name, scale)
        self._node("DequantizeLinear", [f"{name}/stored", *self._parameters(name)], name, **facts)
        return name

    def value(self, given: str, largest: float) -> str:
        """The name of a value, rounded to the narrow type."""
        key = (given,)
        if key in self.made:
            return self.made[key]
        name = self._name(f"{given}/{self.kind.name}", key)
        self._scale(name, scale_of(largest, self.kind))
        self._node("QuantizeLinear", [given, *self._parameters(name)], f"{name}/stored")
        self._node("DequantizeLinear", [f"{name}/stored", *self._parameters(name)], name)
        return name

    def _name(self, wanted: str, key: tuple[Any, ...]) -> str:
        name = wanted if wanted not in self.made.values() else f"{wanted}/{len(self.made)}"
        self.made[key] = name
        return name

    def _parameters(self, name: str) -> list[str]:
        return [f"{name}/scale", f"{name}/zero"]

    def _scale(self, name: str, scale: np.ndarray) -> None:
        import numpy as np

        self._store(f"{name}/scale", np.asarray(scale, np.float32))
        self._store(f"{name}/zero", np.zeros(np.shape(scale), self.kind.dtype))

    def _store(self, name: str, array: np.ndarray) -> None:
        import onnx

        self.model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))

    def _node(self, op: str, inputs: list[str], output: str, **facts: Any) -> None:
        import onnx

        node = onnx.helper.make_node(op, inputs, [output], f"{output}/{op}", **facts)
        self.nodes.append(node)


def _blocks(array: np.ndarray, axis: int, block: int, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Scales of blocks along an axis, as they are stored and as they are divided by."""
    import numpy as np

    size = array.shape[axis]
    starts = np.arange(0, size, block)
    scale = scale_of(np.maximum.reduceat(np.abs(array), starts, axis=axis), kind)
    return scale, np.repeat(scale, np.diff([*starts, size]), axis=axis)


def _drop_unread(body: Any, read: set[str]) -> None:
    for i in reversed(range(len(body.initializer))):
        if body.initializer[i].name not in read:
            del body.initializer[i]


def _read_inside(body: Any) -> set[str]:
    """Names that are read in the graphs inside a graph."""
    found: set[str] = set()
    for node in body.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found |= {name for one in inner.node for name in one.input}
                found |= {one.name for one in inner.output} | _read_inside(inner)
    return found
