"""From fp32 to 8-bit integers with ONNX Runtime's own quantiser.

Static: scales of activations are found by running the graph on all samples; quantise and
dequantise pairs are written into the graph. Dynamic: only weights are stored in 8 bits.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, edge, option
from navigator_lab.types.signature import Signature

from . import graph
from .reasons import explain

if TYPE_CHECKING:
    import numpy as np
    import onnx

NEEDS = ("onnx", "onnxruntime|onnxruntime-gpu", "numpy", "sympy")
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
CHAIN = (
    *("Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu"),
    *("MaxPool", "Pad", "Relu", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze"),
)
QDQ = ("QuantizeLinear", "DequantizeLinear")
# What the quantiser writes where it stores weights in 8 bits and finds scales while running.
DYNAMIC = (
    "MatMulInteger",
    "ConvInteger",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
    "QAttention",
    "QEmbedLayerNormalization",
    "DequantizeLinear",
)


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
    symmetric: bool = option(False, "ranges of activations are symmetric around zero")
    reduce_range: bool = option(
        True, "7-bit weights: 8-bit ones saturate on x86 CPUs without VNNI, wherever it is served"
    )
    operators: str = option(
        "",
        "operator types to quantise, separated by commas; empty: those that gain, by the graph's kind",
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
)
def to_int8(at: At, model: Product, samples: Product) -> graph.Graph:
    """Quantise to int8 with Q/DQ pairs, calibrated on all samples."""
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    options = at.options or StaticOptions()
    signature = samples.read(Signature)
    feeds = stored.read(samples.path)
    method = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }[options.method]
    kinds = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
    with tempfile.TemporaryDirectory() as scratch:
        prepared, large = _prepare(model, Path(scratch), at, signature)
        operators = _list(options.operators) or _operators(prepared)
        facts = {
            "op_types_to_quantize": operators,
            "quant_format": QuantFormat.QDQ,
            "per_channel": options.per_channel and _opset(prepared) >= 13,
            "reduce_range": options.reduce_range,
            "activation_type": kinds[options.activations],
            "weight_type": kinds[options.weights],
            "use_external_data_format": large,
            "calibrate_method": method,
        }
        extra = {
            "ActivationSymmetric": options.symmetric,
            "CalibPercentile": options.percentile,
            "MatMulConstBOnly": options.const_only,
            # Histograms hold every activation of a stride's samples at once. The other way to
            # bound that, CalibMaxIntermediateOutputs, throws samples away.
            "CalibStridedMinMax": _stride(len(feeds)) if options.method != "minmax" else None,
        }
        path = at.out / graph.FORMAT.filename
        at.say(f"calibrating on {len(feeds)} samples")
        try:
            quantize_static(prepared, path, _reader(feeds, at), extra_options=extra, **facts)
        except ValueError as error:
            # Its correction of small biases takes one scale where there is one a channel.
            if "truth value of an array" not in str(error):
                raise
            extra["QDQDisableWeightAdjustForInt32Bias"] = True
            quantize_static(prepared, path, _reader(feeds, at), extra_options=extra, **facts)
    return _finish(at, signature, QDQ[:1])


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
        prepared, large = _prepare(model, Path(scratch), at, signature)
        at.say("quantising weights")
        quantize_dynamic(
            prepared,
            at.out / graph.FORMAT.filename,
            op_types_to_quantize=_list(options.operators),
            per_channel=options.per_channel,
            reduce_range=options.reduce_range,
            weight_type=QuantType.QInt8 if options.weights == "int8" else QuantType.QUInt8,
            use_external_data_format=large,
            # Of a product of two activations both would be quantised anew at every call.
            extra_options={"MatMulConstBOnly": True},
        )
    return _finish(at, signature, DYNAMIC)


def _list(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _prepare(model: Product, scratch: Path, at: At, signature: Signature) -> tuple[Path, bool]:
    """The graph with constants folded, batch norms merged and shapes inferred, as a file.

    The quantiser skips what it knows no shape of. Its preparation optimises in a session of the
    runtime and goes on without when that fails.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source = graph.load(model.path / graph.FORMAT.filename)
    if not any(_kind(i) == onnx.TensorProto.FLOAT for i in _floats(source)):
        raise ModelError(
            "no tensor of this graph is float32, so there is nothing to quantise",
            "only float32 graphs can be brought to int8",
        )
    done = [n.op_type for n in source.graph.node if n.op_type in (*QDQ, *DYNAMIC)]
    if done:
        raise ModelError(
            f"this graph is quantised already: it has {len(done)} {done[0]} and the like",
            "use it as it is (its fp32 variant keeps what the file says), or give the fp32 model",
        )
    # Scales by channel need an axis, which Q/DQ operators have from 13 on.
    source, notes = graph.raised(source, 13)
    for note in notes:
        at.say(note)
    _forget_weights(source, {spec.name for spec in signature.inputs})
    large = graph.weight_bytes(source) >= graph.EXTERNAL_FROM_BYTES
    at.say("preparing the graph")
    if source.functions:
        from onnx.inliner import inline_local_functions

        source = inline_local_functions(source)
    given, path = scratch / "given.onnx", scratch / "prepared.onnx"
    onnx.save(source, given, save_as_external_data=large, location="given.data")
    quant_pre_process(
        given,
        path,
        # The symbolic one fails on graphs that the plain one infers well enough.
        skip_symbolic_shape=True,
        save_as_external_data=large,
        all_tensors_to_one_file=large,
        external_data_location="prepared.data" if large else None,
    )
    _forget_shapes(path, large)
    return path, large


def _forget_weights(model: onnx.ModelProto, fed: set[str]) -> None:
    """Drop weights from the inputs, where files before IR 4 have to list them: the quantiser would
    ask the samples for them, and its preparation makes new ones without listing these."""
    weights = {t.name for t in model.graph.initializer} - fed
    kept = [i for i in model.graph.input if i.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 7)  # what opset 13 came with


def _forget_shapes(path: Path, large: bool) -> None:
    """Drop inferred shapes of constants, which the quantiser transposes and then trips over."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    constants = {t.name for t in model.graph.initializer}
    kept = [v for v in model.graph.value_info if v.name not in constants]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    onnx.save(model, path)


def _floats(model: onnx.ModelProto) -> list[Any]:
    return [*model.graph.input, *model.graph.initializer, *model.graph.output]


def _kind(value: Any) -> int:
    return int(value.data_type if hasattr(value, "data_type") else value.type.tensor_type.elem_type)


def _opset(path: Path) -> int:
    import onnx

    return graph.opset(onnx.load(path, load_external_data=False))


def _operators(path: Path) -> list[str]:
    """What is worth quantising: products with weights, and around convolutions all that keeps
    the chain in 8 bits. Sums, norms and masks of attention lose too much."""
    import onnx

    found = {n.op_type for n in onnx.load(path, load_external_data=False).graph.node}
    return [*PRODUCTS, *(CHAIN if found & {"Conv", "ConvTranspose"} else ())]


def _stride(count: int) -> int:
    """The largest number of samples, at most eight, that divides their count, as it must."""
    return next(n for n in range(min(8, count), 0, -1) if count % n == 0)


def _reader(feeds: list[dict[str, np.ndarray]], at: At) -> Any:
    """The samples, one at a time, as the quantiser asks for them: every one of them counts."""
    from onnxruntime.quantization import CalibrationDataReader

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.set_range(0, len(feeds))

        def __len__(self) -> int:
            return len(feeds)

        def set_range(self, start_index: int, end_index: int) -> None:
            self.left: Iterator[int] = iter(range(start_index, end_index))

        def get_next(self) -> dict[str, np.ndarray] | None:
            i = next(self.left, None)
            if i is None:
                return None
            at.say(f"calibrating: sample {i + 1} of {len(feeds)}", i / len(feeds))
            return feeds[i]

    return Samples()


def _finish(at: At, signature: Signature, signs: tuple[str, ...]) -> graph.Graph:
    """Check what the quantiser wrote; a graph in which it changed nothing is no int8 graph."""
    path = at.out / graph.FORMAT.filename
    made = graph.check(path, signature, outputs=False)
    count = Counter(node.op_type for node in made.graph.node)
    changed = sum(count[sign] for sign in signs)
    if not changed:
        kept = ", ".join(name for name, _ in count.most_common(6))
        raise ModelError(
            f"ONNX Runtime's quantiser found nothing that it can quantise among {kept}",
            "use fp16 or bf16, or leave this model in fp32",
        )
    return graph.Graph(graph.opset(made), len(made.graph.node), converted=changed)
