"""An ONNX graph as TensorRT takes it: what its parser refuses without need is said otherwise, and
what it can't take is refused here, with what to do.

Only quantised graphs are changed, and none in what it computes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from navigator_lab.errors import ModelError
from navigator_lab.formats import onnx as onnx_format
from navigator_lab.formats.onnx import graph

if TYPE_CHECKING:
    import numpy as np
    import onnx

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def suited(folder: Path, scratch: Path) -> tuple[Path, tuple[str, ...]]:
    """The file to parse, and notes of what was changed. ``scratch``: an empty folder.

    Raises:
        ModelError: it is quantised as TensorRT can't compute.
    """
    import onnx

    path = folder / onnx_format.FORMAT.filename
    light = onnx.load(path, load_external_data=False)
    if not any(node.op_type in (QUANTIZE, DEQUANTIZE) for node in light.graph.node):
        return path, ()
    model = graph.load(path)
    constants = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t
    folded = _fold_biases(model, constants)
    for node in model.graph.node:
        _symmetric(node, constants)
    if not folded:
        return path, ()
    note = f"{folded} biases in 32-bit integers are given as floats, which TensorRT asks for"
    return graph.save(model, scratch), (note,)


def _fold_biases(model: onnx.ModelProto, constants: dict[str, onnx.TensorProto]) -> int:
    """Biases as the floats that they stand for: TensorRT dequantises no 32-bit integers."""
    import numpy as np
    from onnx import TensorProto, numpy_helper

    kept, gone = [], set()
    for node in model.graph.node:
        source = constants.get(node.input[0]) if node.op_type == DEQUANTIZE else None
        if source is None or source.data_type != TensorProto.INT32:
            kept.append(node)
            continue
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        whole = numpy_helper.to_array(source)
        scale = _along(numpy_helper.to_array(constants[node.input[1]]), whole, axis)
        zero = np.zeros((), np.int32)
        if len(node.input) > 2 and node.input[2]:
            zero = _along(numpy_helper.to_array(constants[node.input[2]]), whole, axis)
        value = ((whole - zero) * scale).astype(scale.dtype)
        model.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        gone.add(node.input[0])
    if len(kept) != len(model.graph.node):
        count = len(model.graph.node) - len(kept)
        del model.graph.node[:]
        model.graph.node.extend(kept)
        used = {name for node in kept for name in node.input}
        left = [t for t in model.graph.initializer if t.name in used or t.name not in gone]
        del model.graph.initializer[:]
        model.graph.initializer.extend(left)
        return count
    return 0


def _along(scale: np.ndarray, whole: np.ndarray, axis: int) -> np.ndarray:
    """A scale for each slice of an axis, shaped so that it multiplies along it."""
    if scale.size == 1:
        return scale.reshape(())
    shape = [1] * whole.ndim
    shape[axis if whole.ndim > 1 else 0] = scale.size
    return scale.reshape(shape)


def _symmetric(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> None:
    from onnx import TensorProto, numpy_helper

    if node.op_type not in (QUANTIZE, DEQUANTIZE):
        return
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None:
        if len(node.input) > 2 and node.input[2]:
            return  # computed while running: the parser judges it
        kind = next((a.i for a in node.attribute if a.name == "output_dtype"), 0)
        unsigned = node.op_type == QUANTIZE and kind in (0, TensorProto.UINT8)
        moved = False
    else:
        unsigned = zero.data_type in (TensorProto.UINT8, TensorProto.UINT16)
        moved = bool(numpy_helper.to_array(zero).astype("float32").any())
    if unsigned or moved:
        said = "unsigned 8-bit integers" if unsigned else "a zero point that is not zero"
        raise ModelError(
            f"the graph is quantised with {said} at {node.name or node.output[0]!r}, and TensorRT "
            "takes signed, symmetric ones only",
            "give the fp32 graph: its int8 engine is quantised as TensorRT asks; or quantise it with "
            "activations='int8', symmetric=True and reduce_range=False",
        )
