"""OpenVINO: the IR, and the edges that lead to it and from one precision to another.

Nothing is compiled here: what a CPU computes in is the runner's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.formats._tensorflow import DEFAULT, chosen, keys
from navigator_lab.formats._torch import (
    CannotBuild,
    flat,
    load,
    quiet_build,
    said,
    tensors_of,
    trials,
)
from navigator_lab.formats.savedmodel import FORMAT as SAVEDMODEL
from navigator_lab.formats.torch_module import FORMAT as TORCH
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, Format, TritonBackend, edge, option
from navigator_lab.types.signature import Signature

from . import onnx as onnx_format
from .onnx.reasons import explain, summary

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
# Quantised, they run and give wrong numbers.
RECURRENT = "LSTMSequence,GRUSequence,RNNSequence,LSTMCell,GRUCell,RNNCell,TensorIterator,Loop"


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
    try:
        made = openvino.convert_model(model.path / onnx_format.FORMAT.filename)
    except Exception as error:  # foreign code: any class may come
        raise CannotBuild(f"OpenVINO can't take the ONNX graph: {summary(error)}") from error
    return _save(at, made, samples.read(Signature))


@dataclass(frozen=True, slots=True)
class Int8Options:
    """How NNCF brings a model to 8 bits."""

    preset: str = option(
        "mixed",
        "mixed: activations asymmetric where that is more exact; performance: all symmetric",
        choices=("mixed", "performance"),
    )
    kind: str = option(
        "auto",
        "of a transformer, what it is sensitive to stays in fp32; auto: attention, no convolutions",
        choices=("auto", "transformer", "other"),
    )
    fast_bias_correction: bool = option(
        True, "the quick correction of biases; False: the exact one"
    )
    method: str = option(
        "minmax",
        "how a range is found from the samples; mean: NNCF's own default, which clips what is "
        "larger than the average sample",
        choices=("minmax", "mean"),
    )
    overflow_fix: str = option(
        "enable",
        "weights of 7 bits in 8, so that CPUs without VNNI don't saturate",
        choices=("enable", "first_layer_only", "disable"),
    )
    exclude: str = option(
        RECURRENT, "OpenVINO operator types that stay in fp32, separated by commas"
    )


@edge(
    "torch",
    "openvino",
    "fp32",
    cost=3.0,  # the way over ONNX shares its graph with other runners
    needs=("openvino", "torch"),
    timeout_s=1800,
    explain=explain,
)
def from_torch(at: At, model: Product, samples: Product) -> Ir:
    """Capture the torch model with torch.export and convert it to OpenVINO IR."""
    import openvino
    import torch

    from .onnx.export import free_axes

    signature = samples.read(Signature)
    module = flat(load(model.path / TORCH.filename), signature)
    example = trials(stored.read(samples.path), signature)[0][1]
    dynamic = torch.export.Dim.DYNAMIC
    shapes = tuple(dict.fromkeys(axes, dynamic) or None for axes in free_axes(signature))
    with quiet_build():
        try:
            at.say("capturing")
            program = torch.export.export(
                module, tuple(tensors_of(example, signature)), dynamic_shapes=shapes
            )
            at.say("converting")
            made = openvino.convert_model(program)
        except Exception as error:  # foreign code: any class may come
            raise CannotBuild(f"OpenVINO can't take the torch model: {said(error)}") from error
    for ports, specs in ((made.inputs, signature.inputs), (made.outputs, signature.outputs)):
        if len(ports) != len(specs):
            raise ModelError(f"OpenVINO's model has {len(ports)} tensors for {len(specs)}")
        for port, spec in zip(ports, specs, strict=True):
            port.set_names({spec.name})
    return _save(at, made, signature)


@edge(
    SAVEDMODEL.name,
    "openvino",
    "fp32",
    cost=1.5,  # less than over ONNX: OpenVINO reads the files itself
    needs=NEEDS,
    timeout_s=1800,
    explain=explain,
)
def from_savedmodel(at: At, model: Product, samples: Product) -> Ir:
    """Read the SavedModel, without TensorFlow, as OpenVINO IR."""
    import openvino

    name = chosen(model.path)
    if name != DEFAULT:
        raise ModelError(
            f"OpenVINO reads a SavedModel's {DEFAULT!r} only, and {name!r} is meant",
            f"save that signature as {DEFAULT!r}, or use ONNX",
        )
    at.say("converting")
    try:
        made = openvino.Core().read_model(model.path / SAVEDMODEL.filename)
    except Exception as error:  # foreign code: any class may come
        raise CannotBuild(f"OpenVINO can't take the SavedModel: {summary(error)}") from error
    ports = {name: made.input(key) for name, key in keys(model.path).items()}
    for name, port in ports.items():
        port.set_names({name})
    return _save(at, made, samples.read(Signature))


@edge(
    "openvino",
    "openvino",
    ("fp32", "fp16"),
    ("fp32", "bf16"),
    name="openvino-half<-openvino",
    needs=NEEDS,
    timeout_s=900,
    explain=explain,
)
def to_half(at: At, model: Product, samples: Product) -> Ir:
    """Keep weights in fp16; for bf16 the IR stays as it is and the runner computes in bf16."""
    half = at.about.precision == "fp16"
    made = _save(at, read(model), samples.read(Signature), half=half)
    if half:
        note = "weights are fp16; a CPU without fp16 arithmetic widens them and computes in fp32"
    else:
        note = "the file is that of fp32; the runner has it computed in bf16"
    return replace(made, notes=(note,))


@edge(
    "openvino",
    "openvino",
    ("fp32", "int8"),
    name="openvino-int8<-openvino",
    needs=("openvino", "nncf"),
    options=Int8Options,
    timeout_s=3600,
    explain=explain,
)
def to_int8(at: At, model: Product, samples: Product) -> Ir:
    """Quantise with NNCF, calibrated on all samples."""
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    options = at.options or Int8Options()
    signature = samples.read(Signature)
    feeds = stored.read(samples.path)
    source = read(model)
    kinds = [name.strip() for name in options.exclude.split(",") if name.strip()]
    asked: dict[str, Any] = {"overflow_fix": nncf.OverflowFix(options.overflow_fix)}
    if options.method == "minmax":
        asked["activations_range_estimator_params"] = RangeEstimatorParametersSet.MINMAX
    at.say(f"calibrating on {len(feeds)} samples")
    try:
        made = nncf.quantize(
            source,
            nncf.Dataset(feeds),
            subset_size=len(feeds),
            preset=nncf.QuantizationPreset(options.preset),
            model_type=nncf.ModelType.TRANSFORMER if _attends(source, options) else None,
            fast_bias_correction=options.fast_bias_correction,
            advanced_parameters=nncf.AdvancedQuantizationParameters(**asked),
            ignored_scope=nncf.IgnoredScope(types=kinds, validate=False) if kinds else None,
        )
    except Exception as error:  # foreign code: any class may come
        raise ModelError(
            f"NNCF can't quantise this model: {summary(error)}",
            "the log of the step has its trace; try options such as exclude=… or "
            "fast_bias_correction=False, or onnx:int8",
        ) from error
    value = _save(at, made, signature)
    if not value.quantizers:
        raise ModelError(
            "NNCF found nothing that it can quantise in this model",
            "use fp16 or bf16, or leave this model in fp32",
        )
    return value


def _attends(made: openvino.Model, options: Int8Options) -> bool:
    if options.kind != "auto":
        return options.kind == "transformer"
    found = {op.get_type_name() for op in made.get_ops()}
    attention = {"Softmax", "MatMul"} <= found or "ScaledDotProductAttention" in found
    return attention and "Convolution" not in found


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
