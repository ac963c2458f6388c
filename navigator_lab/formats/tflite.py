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
    needs=shared.NEEDS,
    apart=shared.APART,
    options=LiteOptions,
    timeout_s=1800,
    explain=shared.explain,
)
def from_savedmodel(at: At, model: Product, samples: Product) -> Lite:
    """Convert the SavedModel; for int8, calibrate it on all samples."""
    import tensorflow as tf

    signature = samples.read(Signature)
    text = [s.name for s in (*signature.inputs, *signature.outputs) if s.dtype == shared.TEXT]
    if text:
        raise ModelError(
            f"tensors of text ({', '.join(text)}): TFLite lacks TensorFlow's operators for it",
            "serve the SavedModel itself",
        )
    signed = shared.opened(model.path)
    with tempfile.TemporaryDirectory(prefix="navigator-lab-tflite-") as scratch:
        at.say("freezing")
        frozen = Path(scratch)
        _freeze(signed, signature, frozen)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(frozen / shared.FOLDER), signature_keys=[shared.DEFAULT]
        )
        notes = _precision(converter, at, stored.read(samples.path))
        at.say("converting")
        try:
            made = converter.convert()
        except Exception as error:  # foreign code: any class may come
            raise shared.CannotConvert(
                f"TFLite's converter refuses the model: {shared.said(error)}"
            ) from error
    (at.out / FORMAT.filename).write_bytes(made)
    return Lite(len(made), notes)


def _freeze(signed: shared.Signed, signature: Signature, folder: Path) -> None:
    """The signature with its weights as constants: the converter loses variables of some files."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [signed.inputs[spec.name] for spec in signature.inputs]
    names = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]

    def flat(*tensors: Any) -> list[Any]:
        answer = signed.call(**dict(zip(names, tensors, strict=True)))
        return [answer[name] for name in outputs]

    constant: Any = flat
    if signed.revived:
        whole = tf.function(flat).get_concrete_function(*specs)
        constant = convert_variables_to_constants_v2(whole)
    shared.save(
        lambda *tensors: dict(zip(outputs, constant(*tensors), strict=True)),
        shared.specs_of(signature),
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
