"""An ONNX file with its external data, or a live ``onnx.ModelProto``."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from . import onnx_data
from .arrays import of_file
from .captured import Captured, Hashes, How, safe_name
from .files import kind_of

if TYPE_CHECKING:
    import onnx

    from ..types.signature import TensorSpec

FILENAME = "model.onnx"


def recognise(model: Any) -> bool:
    """True if it is an ONNX file or ModelProto."""
    if isinstance(model, Path):
        return kind_of(model) == "onnx"
    onnx = sys.modules.get("onnx")
    return onnx is not None and isinstance(model, onnx.ModelProto)


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    if isinstance(model, Path):
        return _of_file(model, how.hashes)
    proto: onnx.ModelProto = model
    _check(proto, "the ModelProto")
    if onnx_data.outside(proto):
        raise ModelError(
            "the ModelProto leaves its weights in another file, and doesn't say in which folder",
            "give the path of the .onnx file, or load it with onnx.load(path)",
        )
    return _captured(
        proto,
        safe_name(proto.graph.name or "model"),
        onnx_data.fingerprint(proto),
        lambda folder: onnx_data.write(proto, folder, FILENAME),
    )


def _of_file(path: Path, hashes: Hashes | None) -> Captured:
    import onnx
    from google.protobuf.message import DecodeError

    shown = repr(str(path))
    try:
        # Weights that lie inside are parsed too: there is no other way to know that it is whole.
        proto = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelError(
            f"{shown} is no whole ONNX file: {error}",
            "check that it is the right file, and download or export it again",
        ) from None
    _check(proto, shown)
    others = onnx_data.files(proto, path)
    whole = hashlib.sha256(of_file(path, hashes).encode())
    for location in sorted(others):
        whole.update(f"{location}={of_file(others[location], hashes)}".encode())
    if FILENAME in others:
        raise ModelError(
            f"{shown} keeps its weights in a file called {FILENAME}, the name its copy gets",
            "save it again with its weights elsewhere: onnx.save(model, path, "
            "save_as_external_data=True, location='weights.bin')",
        )

    def write(folder: Path) -> None:
        for location, file in others.items():
            (folder / location).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / location)
        shutil.copyfile(path, folder / FILENAME)

    return _captured(proto, safe_name(path.stem), whole.hexdigest(), write)


def _captured(proto: onnx.ModelProto, name: str, digest: str, write: Any) -> Captured:
    inside = {one.name for one in proto.graph.initializer}
    fed = [one for one in proto.graph.input if one.name not in inside]
    specs = [_spec(one) for one in fed]
    return Captured(
        name=name,
        variant=onnx_data.variant_of(proto),
        fingerprint=digest,
        write=write,
        parameters=tuple(one.name for one in fed),
        inputs=None if None in specs else tuple(s for s in specs if s is not None),
        required=tuple(one.name for one in fed),
    )


def _check(proto: onnx.ModelProto, shown: str) -> None:
    """Raises ModelError for what parses but is no model, or takes what can't be fed."""
    import onnx

    if not proto.opset_import or not (proto.graph.node or proto.graph.output):
        raise ModelError(
            f"{shown} is no ONNX model: it parses, but has no operators",
            "check that it is the right file, and whole",
        )
    if not proto.graph.output:
        raise ModelError(f"{shown} has no outputs", "mark the answers as graph outputs")
    inside = {one.name for one in proto.graph.initializer}
    fed = [one for one in proto.graph.input if one.name not in inside]
    if not fed:
        raise ModelError(f"{shown} has no inputs: it always gives the same answer", "")
    for one in fed:
        kind = one.type.WhichOneof("value")
        if kind != "tensor_type":
            raise ModelError(
                f"input {one.name!r} of {shown} is a {kind}; only tensors can be fed",
                "export it with tensor inputs",
            )
        if one.type.tensor_type.elem_type == onnx.TensorProto.STRING:
            raise ModelError(
                f"input {one.name!r} of {shown} takes text",
                "cut the text processing off the model: onnx.utils.extract_model",
            )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec | None:
    """The tensor that an input takes; None where the file doesn't say its rank."""
    import onnx

    from ..types.signature import TensorSpec

    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    shape: list[int | str] = []
    for i, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            shape.append(dim.dim_value)
        else:
            shape.append(dim.dim_param or f"{value.name}_{i}")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(value.name, dtype, tuple(shape))
