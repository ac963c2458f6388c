"""OpenVINO: the IR, and the edges that lead to it and from one precision to another.

Nothing is compiled here: what a CPU computes in is the runner's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, Format, TritonBackend, edge
from navigator_lab.types.signature import Signature

from . import onnx as onnx_format
from .onnx.reasons import explain

if TYPE_CHECKING:
    import openvino

FORMAT = Format(
    "openvino",
    "model.xml",
    help="OpenVINO IR, its weights in model.bin",
    triton=TritonBackend("openvino", "model.xml"),
    family="OpenVINO",
)
NEEDS = ("openvino",)


@dataclass(frozen=True, slots=True)
class Ir:
    """Value of a product that is an OpenVINO IR. ``weights`` is the type most of them are kept in."""

    nodes: int
    weights: str = "fp32"
    quantizers: int = 0
    notes: tuple[str, ...] = ()


@edge("onnx", "openvino", "fp32", needs=NEEDS, timeout_s=1800, explain=explain)
def from_onnx(at: At, model: Product, samples: Product) -> Ir:
    """Convert the ONNX graph to OpenVINO IR."""
    import openvino

    at.say("converting")
    made = openvino.convert_model(model.path / onnx_format.FORMAT.filename)
    return _save(at, made, samples.read(Signature))


def read(model: Product) -> openvino.Model:
    """The model of a product."""
    import openvino

    return openvino.Core().read_model(model.path / FORMAT.filename)


def _save(at: At, made: openvino.Model, signature: Signature, *, half: bool = False) -> Ir:
    """Check that the model says what the signature says, and write it."""
    import openvino

    check(made, signature)
    openvino.save_model(made, at.out / FORMAT.filename, compress_to_fp16=half)
    quantizers = sum(op.get_type_name() == "FakeQuantize" for op in made.get_ops())
    return Ir(len(made.get_ops()), "fp16" if half else "fp32", quantizers)


def check(made: openvino.Model, signature: Signature) -> None:
    """Whether a model has the signature's tensors, by name, with its free axes free.

    Raises:
        ModelError: it has not, with the tensor and the axis.
    """
    for kind, ports, specs in (
        ("input", made.inputs, signature.inputs),
        ("output", made.outputs, signature.outputs),
    ):
        by_name = {name: port for port in ports for name in port.get_names()}
        for spec in specs:
            if spec.name not in by_name:
                raise ModelError(
                    f"OpenVINO's model has no {kind} {spec.name!r}; it has "
                    + (", ".join(sorted(by_name)) or "none")
                )
            if kind == "input":
                _check_axes(by_name[spec.name], spec)


def _check_axes(port: Any, spec: Any) -> None:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return
    if len(shape) != len(spec.shape):
        raise ModelError(
            f"input {spec.name!r} of OpenVINO's model has {len(shape)} axes; "
            f"the model's has {len(spec.shape)}"
        )
    for name, dim in zip(spec.shape, shape, strict=True):
        if isinstance(name, str) and dim.is_static:
            raise ModelError(
                f"OpenVINO's model fixes axis {name!r} of input {spec.name!r} at {dim.get_length()}"
            )
