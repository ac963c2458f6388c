"""From fp32 to 8-bit integers with ONNX Runtime's own quantiser.

Static: scales of activations are found by running the graph on all samples; quantise and
dequantise pairs are written into the graph. Dynamic: only weights are stored in 8 bits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, edge, option
from navigator_lab.types.signature import Signature

from . import graph, ranges
from .prepared import DYNAMIC, QDQ, Prepared, finish, prepare, reader, stride
from .ranking import READS
from .reasons import explain

if TYPE_CHECKING:
    import numpy as np

NEEDS = ("onnx", "onnxruntime|onnxruntime-gpu", "numpy", "sympy")


@dataclass(frozen=True, slots=True)
class StaticOptions:
    """How activations and weights are brought to 8 bits."""

    method: str = option(
        "minmax",
        "how a range is found from the samples",
        choices=("minmax", "entropy", "percentile"),
    )
    activations: str = option(
        "uint8",
        "type of activations; int8 with symmetric ranges is what TensorRT takes",
        choices=("uint8", "int8"),
    )
    weights: str = option("int8", "type of weights", choices=("int8", "uint8"))
    per_channel: bool = option(True, "a scale for each output channel of a weight")
    symmetric: bool = option(
        False, "ranges of activations are symmetric around zero, as TensorRT takes them"
    )
    reduce_range: bool = option(
        True,
        "7-bit weights: 8-bit ones saturate on x86 CPUs without VNNI, wherever it is served; False "
        "for GPUs",
    )
    quantize_bias: bool = option(
        True, "biases become 32-bit integers; False for TensorRT, which has no such type for them"
    )
    operators: str = option(
        "",
        "operator types to quantise, separated by commas; empty: those that gain, by the graph's kind",
    )
    keep: str = option("", "of these, operator types that stay in fp32, separated by commas")
    keep_nodes: str = option("", "names of nodes that stay in fp32, separated by commas")
    keep_worst: int = option(
        0, "so many of the nodes that cost most precision on the samples stay in fp32 too"
    )
    const_only: bool = option(
        True, "of matrix products only those with a weight, not those of two activations"
    )
    percentile: float = option(99.999, "share of values inside the range", unit="%")


@dataclass(frozen=True, slots=True)
class DynamicOptions:
    """Which weights are brought to 8 bits."""

    weights: str = option("int8", "type of weights", choices=("int8", "uint8"))
    per_channel: bool = option(False, "a scale for each output channel of a weight")
    reduce_range: bool = option(
        True, "7-bit weights: 8-bit ones saturate on x86 CPUs without VNNI, wherever it is served"
    )
    keep: str = option("", "operator types that stay in fp32, separated by commas")
    keep_nodes: str = option("", "names of nodes that stay in fp32, separated by commas")
    operators: str = option(
        "MatMul,Gemm,Attention,LSTM,Gather,EmbedLayerNormalization",
        "operator types that are quantised, separated by commas; convolutions are slower so",
    )


@edge(
    "onnx",
    "onnx",
    ("fp32", "int8"),
    name="onnx-int8<-onnx",
    needs=NEEDS,
    options=StaticOptions,
    timeout_s=3600,
    explain=explain,
    **READS,
)
def to_int8(
    at: At, model: Product, samples: Product, ranking: Product | None = None
) -> graph.Graph:
    """Quantise to int8 with Q/DQ pairs, calibrated on all samples."""
    signature = samples.read(Signature)
    feeds = stored.read(samples.path)
    ranges.finite(feeds)
    options = at.options or StaticOptions()
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(model, Path(scratch), at, signature)
        operators = listed(options.operators) or prepared.operators()
        excluded, kept, notes = prepared.kept(options, at.about.precision, operators, ranking)
        at.say(f"calibrating on {len(feeds)} samples")
        _quantize(at, options, prepared, operators, excluded, feeds)
    _tidy(at.out, excluded)
    made = finish(at, signature, QDQ[:1])
    return replace(made, kept=kept, notes=notes)


def _quantize(
    at: At,
    options: StaticOptions,
    prepared: Prepared,
    operators: list[str],
    excluded: list[str],
    feeds: Sequence[dict[str, np.ndarray]],
) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    kinds = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
    facts = {
        "op_types_to_quantize": operators,
        "nodes_to_exclude": excluded,
        "quant_format": QuantFormat.QDQ,
        "per_channel": options.per_channel and graph.opset(prepared.graph()) >= 13,
        "reduce_range": options.reduce_range,
        "activation_type": kinds[options.activations],
        "weight_type": kinds[options.weights],
        "use_external_data_format": prepared.large,
        "calibrate_method": method_of(options.method),
    }
    extra = {
        "ActivationSymmetric": options.symmetric,
        "QuantizeBias": options.quantize_bias,
        # Else a Relu before a rounding is dropped, and `_tidy` would give what came before it.
        "QDQKeepRemovableActivations": bool(excluded),
        "CalibPercentile": options.percentile,
        "MatMulConstBOnly": options.const_only,
        # Histograms hold every activation of a stride's samples at once. The other way to
        # bound that, CalibMaxIntermediateOutputs, throws samples away.
        "CalibStridedMinMax": stride(len(feeds)) if options.method != "minmax" else None,
    }
    path = at.out / graph.FORMAT.filename
    try:
        quantize_static(prepared.path, path, reader(feeds, at), extra_options=extra, **facts)
    except ValueError as error:
        # Its correction of small biases takes one scale where there is one a channel.
        if "truth value of an array" not in str(error):
            raise
        extra["QDQDisableWeightAdjustForInt32Bias"] = True
        quantize_static(prepared.path, path, reader(feeds, at), extra_options=extra, **facts)


def method_of(name: str) -> Any:
    """How ranges are found, as the quantiser names it."""
    from onnxruntime.quantization import CalibrationMethod

    return {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }[name]


def _tidy(folder: Path, excluded: Sequence[str]) -> None:
    """Look at the scales, and give nodes that stay in fp32 their exact inputs: the quantiser rounds
    a value for all that read it once one of them wants that.

    Raises:
        ModelError: a value is NaN or Inf on a sample, which makes a scale that makes everything so.
    """
    import numpy as np
    import onnx

    made = graph.load(folder / graph.FORMAT.filename)
    tensors = {t.name: t for t in made.graph.initializer}
    before = {n.output[0]: n.input[0] for n in made.graph.node if n.op_type in QDQ}
    changed = False
    for node in made.graph.node:
        if node.op_type in QDQ and node.input[1] in tensors:
            scale = onnx.numpy_helper.to_array(tensors[node.input[1]])
            if not np.isfinite(scale).all():
                raise ModelError(
                    f"the value {node.input[0]!r} is NaN or Inf on a sample, so it has no scale",
                    "keep the node that makes it in fp32 (option keep_nodes), or use other samples",
                )
        if node.name in excluded:
            for i, name in enumerate(node.input):
                exact = before.get(before.get(name, ""))
                if exact is not None:
                    node.input[i] = exact
                    changed = True
    if changed:
        (folder / graph.DATA).unlink(missing_ok=True)  # all of it is in memory, and is written anew
        graph.save(made, folder)


@edge(
    "onnx",
    "onnx",
    ("fp32", "int8-dynamic"),
    name="onnx-int8-dynamic<-onnx",
    needs=NEEDS,
    options=DynamicOptions,
    timeout_s=1800,
    explain=explain,
)
def to_int8_dynamic(at: At, model: Product, samples: Product) -> graph.Graph:
    """Quantise weights to int8; scales of activations are found while running."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    options = at.options or DynamicOptions()
    signature = samples.read(Signature)
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(model, Path(scratch), at, signature)
        operators = listed(options.operators)
        excluded, _, _ = prepared.kept(options, at.about.precision, operators, None)
        at.say("quantising weights")
        quantize_dynamic(
            prepared.path,
            at.out / graph.FORMAT.filename,
            op_types_to_quantize=operators,
            nodes_to_exclude=excluded,
            per_channel=options.per_channel,
            reduce_range=options.reduce_range,
            weight_type=QuantType.QInt8 if options.weights == "int8" else QuantType.QUInt8,
            use_external_data_format=prepared.large,
            # Of a product of two activations both would be quantised anew at every call.
            extra_options={"MatMulConstBOnly": True},
        )
    return finish(at, signature, DYNAMIC)


def listed(text: str) -> list[str]:
    """Operator types as an option has them, in their order."""
    return [name.strip() for name in text.split(",") if name.strip()]
