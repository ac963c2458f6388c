"""TFLite (LiteRT): the flat file for small machines, and the edges that lead to it.

Every file keeps floats at its border; what is inside is the precision's business. The file has one
signature, with the model's own names.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types import samples as stored
from navigator_lab.types.plugin import At, Format, edge, option
from navigator_lab.types.signature import Signature
from navigator_lab.types.target import Precision

from . import _tensorflow as shared
from .savedmodel import FORMAT as SAVEDMODEL

if TYPE_CHECKING:
    import tensorflow as tf

    from navigator_lab.types.outcome import Product

RECURRENT = "requires element_shape to be static"  # the converter, of a loop whose batch varies
ONE = "a loop in it needs its batch as a number: the file takes one row, and a batch is run by rows"
FORMAT = Format("tflite", "model.tflite", "TFLite (LiteRT) file", family="TensorFlow Lite")


@dataclass(frozen=True, slots=True)
class LiteOptions:
    """How a SavedModel becomes a TFLite file."""

    per_channel: bool = option(True, "int8: a scale for each channel of a weight")


@dataclass(frozen=True, slots=True)
class Lite:
    """Value of a TFLite file that was built."""

    bytes: int
    notes: tuple[str, ...] = ()


@edge(
    SAVEDMODEL.name,
    FORMAT.name,
    "fp32",
    ("fp32", "fp16"),
    ("fp32", "int8"),
    ("fp32", "int8-dynamic"),
    options=LiteOptions,
    **shared.EDGE,
)
def from_savedmodel(at: At, model: Product, samples: Product) -> Lite:
    """Convert the SavedModel; for int8, calibrate it on all samples."""
    signature = shared.without_text(samples, "TFLite lacks TensorFlow's operators for it")
    feeds = stored.read(samples.path)
    try:
        return _built(at, shared.opened(model.path), signature, feeds)
    except shared.CannotConvert as error:
        if RECURRENT not in str(error) or not signature.batch_first:
            raise
        try:
            row = shared.opened(model.path, shared.ROW)
        except ModelError:  # a SavedModel from elsewhere has no such signature
            raise error from None
    at.say("again, with a batch of 1")
    return _built(at, row, shared.by_row(signature), feeds, (ONE,))


def _built(
    at: At,
    signed: shared.Signed,
    signature: Signature,
    feeds: list[dict[str, Any]],
    notes: tuple[str, ...] = (),
) -> Lite:
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix="navigator-lab-tflite-") as scratch:
        at.say("freezing")
        frozen = Path(scratch)
        _freeze(signed, signature, frozen)
        keys = shared.keys(frozen)
        if keys:
            shared.choose(at.out, shared.DEFAULT, keys)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(frozen / shared.FOLDER), signature_keys=[shared.DEFAULT]
        )
        called = [{keys.get(name, name): one for name, one in feed.items()} for feed in feeds]
        notes += _precision(converter, at, called)
        at.say("converting")
        with shared.converting("TFLite's converter refuses the model"):
            made = converter.convert()
    (at.out / FORMAT.filename).write_bytes(made)
    return Lite(len(made), notes)


def _freeze(signed: shared.Signed, signature: Signature, folder: Path) -> None:
    """The signature with its weights as constants: the converter loses variables of some files."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    outputs = [spec.name for spec in signature.outputs]
    call = shared.by_position(signed, signature)

    def flat(*tensors: Any) -> list[Any]:
        return list(call(*tensors).values())

    constant: Any = flat
    if signed.revived:
        whole = tf.function(flat).get_concrete_function(*shared.specs_of(signature))
        constant = convert_variables_to_constants_v2(whole)
    shared.save(
        lambda *tensors: dict(zip(outputs, constant(*tensors), strict=True)),
        signature,
        signed.kept,
        folder,
    )


def _precision(
    converter: tf.lite.TFLiteConverter, at: At, feeds: list[dict[str, Any]]
) -> tuple[str, ...]:
    """Tell the converter what to compute in."""
    import tensorflow as tf

    precision = at.about.precision
    if precision == Precision.FP32:
        return ()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == Precision.FP16:
        converter.target_spec.supported_types = [tf.float16]
        return ("weights are fp16; a CPU without fp16 arithmetic widens them and computes in fp32",)
    if precision == Precision.INT8_DYNAMIC:
        return ()

    def calibrating() -> Iterator[tuple[str, dict[str, Any]]]:
        for i, feed in enumerate(feeds):
            at.say(f"calibrating: sample {i + 1} of {len(feeds)}", i / len(feeds))
            yield shared.DEFAULT, feed

    converter.representative_dataset = calibrating
    # What has no kernel in 8 bits stays in floats: a file that refuses to convert helps nobody.
    ops = tf.lite.OpsSet
    converter.target_spec.supported_ops = [ops.TFLITE_BUILTINS_INT8, ops.TFLITE_BUILTINS]
    converter._experimental_disable_per_channel = not at.options.per_channel
    return ()
