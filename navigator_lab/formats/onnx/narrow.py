"""From fp32 to fp8, and to weights alone in 8 or 4 bits, by `qdq`'s pairs of standard operators.

fp8 is E4M3, static: ranges of values come from the samples, by ONNX Runtime's calibrators. Runtimes
without fp8 arithmetic (ONNX Runtime on a CPU) round to it and multiply in fp32: the same answer.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, edge, option
from navigator_lab.types.signature import Signature

from . import graph, qdq, ranges
from .prepared import PRODUCTS, prepare, reader, stride
from .quantize import NEEDS, listed, method_of
from .ranking import READS
from .reasons import explain

if TYPE_CHECKING:
    import numpy as np
    import onnx

NARROW_NEEDS = (*NEEDS, "ml_dtypes")
ON_CPUS = (
    "ONNX Runtime has no fp8 arithmetic on CPUs: there values are rounded to fp8 and multiplied in "
    "fp32, so the error is that of fp8, and the time is not"
)
WEIGHTS = {"int8-weights": qdq.INT8, "int4-weights": qdq.INT4}


@dataclass(frozen=True, slots=True)
class Fp8Options:
    """How activations and weights are brought to fp8 (E4M3)."""

    method: str = option(
        "minmax",
        "how a range is found from the samples",
        choices=("minmax", "entropy", "percentile"),
    )
    percentile: float = option(99.999, "share of values inside the range", unit="%")
    per_channel: bool = option(True, "a scale for each output channel of a weight")
    operators: str = option(
        ",".join(PRODUCTS), "operator types that are quantised, separated by commas"
    )
    const_only: bool = option(
        True, "of matrix products only those with a weight, not those of two activations"
    )
    keep: str = option("", "of these, operator types that stay in fp32, separated by commas")
    keep_nodes: str = option("", "names of nodes that stay in fp32, separated by commas")
    keep_worst: int = option(
        0, "so many of the nodes that cost most precision on the samples stay in fp32 too"
    )


@dataclass(frozen=True, slots=True)
class WeightOptions:
    """Which weights are brought to fewer bits, and how. The computation stays in fp32."""

    block: int = option(
        0,
        "one scale for so many weights along the summed axis of a matrix (a power of two, 16 or "
        "more); 0: 32 for 4 bits, and for 8 bits one for each output channel",
    )
    operators: str = option(
        "",
        "operator types whose weights are stored so, separated by commas; empty: matrix products, "
        "and convolutions for 8 bits",
    )
    keep: str = option("", "of these, operator types that stay in fp32, separated by commas")
    keep_nodes: str = option("", "names of nodes that stay in fp32, separated by commas")


@edge(
    "onnx",
    "onnx",
    ("fp32", "fp8"),
    name="onnx-fp8<-onnx",
    needs=NARROW_NEEDS,
    options=Fp8Options,
    timeout_s=3600,
    explain=explain,
    **READS,
)
def to_fp8(at: At, model: Product, samples: Product, ranking: Product | None = None) -> graph.Graph:
    """Quantise to fp8 (E4M3) with Q/DQ pairs, calibrated on all samples."""
    options = at.options or Fp8Options()
    signature = samples.read(Signature)
    feeds = stored.read(samples.path)
    ranges.finite(feeds)
    operators = listed(options.operators)
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(model, Path(scratch), at, signature)
        excluded, kept, notes = prepared.kept(options, at.about.precision, operators, ranking)
        made = _raised(graph.load(prepared.path), qdq.FP8, signature)
        chosen = _chosen(made, operators, set(excluded), options.const_only)
        _some(chosen, operators, "fp8")
        at.say(f"calibrating on {len(feeds)} samples")
        largest = _largest(prepared.path, Path(scratch), at, feeds, options)
        changed = qdq.write(made, qdq.FP8, chosen, largest, per_channel=options.per_channel)
    return _saved(at, made, signature, changed, (ON_CPUS, *notes), kept)


@edge(
    "onnx",
    "onnx",
    ("fp32", "int8-weights"),
    ("fp32", "int4-weights"),
    name="onnx-weights<-onnx",
    needs=NARROW_NEEDS,
    options=WeightOptions,
    timeout_s=1800,
    explain=explain,
)
def to_weights(at: At, model: Product, samples: Product) -> graph.Graph:
    """Store weights in 8 or 4 bits; they are brought back to fp32 where they are used."""
    options = at.options or WeightOptions()
    precision = str(at.about.precision)
    kind = WEIGHTS[precision]
    signature = samples.read(Signature)
    operators = listed(options.operators)
    if not operators:
        operators = ["MatMul", "Gemm"] if kind is qdq.INT4 else list(PRODUCTS)
    block = options.block or (32 if kind is qdq.INT4 else 0)
    if block and (block < 16 or block & (block - 1)):
        raise ModelError(f"block={block} can't be", "give a power of two, 16 or more, or 0")
    needed = qdq.Kind(kind.name, kind.most, max(kind.opset, 21 if block else 0))
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(model, Path(scratch), at, signature)
        excluded, _, _ = prepared.kept(options, precision, operators)
        made = _raised(graph.load(prepared.path), needed, signature)
    chosen = _chosen(made, operators, set(excluded), const_only=True)
    _some(chosen, operators, precision)
    at.say("storing weights")
    return _saved(at, made, signature, qdq.write(made, needed, chosen, block=block))


def _raised(model: onnx.ModelProto, kind: qdq.Kind, signature: Signature) -> onnx.ModelProto:
    made, notes = graph.raised(model, kind.opset)
    if graph.opset(made) < kind.opset:
        raise ModelError(
            f"{kind.name} needs operator set {kind.opset}, and the graph {notes[0]}",
            f"export the model with opset={kind.opset} or newer",
        )
    made.ir_version = max(made.ir_version, 10 if kind.opset >= 21 else 9)
    return made


def _chosen(
    model: onnx.ModelProto, operators: Sequence[str], excluded: set[str], const_only: bool
) -> set[str]:
    """The nodes to quantise: of these types, with a weight."""
    import onnx

    weights = {
        t.name
        for t in model.graph.initializer
        if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1
    }
    return {
        node.name
        for node in model.graph.node
        if node.op_type in operators
        and len(node.input) > 1
        and node.name not in excluded
        and (not const_only or node.input[1] in weights)
    }


def _some(chosen: set[str], operators: Sequence[str], precision: str) -> None:
    if not chosen:
        raise ModelError(
            f"there is nothing to bring to {precision}: no {', '.join(operators)} of this graph has "
            "a weight and may be quantised",
            "use fp16 or bf16, name other operators, or keep fewer nodes in fp32",
        )


def _largest(
    path: Path, scratch: Path, at: At, feeds: Sequence[dict[str, np.ndarray]], options: Fp8Options
) -> dict[str, float]:
    """The end of the range of each value that a product takes or gives, by the chosen method.

    Raises:
        ModelError: one of them is NaN or Inf on a sample.
    """
    from onnxruntime.quantization.calibrate import create_calibrator

    extra: dict[str, Any] = {"symmetric": True}
    if options.method == "percentile":
        extra["percentile"] = options.percentile
    calibrator = create_calibrator(
        path,
        listed(options.operators),
        augmented_model_path=str(scratch / "augmented.onnx"),
        calibrate_method=method_of(options.method),
        use_external_data_format=graph.weight_bytes(graph.load(path)) >= graph.EXTERNAL_FROM_BYTES,
        extra_options=extra,
    )
    read = reader(feeds, at)
    # Histograms hold every activation of what is read in one go.
    step = stride(len(feeds)) if options.method != "minmax" else len(feeds)
    for start in range(0, len(feeds), step):
        read.set_range(start, start + step)
        calibrator.collect_data(read)
    made = {}
    for name, one in calibrator.compute_data().items():
        low, high = (float(abs(end).max()) for end in one.range_value)
        made[name] = max(low, high)
        if not math.isfinite(made[name]):
            raise ModelError(
                f"the value {name!r} is NaN or Inf on a sample, so it has no scale",
                "keep the node that makes it in fp32 (option keep_nodes), or use other samples",
            )
    return made


def _saved(
    at: At,
    made: onnx.ModelProto,
    signature: Signature,
    changed: int,
    notes: tuple[str, ...] = (),
    kept: tuple[str, ...] = (),
) -> graph.Graph:
    path = graph.save(made, at.out)
    graph.check(path, signature, outputs=False)
    nodes = len(made.graph.node)
    return graph.Graph(graph.opset(made), nodes, converted=changed, notes=notes, kept=kept)
