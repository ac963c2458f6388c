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
from navigator_lab.types.signature import Signature

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
    needs=(*shared.NEEDS, "tf2onnx", "onnx"),
    apart=shared.APART,
    options=TensorFlowOptions,
    timeout_s=1800,
    explain=shared.explain,
)
def from_savedmodel(at: At, model: Product, samples: Product) -> graph.Graph:
    """Convert the chosen signature of the SavedModel with tf2onnx."""
    import tensorflow as tf
    import tf2onnx

    signature = samples.read(Signature)
    text = [s.name for s in (*signature.inputs, *signature.outputs) if s.dtype == shared.TEXT]
    if text:
        raise ModelError(
            f"tensors of text ({', '.join(text)}): tf2onnx has no operators for it",
            "serve the SavedModel itself",
        )
    signed = shared.opened(model.path)
    names = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]

    def flat(*tensors: Any) -> dict[str, Any]:
        answer = signed.call(**dict(zip(names, tensors, strict=True)))
        return {name: answer[name] for name in outputs}

    at.say("converting")
    try:
        made, _ = tf2onnx.convert.from_function(
            tf.function(flat), input_signature=shared.specs_of(signature), opset=at.options.opset
        )
    except Exception as error:  # foreign code: any class may come
        raise shared.CannotConvert(
            f"tf2onnx can't take the SavedModel: {shared.said(error)}"
        ) from error
    graph.name_axes(made, signature)
    path = graph.save(made, at.out)
    _check_operators(made)
    checked = graph.check(path, signature, outputs=False)
    return graph.Graph(graph.opset(checked), len(checked.graph.node), f"tf2onnx {_version()}")


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
