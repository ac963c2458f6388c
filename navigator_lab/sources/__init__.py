"""Where a user's model and samples are taken in: recognised, checked, fingerprinted, written down.

`capture` takes the model, `navigator_lab.sources.samples.take` the samples. One small file a kind
of source, each a ``recognise``/``capture`` pair; the first that recognises has it. This room runs
in the user's kernel: it never runs the model, and imports a framework only if the model is one of
its own objects (then it is loaded already) or a file that only the framework can read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .captured import Captured, Hashes, How

__all__ = ["Captured", "Hashes", "capture"]

KINDS_HELP = (
    "a torch.nn.Module, a Keras model, a TorchScript, .pt2, ONNX, .keras, TFLite or frozen "
    "TensorFlow graph's file or a SavedModel folder, a loaded one of these, "
    'a python callable, or the text "package.module:function" of a function that makes a model'
)


def capture(
    model: Any,
    *,
    trust: bool = False,
    hashes: Hashes | None = None,
    signature: str | None = None,
) -> Captured:
    """Take in what the user gave as the model.

    ``trust`` allows opening pickled files, which can run any code when opened. ``hashes``
    remembers the digests of files. ``signature`` names one of a SavedModel's, a function of a
    ``tf.Module``, or the ends of a frozen graph: ``"image -> scores, boxes"``.

    Raises:
        ModelError: it is no model, or can't be captured; the remedy says what can.
        TrustError: it is a pickled file and ``trust`` is False.
    """
    return captured_as(model, How(trust, hashes, signature))


def captured_as(model: Any, how: How) -> Captured:
    """As `capture`, the wishes in one."""
    from . import (
        exported_program,
        factory,
        graphdef,
        jax_function,
        keras_model,
        onnx_file,
        python_callable,
        savedmodel,
        tflite_file,
        torch_module,
        torchscript,
    )

    if model is None:
        raise ModelError("there is no model: None was given", f"give {KINDS_HELP}")
    if isinstance(model, str | os.PathLike) and not factory.recognise(model):
        model = _existing(model)
    kinds = (
        factory,
        keras_model,  # on its torch backend it is a torch module too
        savedmodel,
        tflite_file,
        graphdef,
        onnx_file,
        torchscript,
        exported_program,
        torch_module,
        jax_function,
        python_callable,
    )
    for kind in kinds:
        if kind.recognise(model):
            if how.signature is not None and kind not in (factory, savedmodel, graphdef):
                raise ModelError(
                    f"signature={how.signature!r} was given, and only a SavedModel, tf.Module or "
                    "frozen graph has signatures",
                    "leave it out",
                )
            return kind.capture(model, how)
    if isinstance(model, Path):
        from .files import no_model

        raise no_model(model)
    raise ModelError(
        f"a {type(model).__module__}.{type(model).__qualname__} is no model that can be captured",
        f"give {KINDS_HELP}",
    )


def _existing(model: str | os.PathLike[str]) -> Path:
    """The path of a file that is there and not empty.

    Raises:
        ModelError: it isn't.
    """
    text = os.fspath(model)
    path = Path(text).expanduser()
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        near = _nearest(path)
        hint = f"did you mean {near}? " if near else ""
        raise ModelError(
            f"there is no file {text!r}" if isinstance(error, FileNotFoundError) else str(error),
            f"{hint}give {KINDS_HELP}",
        ) from None
    if path.name == "saved_model.pb" and path.is_file():
        path = path.parent
    if path.is_dir() and (path / "saved_model.pb").is_file():
        return path
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())
        shown = f"; it holds {', '.join(inside[:5])}" if inside else ""
        raise ModelError(
            f"{text!r} is a folder, not a model file{shown}",
            "give the path of the model file in it, or a SavedModel's folder, which holds a "
            "saved_model.pb",
        )
    if not path.is_file():
        raise ModelError(f"{text!r} is no regular file", f"give {KINDS_HELP}")
    if not found.st_size:
        raise ModelError(f"{text!r} is empty (0 bytes)", "write or download the model again")
    if not os.access(path, os.R_OK):
        raise ModelError(f"{text!r} may not be read", f"chmod u+r {text}")
    return path


def _nearest(path: Path) -> str:
    import difflib

    try:
        names = [p.name for p in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return str(path.parent / near[0]) if near else ""
