"""The weights of an ONNX model: where they lie, what they are, and how they are written."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..types.target import Precision, Variant

if TYPE_CHECKING:
    import onnx

INLINE_BYTES = 256 << 20  # above it the weights get a file of their own, which is written in pieces
_DYNAMIC = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}
_STATIC = {"QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of the model: initializers and constants, of subgraphs and functions too."""
    stack: list[onnx.GraphProto] = [proto.graph]
    nodes = [node for function in proto.functions for node in function.node]
    while stack or nodes:
        if stack:
            graph = stack.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                stack.append(attribute.g)
            stack.extend(attribute.graphs)


def outside(proto: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The tensors whose numbers lie in another file."""
    import onnx

    return [t for t in tensors(proto) if t.data_location == onnx.TensorProto.EXTERNAL]


def files(proto: onnx.ModelProto, path: Path) -> dict[str, Path]:
    """Each file beside ``path`` that the model needs, by the location it is named with.

    Raises:
        ModelError: one is missing, too short, or not beside the model (absolute, ``..``, a link).
    """
    found: dict[str, Path] = {}
    for tensor in outside(proto):
        facts = {one.key: one.value for one in tensor.external_data}
        location = facts.get("location", "")
        if location not in found:
            found[location] = _beside(path, location)
        size = found[location].stat().st_size
        start = _number(facts.get("offset", "0"), path, tensor)
        length = _number(facts.get("length", str(max(size - start, 0))), path, tensor)
        if start + length > size or length < size_bytes(tensor):
            raise ModelError(
                f"the external data {location!r} of {str(path)!r} is cut off: {tensor.name!r} "
                f"ends at byte {start + max(length, size_bytes(tensor))} and the file has {size}",
                "download or export the model again, with all of its files",
            )
    return found


def _number(text: str, path: Path, tensor: onnx.TensorProto) -> int:
    if not text.isdecimal():
        raise ModelError(
            f"the external data of {tensor.name!r} in {str(path)!r} has the place {text!r}",
            "export the model again",
        )
    return int(text)


def _beside(path: Path, location: str) -> Path:
    """A location as a path; it may not lead out of the model's folder."""
    pure = PurePosixPath(location.replace("\\", "/"))
    if not location or pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0]:
        raise ModelError(
            f"{str(path)!r} names external data outside of its folder: {location!r}",
            "save it again with its weights beside it: onnx.save(model, path, "
            "save_as_external_data=True, location='weights.bin')",
        )
    file = path.parent / pure
    if not file.exists():
        raise ModelError(
            f"{str(path)!r} needs {location!r}, which isn't there",
            f"put {pure.name} into {file.parent}",
        )
    # A model hub's cache links both files to blobs elsewhere; the model's own folder counts as well.
    homes = {path.parent.resolve(), path.resolve().parent}
    if not file.is_file() or not any(file.resolve().is_relative_to(home) for home in homes):
        raise ModelError(
            f"the external data {location!r} of {str(path)!r} is a link out of its folder",
            f"replace the link by the file: cp --remove-destination {file.resolve()} {file}",
        )
    return file


def size_bytes(tensor: onnx.TensorProto) -> int:
    """How many bytes its numbers take."""
    import onnx

    four_bits = {getattr(onnx.TensorProto, name, -1) for name in ("INT4", "UINT4", "FLOAT4E2M1")}
    count = math.prod(tensor.dims)
    if tensor.data_type in four_bits:
        return (count + 1) // 2
    if tensor.data_type in (onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED):
        return 0
    try:
        return count * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:  # a type newer than this onnx: what it says of its length is taken
        return 0


def skeleton(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without its initializers; they are copied one at a time where they are needed."""
    import onnx

    made = onnx.ModelProto()
    for field, value in proto.ListFields():
        if field.name == "graph":
            continue
        _copy(made, field, value)
    made.graph.SetInParent()
    for field, value in proto.graph.ListFields():
        if field.name != "initializer":
            _copy(made.graph, field, value)
    return made


def _copy(into: object, field: object, value: object) -> None:
    name = field.name  # type: ignore[attr-defined]
    if hasattr(value, "MergeFrom"):  # a message, or a repeated field
        getattr(into, name).MergeFrom(value)
    else:
        setattr(into, name, value)


def fingerprint(proto: onnx.ModelProto) -> str:
    """sha256 of a model that holds its own weights, one tensor at a time."""
    whole = hashlib.sha256(skeleton(proto).SerializeToString(deterministic=True))
    for tensor in proto.graph.initializer:
        whole.update(hashlib.sha256(tensor.SerializeToString(deterministic=True)).digest())
    return whole.hexdigest()


def write(
    proto: onnx.ModelProto, folder: Path, filename: str, inline_bytes: int = INLINE_BYTES
) -> None:
    """The model as a file; a large one's weights into a file beside it, one tensor at a time."""
    import onnx
    from onnx import numpy_helper

    if sum(size_bytes(t) for t in proto.graph.initializer) <= inline_bytes:
        (folder / filename).write_bytes(proto.SerializeToString())
        return
    made, location = skeleton(proto), f"{filename}.data"
    with (folder / location).open("wb") as file:
        for tensor in proto.graph.initializer:
            if size_bytes(tensor) < 1024:
                made.graph.initializer.add().CopyFrom(tensor)
                continue
            file.write(b"\0" * (-file.tell() % 4096))  # so that runtimes can map it
            start = file.tell()
            if tensor.HasField("raw_data"):
                file.write(tensor.raw_data)
            else:
                numpy_helper.to_array(tensor).tofile(file)
            moved = made.graph.initializer.add(
                name=tensor.name,
                data_type=tensor.data_type,
                dims=tensor.dims,
                data_location=onnx.TensorProto.EXTERNAL,
            )
            facts = {"location": location, "offset": start, "length": file.tell() - start}
            for key, value in facts.items():
                moved.external_data.add(key=key, value=str(value))
    (folder / filename).write_bytes(made.SerializeToString())


def variant_of(proto: onnx.ModelProto) -> Variant:
    """The precision that the file already computes in, told from its operators and weights."""
    import onnx

    kinds = {node.op_type for node in proto.graph.node}
    kinds |= {node.op_type for function in proto.functions for node in function.node}
    if kinds & _DYNAMIC:
        return Variant("onnx", Precision.INT8_DYNAMIC)
    if kinds & _STATIC:
        return Variant("onnx", Precision.INT8)
    sizes: dict[int, int] = {}
    for tensor in tensors(proto):
        sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + math.prod(tensor.dims)
    floats = {
        onnx.TensorProto.FLOAT: Precision.FP32,
        onnx.TensorProto.FLOAT16: Precision.FP16,
        onnx.TensorProto.BFLOAT16: Precision.BF16,
    }
    held = {floats[kind]: size for kind, size in sizes.items() if kind in floats}
    most = max(held, key=lambda precision: held[precision]) if held else Precision.FP32
    return Variant("onnx", most)
