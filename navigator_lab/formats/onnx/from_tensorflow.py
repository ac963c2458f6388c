"""From a SavedModel to ONNX, by tf2onnx; the signature's own names, its layout as it is.

tf2onnx is what there is for SavedModels: Keras' own ONNX export calls it too, and jax2onnx knows no
SavedModel. It works in the environment of all the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.formats import _tensorflow as shared
from navigator_lab.formats.savedmodel import FORMAT as SAVEDMODEL
from navigator_lab.types.plugin import At, edge, option

from . import graph

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product


@dataclass(frozen=True, slots=True)
class TensorFlowOptions:
    """How a SavedModel becomes a graph."""

    opset: int = option(18, "version of the standard operators; tf2onnx knows up to 18")


@edge(
    SAVEDMODEL.name,
    graph.FORMAT.name,
    "fp32",
    options=TensorFlowOptions,
    **{**shared.EDGE, "needs": (*shared.NEEDS, "tf2onnx", "onnx")},
)
def from_savedmodel(at: At, model: Product, samples: Product) -> graph.Graph:
    """Convert the chosen signature of the SavedModel with tf2onnx."""
    import tensorflow as tf
    import tf2onnx

    signature = shared.without_text(samples, "tf2onnx has no operators for it")
    signed = shared.opened(model.path)
    specs = shared.specs_of(signature)
    if [spec.name for spec in specs] != [spec.name for spec in signature.inputs]:
        specs = [  # names that are in nobody's way, until they are renamed
            tf.TensorSpec(one.shape, one.dtype, f"fed_{i}") for i, one in enumerate(specs)
        ]
    at.say("converting")
    with shared.converting("tf2onnx can't take the SavedModel"):
        made, _ = tf2onnx.convert.from_function(
            tf.function(shared.by_position(signed, signature)),
            input_signature=specs,
            opset=at.options.opset,
        )
    for spec, said in zip(signature.inputs, specs, strict=True):
        _rename_input(made, said.name, spec.name)
    graph.name_axes(made, signature)
    path = graph.save(made, at.out)
    _check_operators(made)
    checked = graph.check(path, signature, outputs=False)
    return graph.Graph(graph.opset(checked), len(checked.graph.node), f"tf2onnx {_version()}")


def _rename_input(made: Any, before: str, after: str) -> None:
    """Call an input otherwise; whoever reads it by the name before, in a subgraph too, still can."""
    import onnx

    if before == after:
        return
    next(one for one in made.graph.input if one.name == before).name = after
    made.graph.node.insert(0, onnx.helper.make_node("Identity", [after], [before]))


def _check_operators(made: Any) -> None:
    """tf2onnx leaves what it doesn't know in the graph, under TensorFlow's name."""
    import onnx

    unknown = sorted(
        {
            node.op_type
            for node in made.graph.node
            if not node.domain and not onnx.defs.has(node.op_type)
        }
    )
    if unknown:
        raise ModelError(
            f"tf2onnx has no translation for {', '.join(unknown)}",
            "serve the SavedModel itself, or use OpenVINO",
        )


def _version() -> str:
    import tf2onnx

    return str(tf2onnx.__version__)
