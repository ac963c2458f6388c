"""A frozen TensorFlow graph: constants for weights, its ends by the names they have in it.

It is a source only: what is built from it starts at the SavedModel that it becomes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from navigator_lab.errors import ModelError
from navigator_lab.types.plugin import At, Format, edge
from navigator_lab.types.signature import Signature

from . import _tensorflow as shared
from .savedmodel import FORMAT as SAVEDMODEL
from .savedmodel import Saved

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

FORMAT = Format(
    "graphdef",
    "model.pb",
    "a frozen TensorFlow graph",
    family="TensorFlow",
    unserved=shared.UNSERVED,
)
ENDS = "ends.json"


def opened(folder: Path) -> shared.Signed:
    """The graph of a product as a function.

    Raises:
        ModelError: TensorFlow can't read it, or it has no such tensors.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    ends = json.loads((folder / ENDS).read_text(encoding="utf-8"))
    inputs, outputs = ({name: f"{name}:0" for name in ends[end]} for end in ("inputs", "outputs"))
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString((folder / FORMAT.filename).read_bytes())
        return shared.of_graph(graph, inputs, outputs)
    except (DecodeError, ValueError, KeyError, tf.errors.OpError) as error:
        raise ModelError(
            f"TensorFlow can't take the graph: {shared.said(error)}",
            "give the SavedModel that it was frozen from",
        ) from error


@edge(FORMAT.name, SAVEDMODEL.name, "fp32", **shared.EDGE)
def to_savedmodel(at: At, model: Product, samples: Product) -> Saved:
    """Save the graph as a SavedModel with one signature, its names kept."""
    signature = samples.read(Signature)
    signed = opened(model.path)
    with shared.converting("TensorFlow can't save the graph"):
        shared.save(shared.by_position(signed, signature), signature, signed.kept, at.out)
    return Saved(shared.DEFAULT)
