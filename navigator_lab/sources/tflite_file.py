"""A TFLite (LiteRT) file, read without either runtime."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .arrays import of_file
from .captured import Captured, Hashes, safe_name, variant
from .files import kind_of
from .tensorflow_files import tflite

FILENAME = "model.tflite"


def recognise(model: Any) -> bool:
    """True if it is a TFLite file."""
    return isinstance(model, Path) and model.is_file() and kind_of(model) == "tflite"


def capture(model: Path, *, trust: bool = False, hashes: Hashes | None = None) -> Captured:
    """Take it in; raises ModelError with the remedy."""
    every = tflite(model)
    one = every[0]
    odd = [spec.name for spec in one.inputs if not spec.dtype]
    if odd or not one.inputs:
        what = f"input {odd[0]!r} is no dense tensor" if odd else "there are no inputs"
        raise ModelError(f"{str(model)!r} can't be served: {what}", "convert it with tensor inputs")
    names = tuple(spec.name for spec in one.inputs)
    others = ", ".join(said.name for said in every[1:])

    def write(folder: Path) -> None:
        shutil.copyfile(model, folder / FILENAME)

    return Captured(
        name=safe_name(model.stem),
        variant=variant("tflite"),
        fingerprint=of_file(model, hashes),
        write=write,
        parameters=names,
        inputs=one.inputs,
        required=names,
        notes=(f"signature {one.name!r} is taken; there are also {others}",) if others else (),
    )
