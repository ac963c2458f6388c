"""A TFLite (LiteRT) file, read without either runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ModelError
from .captured import Captured, How, one_file
from .files import kind_of
from .tensorflow_files import tflite

FILENAME = "model.tflite"


def recognise(model: Any) -> bool:
    """True if it is a TFLite file."""
    return isinstance(model, Path) and model.is_file() and kind_of(model) == "tflite"


def capture(model: Path, how: How) -> Captured:
    """Take it in; raises ModelError with the remedy."""
    every = tflite(model)
    one = every[0]
    odd = [spec.name for spec in one.inputs if not spec.dtype]
    if odd or not one.inputs:
        what = f"input {odd[0]!r} is no dense tensor" if odd else "there are no inputs"
        raise ModelError(f"{str(model)!r} can't be served: {what}", "convert it with tensor inputs")
    names = tuple(spec.name for spec in one.inputs)
    others = ", ".join(said.name for said in every[1:])
    return one_file(
        model,
        "tflite",
        FILENAME,
        how,
        parameters=names,
        inputs=one.inputs,
        required=names,
        notes=(f"signature {one.name!r} is taken; there are also {others}",) if others else (),
    )
