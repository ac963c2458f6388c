"""Triton's own `ModelConfig`: made, written, read back and compared. No rules of ours live here.

The protobuf classes are the ones that ``tritonclient`` ships, so nothing can be misspelt.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import PackageError

if TYPE_CHECKING:
    from types import ModuleType

_NAMES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "bfloat16": "TYPE_BF16",
    "object": "TYPE_STRING",
    "str": "TYPE_STRING",
    "bytes": "TYPE_STRING",
}


@lru_cache(maxsize=1)
def messages() -> ModuleType:
    """The module ``model_config_pb2``: ``ModelConfig`` and all that it holds.

    Importing it through its package would load gRPC, which need not even be installed, so it is
    loaded by its path unless the package is in already.
    """
    full = "tritonclient.grpc.model_config_pb2"
    if full in sys.modules:
        return sys.modules[full]
    found = importlib.util.find_spec("tritonclient")
    for folder in (found.submodule_search_locations or ()) if found else ():
        spec = importlib.util.spec_from_file_location(
            "navigator_lab_model_config_pb2", f"{folder}/grpc/model_config_pb2.py"
        )
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except FileNotFoundError:
            continue
        return module
    raise PackageError(
        "Triton's ModelConfig can't be had: tritonclient is not installed",
        "pip install 'tritonclient>=2.50'",
    )


def type_name(dtype: str) -> str:
    """Triton's name of a numpy dtype's name: ``float32`` -> ``TYPE_FP32``.

    Raises:
        PackageError: Triton has no such type.
    """
    text = "str" if dtype.startswith(("<U", "|S", "str", "bytes")) else dtype
    if text not in _NAMES:
        raise PackageError(
            f"Triton has no data type for {dtype}",
            f"cast it inside the model to one of {', '.join(_NAMES)}",
        )
    return _NAMES[text]


def dtype_name(triton: str) -> str:
    """numpy's name of a Triton data type: ``TYPE_FP32`` -> ``float32``; strings are ``object``."""
    for dtype, name in _NAMES.items():
        if name == triton:
            return dtype
    raise PackageError(f"{triton} is no Triton data type that carries data")


def type_text(number: int) -> str:
    """The name of a ``data_type`` as it lies in a message."""
    return str(messages().DataType.Name(number))


def to_text(config: Any) -> str:
    """A ``ModelConfig`` as ``config.pbtxt``: same message, same bytes.

    It is parsed back before it is given out.
    """
    from google.protobuf import text_format

    text = str(text_format.MessageToString(config, as_utf8=True))
    again = parse(text)
    if again != config:
        raise PackageError(
            "the configuration does not survive its text form; differing: "
            + ", ".join(differences(config, again))
        )
    return text


def parse(text: str, where: str = "config.pbtxt") -> Any:
    """A ``ModelConfig`` from its text form.

    Raises:
        PackageError: it is not one; line, column and field are named.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, messages().ModelConfig())
    except text_format.ParseError as error:
        raise PackageError(
            f"{where} is no Triton model configuration: {error}",
            "correct the field that is named; the fields are those of Triton's model_config.proto",
        ) from None
    except UnicodeError as error:
        raise PackageError(f"{where} is no text: {error}") from None


def differences(one: Any, other: Any) -> list[str]:
    """Where two configurations differ: ``max_batch_size: 8 -> 16``, one a field."""
    return _differences(one, other, "")


def _differences(one: Any, other: Any, path: str) -> list[str]:
    found: list[str] = []
    for field in one.DESCRIPTOR.fields:
        name = path + field.name
        before, after = getattr(one, field.name), getattr(other, field.name)
        if before == after and _present(one, field) == _present(other, field):
            continue
        if field.type == field.TYPE_MESSAGE and not _many(field):
            if one.HasField(field.name) and other.HasField(field.name):
                found += _differences(before, after, name + ".")
            else:
                had = one.HasField(field.name)
                found.append(f"{name}: {'set -> unset' if had else 'unset -> set'}")
        elif hasattr(before, "items"):
            keys = sorted({*before, *after})
            found += [
                f"{name}[{key}]: {_short(before, key)} -> {_short(after, key)}"
                for key in keys
                if (key in before) != (key in after)
                or (key in before and before[key] != after[key])
            ]
        elif _many(field) and field.type == field.TYPE_MESSAGE and len(before) == len(after):
            for i, (a, b) in enumerate(zip(before, after, strict=True)):
                if a != b:
                    found += _differences(a, b, f"{name}[{i}].")
        elif _many(field) and field.type == field.TYPE_MESSAGE:
            found.append(f"{name}: {len(before)} -> {len(after)} entries")
        else:
            if field.enum_type and not _many(field):
                before = field.enum_type.values_by_number[before].name
                after = field.enum_type.values_by_number[after].name
            elif _many(field):
                before, after = list(before), list(after)
            found.append(f"{name}: {before!r} -> {after!r}")
    return found


def _many(field: Any) -> bool:
    """True for repeated fields and maps."""
    new = getattr(field, "is_repeated", None)
    return bool(new) if new is not None else field.label == field.LABEL_REPEATED


def _present(message: Any, field: Any) -> bool:
    return bool(message.HasField(field.name)) if field.has_presence else True


def _short(mapping: Any, key: str) -> str:
    if key not in mapping:
        return "unset"
    text = " ".join(str(mapping[key]).split())
    return text or "{}"
