"""What a file is, told from its content. Opens nothing that could run code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ModelError

if TYPE_CHECKING:
    Kind = Literal[
        "torchscript", "pt2", "torch", "pickle", "onnx", "keras", "tflite", "graphdef", ""
    ]

SUFFIXES = {".onnx": "onnx", ".pt2": "pt2", ".pth": "torch", ".pt": "torch"}


def kind_of(path: Path) -> Kind:
    """Which reader a file is for; "" if for none of ours.

    A zip is told by its members, a pickle by its first bytes. ONNX has no magic: it is what
    parses as one (`onnx_file`), so here it is only what begins like one.

    Raises:
        ModelError: it begins as an archive but its end is missing.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if head[:2] == b"PK":
        return _of_zip(path)
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[:1] == b"\x0a" and path.suffix.lower() == ".pb":  # as ONNX's, without a magic
        return "graphdef"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "pickle"
    if head[:1] == b"\x08" or (path.suffix.lower() == ".onnx" and not _known_other(head)):
        return "onnx"
    return ""


def members(path: Path) -> list[str]:
    """Names in a torch archive, without the folder that they all lie in."""
    with zipfile.ZipFile(path) as file:
        return [name.partition("/")[2] for name in file.namelist()]


def _of_zip(path: Path) -> Kind:
    try:
        names = members(path)
    except zipfile.BadZipFile:
        raise ModelError(
            f"{str(path)!r} is cut off: it begins as an archive and its end is missing "
            f"({path.stat().st_size} bytes are there)",
            "download or save it again",
        ) from None
    with zipfile.ZipFile(path) as file:
        if {"config.json", "model.weights.h5"} <= set(file.namelist()):
            return "keras"
    if "archive_format" in names or "serialized_exported_program.json" in names:
        return "pt2"
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    return "torch" if "data.pkl" in names else ""


def _known_other(head: bytes) -> bool:
    return head[:8] == b"\x89HDF\r\n\x1a\n" or head[:6] == b"\x93NUMPY"


def no_model(path: Path) -> ModelError:
    """The error for a file that none of ours reads, with what it seems to be."""
    with path.open("rb") as file:
        head = file.read(64)
    suffix, shown = path.suffix.lower(), repr(str(path))
    if head[:8] == b"\x89HDF\r\n\x1a\n" or suffix == ".h5":
        return ModelError(
            f"{shown} looks like an HDF5 file of Keras 2, which may hold a model or only weights",
            "load it (keras.models.load_model(path), or model.load_weights(path)) and give the model",
        )
    if suffix == ".pb":
        return ModelError(
            f"{shown} is neither a frozen TensorFlow graph nor an ONNX model",
            "check that it is the right file and whole; of a SavedModel, give the folder",
        )
    if suffix == ".safetensors" or (len(head) > 9 and head[8:10] == b'{"'):
        return ModelError(
            f"{shown} holds only weights (safetensors), no model",
            "make the model, load these weights into it and give the model",
        )
    if head[:6] == b"\x93NUMPY" or suffix == ".npz":
        return ModelError(f"{shown} holds arrays, no model", "give it as the samples")
    if suffix == ".xml" or b"<net " in head:
        return ModelError(
            f"{shown} looks like an OpenVINO IR, which is a target here and no source",
            "give the ONNX file or torch module that it was made from",
        )
    return ModelError(
        f"{shown} is no model: it is neither ONNX, TorchScript, an exported program nor a "
        f"torch pickle (it begins with {head[:8]!r})",
        "check that it is the right file and whole",
    )
