"""One way to write our dataclasses as JSON, and to read them back. No class has its own.

Every dataclass is written with its name under ``"is"``, so that a union can be told apart;
reading goes by the type that is expected, so nothing in a file can name a class to be made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(value: Any) -> Any:
    """``value`` as plain JSON data: None, bool, int, float, str, list, dict.

    Floats that JSON can't say are written as ``{"is": "float", "value": "nan"}``.

    Raises:
        TypeError: a class that has no JSON form.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"is": "float", "value": str(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = [encode(v) for v in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    if isinstance(value, dict):
        return {str(k): encode(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a numpy scalar
        return encode(value.item())
    raise TypeError(
        f"{type(value).__name__} has no JSON form; make it a frozen dataclass of plain fields"
    )


def canonical(value: Any) -> bytes:
    """The one byte string of a value: what is hashed."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":")).encode()


def digest(value: Any) -> str:
    """sha256 of the canonical JSON, as 64 hex digits, never truncated."""
    return hashlib.sha256(canonical(value)).hexdigest()


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def decode(expected: Any, data: Any) -> Any:
    """The inverse of `encode`, for the type that is expected.

    A field that the data lacks takes its default; a field that the class lacks is ignored, so that
    a newer file still reads.

    Raises:
        TypeError, ValueError, KeyError: the data is not of that type.
    """
    if isinstance(data, dict) and data.get("is") == "float":
        return _NOT_FINITE[data["value"]]
    if expected is Any or expected is None or expected is type(None):
        return data
    origin, inner = typing.get_origin(expected), typing.get_args(expected)
    if origin is typing.Union or origin is types.UnionType:
        return _decode_union(inner, data)
    if origin is typing.Literal:
        if data not in inner:
            raise ValueError(f"{data!r} is none of {inner}")
        return data
    if origin in (tuple, list, set, frozenset):
        if not isinstance(data, list | tuple):
            raise TypeError(f"a list was expected, not {data!r:.60}")
        if origin is tuple and inner and inner[-1] is not Ellipsis:
            return tuple(decode(t, v) for t, v in zip(inner, data, strict=True))
        return origin(decode(inner[0] if inner else Any, v) for v in data)
    if origin is dict:
        return {k: decode(inner[1], v) for k, v in data.items()}
    if not isinstance(expected, type):
        return data
    if dataclasses.is_dataclass(expected):
        if not isinstance(data, dict):
            raise TypeError(f"a {expected.__name__} was expected, not {data!r:.60}")
        hints = _hints(expected)
        known = {
            f.name: decode(hints[f.name], data[f.name])
            for f in dataclasses.fields(expected)
            if f.name in data and f.init
        }
        return expected(**known)
    if issubclass(expected, Enum | Path):
        return expected(data)
    if expected is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, expected):
        raise TypeError(f"a {expected.__name__} was expected, not {data!r:.60}")
    return data


def _decode_union(options: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in options:
        return None
    tag = data.get("is") if isinstance(data, dict) else None
    for option in options:
        if tag is not None and getattr(option, "__name__", None) == tag:
            return decode(option, data)
    for option in options:
        if tag is None or not dataclasses.is_dataclass(option):
            try:
                return decode(option, data)
            except (TypeError, ValueError, KeyError):
                continue
    raise TypeError(f"{data!r:.60} is none of {options}")
