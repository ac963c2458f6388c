"""From fp32 to 16-bit floats, inside one graph: its inputs and outputs keep their types.

`retype` does it; here are the edge and what stays in fp32.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from navigator_lab.errors import ModelError
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, edge, option
from navigator_lab.types.signature import Signature

from . import graph
from .reasons import explain
from .retype import convert

# Sums, powers and logarithms leave fp16's range or lose most of its 11 bits.
SENSITIVE = (
    "CumSum,Exp,Log,Pow,Range,ReduceL1,ReduceL2,ReduceLogSum,ReduceLogSumExp,ReduceMean,"
    "ReduceProd,ReduceSum,ReduceSumSquare"
)
BF16_OPSET = 22  # convolutions, pooling and recurrent operators know bf16 from here on


@dataclass(frozen=True, slots=True)
class HalfOptions:
    """What stays in fp32."""

    keep: str = option(SENSITIVE, "operator types that stay in fp32, separated by commas")
    keep_nodes: str = option("", "names of nodes that stay in fp32, separated by commas")


@edge(
    "onnx",
    "onnx",
    ("fp32", "fp16"),
    ("fp32", "bf16"),
    name="onnx-half<-onnx",
    needs=("onnx", "numpy", "ml_dtypes"),
    options=HalfOptions,
    timeout_s=900,
    explain=explain,
)
def to_half(at: At, model: Product, samples: Product) -> graph.Graph:
    """Let the operators of the graph compute in fp16 or bf16."""
    import onnx

    options = at.options or HalfOptions()
    source = graph.load(model.path / graph.FORMAT.filename)
    notes: tuple[str, ...] = ()
    if at.about.precision == "bf16":
        kind = onnx.TensorProto.BFLOAT16
        source, notes = graph.raised(source, BF16_OPSET)
    else:
        kind = onnx.TensorProto.FLOAT16
    changed = convert(source, kind, _names(options.keep), _names(options.keep_nodes))
    if not changed:
        raise ModelError(
            f"no operator of this graph takes fp32 and can compute in {at.about.precision}",
            "a graph in float64, in integers, or of classical machine learning has nothing to gain",
        )
    path = graph.save(source, at.out)
    graph.check(path, samples.read(Signature), outputs=False)
    return graph.Graph(graph.opset(source), len(source.graph.node), converted=changed, notes=notes)


@edge("onnx", "onnx", ("fp32", "tf32"), name="onnx-tf32<-onnx", needs=("onnx",), timeout_s=600)
def to_tf32(at: At, model: Product, samples: Product) -> None:
    """The same file: TF32 is a mode that the runner sets."""
    shutil.copytree(model.path, at.out, dirs_exist_ok=True)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
