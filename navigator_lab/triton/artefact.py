"""What a model file says of its own inputs and outputs: names, types and shapes, in order.

Only the formats that Triton's own backends open are read. Nothing runs the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PackageError


@dataclass(frozen=True, slots=True)
class Port:
    """One tensor of a file. ``dims`` has -1 for what varies, and is None where nothing is said."""

    name: str
    dtype: str  # numpy's name; "" where nothing is said
    dims: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Ports:
    """Inputs and outputs of a file, in its own order.

    ``problem``: why Triton's own backend couldn't serve this file, where its types say so.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...] = ()
    problem: str = ""


_ORT = {"float": "float32", "double": "float64", "string": "object"}
_OPENVINO = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "bf16": "bfloat16",
    "boolean": "bool",
    "string": "object",
    **{f"{s}{n}": f"{w}{n}" for s, w in (("i", "int"), ("u", "uint")) for n in (8, 16, 32, 64)},
}


def ports(backend: str, path: Path) -> Ports:
    """The inputs and outputs of the file that ``backend`` would open.

    Raises:
        PackageError: the file can't be read as what the backend opens.
    """
    readers = {"onnxruntime": _onnx, "openvino": _openvino, "pytorch": _torchscript}
    if backend not in readers:
        raise PackageError(f"the files of Triton's {backend!r} backend can't be looked into")
    try:
        return readers[backend](path)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        # ONNX Runtime's, OpenVINO's and torch's own errors are all RuntimeErrors or these.
        said = " ".join(str(error).split())[:400]
        raise PackageError(
            f"{path.name} can't be opened as a model of the {backend} backend: {said}"
        ) from error


def _onnx(path: Path) -> Ports:
    import onnxruntime

    asked = onnxruntime.SessionOptions()
    asked.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    asked.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), asked, ["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class but this one
        raise RuntimeError(str(error)) from error

    def port(one: Any) -> Port:
        kind = one.type.removeprefix("tensor(").removesuffix(")")
        dims = tuple(d if isinstance(d, int) else -1 for d in one.shape)
        return Port(one.name, _ORT.get(kind, kind), dims)

    return Ports(tuple(map(port, session.get_inputs())), tuple(map(port, session.get_outputs())))


def _openvino(path: Path) -> Ports:
    import openvino

    def port(one: Any) -> Port:
        shape = one.get_partial_shape()
        dims = None
        if not shape.rank.is_dynamic:
            dims = tuple(d.get_length() if d.is_static else -1 for d in shape)
        kind = one.get_element_type().get_type_name()
        return Port(one.get_any_name(), _OPENVINO.get(kind, kind), dims)

    model = openvino.Core().read_model(path)
    return Ports(tuple(map(port, model.inputs)), tuple(map(port, model.outputs)))


def _torchscript(path: Path) -> Ports:
    """The names of ``forward``'s arguments and how many outputs: a TorchScript file says no more."""
    import warnings

    import torch

    with warnings.catch_warnings():
        # That TorchScript is on its way out is known, and no news of this model.
        warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
        schema = torch.jit.load(str(path), map_location="cpu").forward.schema
    problem = ""
    arguments = schema.arguments[1:]
    for argument in arguments:
        if argument.type.kind() != "TensorType":
            problem = problem or (
                f"forward takes a {argument.type.annotation_str} ({argument.name}), and it is given "
                "tensors only"
            )
    made = schema.returns[0].type
    kinds = [made] if made.kind() != "TupleType" else made.elements()
    for kind in kinds:
        if kind.kind() != "TensorType":
            problem = problem or (
                f"forward gives a {made.annotation_str}, and only a tensor or a tuple of tensors "
                "is read"
            )
    inputs = tuple(Port(argument.name, "", None) for argument in arguments)
    return Ports(inputs, tuple(Port("", "", None) for _ in kinds), problem)
