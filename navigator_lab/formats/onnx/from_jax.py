"""From a JAX function to ONNX, by jax2onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from navigator_lab.formats import _jax as shared
from navigator_lab.formats.jax_function import FORMAT as JAX
from navigator_lab.types.plugin import At, edge
from navigator_lab.types.signature import Signature

from . import graph

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

OPSET = 18


@edge(
    JAX.name,
    graph.FORMAT.name,
    "fp32",
    **{**shared.EDGE, "needs": (*shared.NEEDS, "jax2onnx", "onnx")},
)
def from_jax(at: At, model: Product, samples: Product) -> graph.Graph:
    """Trace the function and translate it."""
    from jax2onnx import to_onnx

    signature = samples.read(Signature)
    try:
        made = to_onnx(
            shared.flat(shared.load(model.path / JAX.filename), signature),
            shared.shapes(signature),
            input_names=[spec.name for spec in signature.inputs],
            output_names=[spec.name for spec in signature.outputs],
            opset=OPSET,
        )
    except Exception as error:  # foreign code: any class may come
        raise shared.CannotTrace(f"jax2onnx can't take it: {shared.said(error)}") from error
    path = graph.save(made, at.out)
    graph.check(path, signature, outputs=False)
    return graph.Graph(graph.opset(made), len(made.graph.node), "jax2onnx")
