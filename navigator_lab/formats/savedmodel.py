"""TensorFlow's SavedModel, one of its signatures chosen; and the edge that saves a Keras model so.

Triton's own TensorFlow backend ended with release 25.02, so none is named here: the Python backend
serves it, or the ONNX file that is made of it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from navigator_lab.types.plugin import At, Format, edge, option
from navigator_lab.types.signature import Signature

from . import _tensorflow as shared
from .keras_model import FORMAT as KERAS
from .keras_model import load, named_call, recurrent

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

FORMAT = Format(
    "savedmodel",
    shared.FOLDER,
    "TensorFlow's SavedModel, one signature of it",
    family="TensorFlow",
    unserved=shared.UNSERVED,
)


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """How a Keras model is saved."""

    jit_compile: bool = option(False, "have XLA compile the whole call where it is run")


@dataclass(frozen=True, slots=True)
class Saved:
    """Value of a SavedModel that was made from a Keras model."""

    signature: str
    jit_compile: bool = False


@edge(
    KERAS.name,
    FORMAT.name,
    "fp32",
    options=SaveOptions,
    **shared.EDGE,
)
def from_keras(at: At, model: Product, samples: Product) -> Saved:
    """Save the Keras model's call as a SavedModel, its names kept."""
    signature = samples.read(Signature)
    loaded = load(model.path)
    named = named_call(loaded, signature)
    names = [spec.name for spec in signature.inputs]
    with shared.converting("TensorFlow can't save the model's call"):
        shared.save(
            lambda *tensors: named(**dict(zip(names, tensors, strict=True))),
            signature,
            loaded,
            at.out,
            tuple(one.value for one in loaded.variables),
            jit_compile=at.options.jit_compile,
            recurrent=signature.batch_first and recurrent(loaded),
        )
    return Saved(shared.DEFAULT, at.options.jit_compile)


@edge(FORMAT.name, FORMAT.name, ("fp32", "tf32"), name="savedmodel-tf32<-savedmodel", **shared.EDGE)
def tf32(at: At, model: Product, samples: Product) -> None:
    """The same files: TF32 is a mode that the runner sets."""
    shutil.copytree(model.path, at.out, dirs_exist_ok=True)
