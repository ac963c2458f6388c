"""From fp32 to 16-bit floats, inside one graph: its inputs and outputs keep their types.

`retype` does it; here are the edge and what stays in fp32: operator types that are known to lose too
much, nodes that the user names, nodes whose values on the samples a 16-bit float can't hold
(`ranges`), and as many of the most sensitive as asked (`sensitivity`).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from navigator_lab.errors import ModelError
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, edge, option
from navigator_lab.types.signature import Signature

from . import graph, ranges
from .ranking import READS, worst
from .reasons import explain
from .retype import convert, convertible

if TYPE_CHECKING:
    import onnx

# Sums, powers and logarithms leave fp16's range or lose most of its 11 bits.
SENSITIVE = (
    "CumSum,Exp,Log,Pow,Range,ReduceL1,ReduceL2,ReduceLogSum,ReduceLogSumExp,ReduceMean,"
    "ReduceProd,ReduceSum,ReduceSumSquare"
)
ON_CPUS = (
    "ONNX Runtime has no bf16 arithmetic on CPUs: there it computes in fp32 and rounds after each "
    "operator, so the error is that of bf16, and the time is not"
)
BF16_OPSET = 22  # convolutions, pooling and recurrent operators know bf16 from here on


@dataclass(frozen=True, slots=True)
class HalfOptions:
    """What stays in fp32."""

    keep: str = option(SENSITIVE, "operator types that stay in fp32, separated by commas")
    keep_nodes: str = option("", "names of nodes that stay in fp32, separated by commas")
    keep_worst: int = option(
        0, "so many of the nodes that cost most precision on the samples stay in fp32 too"
    )
    check_ranges: bool = option(
        True,
        "run the fp32 graph on the samples, and keep the nodes in fp32 whose values 16 bits can't "
        "hold; else weights are clipped to what they can, and values overflow",
    )
    headroom: float = option(
        2.0, "how many times larger than on the samples a value may become before fp16 overflows"
    )


@edge(
    "onnx",
    "onnx",
    ("fp32", "fp16"),
    ("fp32", "bf16"),
    name="onnx-half<-onnx",
    needs=("onnx", "numpy", "ml_dtypes", "onnxruntime|onnxruntime-gpu"),
    options=HalfOptions,
    timeout_s=900,
    explain=explain,
    **READS,
)
def to_half(
    at: At, model: Product, samples: Product, ranking: Product | None = None
) -> graph.Graph:
    """Let the operators of the graph compute in fp16 or bf16."""
    import onnx

    options = at.options or HalfOptions()
    precision = at.about.precision
    source = graph.load(model.path / graph.FORMAT.filename)
    notes: tuple[str, ...] = ()
    if precision == "bf16":
        kind = onnx.TensorProto.BFLOAT16
        source, notes = graph.raised(source, BF16_OPSET)
        notes = (ON_CPUS, *notes)
    else:
        kind = onnx.TensorProto.FLOAT16
    source = graph.plain(source)
    keep, asked = graph.names(options.keep), graph.names(options.keep_nodes)
    free = convertible(source, kind, keep, asked)
    if not free:
        raise ModelError(
            f"no operator of this graph takes fp32 and can compute in {precision}",
            "a graph in float64, in integers, or of classical machine learning has nothing to gain",
        )
    kept: dict[str, None] = {}  # a set in order
    if options.check_ranges:
        at.say("checking ranges on the samples")
        found, said = _outside(source, samples, precision, options.headroom)
        found = {name: size for name, size in found.items() if name in free}
        if found:
            said = (
                f"{len(found)} {_nodes(len(found))} in fp32, as their values on the samples are "
                f"beyond {precision}: {ranges.listed(found)}",
            )
        kept |= dict.fromkeys(found)
        notes += said
    if options.keep_worst:
        chosen, said = worst(ranking, precision, options.keep_worst, free - kept.keys())
        kept |= dict.fromkeys(chosen)
        notes += said
    changed = convert(source, kind, keep, asked | kept.keys())
    if not changed:
        raise ModelError(
            f"every node of this graph that could compute in {precision} stays in fp32: "
            f"{ranges.listed(kept)}",
            "scale what overflows, use bf16, or set check_ranges=False or a smaller keep_worst",
        )
    path = graph.save(source, at.out)
    graph.check(path, samples.read(Signature), outputs=False)
    nodes = len(source.graph.node)
    return graph.Graph(graph.opset(source), nodes, converted=changed, notes=notes, kept=tuple(kept))


def _outside(
    source: onnx.ModelProto, samples: Product, precision: str, headroom: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The nodes that 16 bits can't hold, with the size of the value; or a note why that isn't known."""
    import ml_dtypes

    limits = ml_dtypes.finfo("float16" if precision == "fp16" else "bfloat16")
    try:
        found = ranges.measured(source, stored.read(samples.path))
    except ranges.CannotRun as error:
        return {}, (f"ranges were not checked on the samples: {error}",)
    # bf16 ends where fp32 does: what is that large is no number that grows.
    room = max(headroom, 1.0) if precision == "fp16" else 1.0
    return ranges.outside(source, found, float(limits.max), float(limits.tiny), room), ()


def _nodes(count: int) -> str:
    return "node stays" if count == 1 else "nodes stay"


@edge("onnx", "onnx", ("fp32", "tf32"), name="onnx-tf32<-onnx", needs=("onnx",), timeout_s=600)
def to_tf32(at: At, model: Product, samples: Product) -> None:
    """The same file: TF32 is a mode that the runner sets."""
    shutil.copytree(model.path, at.out, dirs_exist_ok=True)
