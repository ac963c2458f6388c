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
from collections.abc import Callable
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


def decode(expected: Any, data: Any) -> Any:
    """The inverse of `encode`, for the type that is expected.

    A field that the data lacks takes its default; a field that the class lacks is ignored, so that
    a newer file still reads.

    Raises:
        TypeError, ValueError, KeyError: the data is not of that type.
    """
    return _reader(expected)(data)


def _reader(expected: Any) -> Callable[[Any], Any]:
    """What reads one type. It is put together once a class: a run holds a million numbers."""
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return _dataclass(expected)
    read = _plain(expected)

    def finite(data: Any) -> Any:
        if type(data) is dict and data.get("is") == "float":
            return _NOT_FINITE[data["value"]]
        return read(data)

    return finite


def _plain(expected: Any) -> Callable[[Any], Any]:
    if expected is Any or expected is None or expected is type(None):
        return _as_it_is
    origin, inner = typing.get_origin(expected), typing.get_args(expected)
    if origin is typing.Union or origin is types.UnionType:
        return _union(inner)
    if origin is typing.Literal:
        return lambda data: _literal(inner, data)
    if origin in (tuple, list, set, frozenset):
        return _list(origin, inner)
    if origin is dict:
        value = _reader(inner[1])
        return lambda data: {k: value(v) for k, v in data.items()}
    if not isinstance(expected, type):
        return _as_it_is
    if issubclass(expected, Enum | Path):
        return expected
    return lambda data: data if type(data) is expected else _of(expected, data)


@cache
def _dataclass(expected: type) -> Callable[[Any], Any]:
    readers: dict[str, Callable[[Any], Any]] = {}

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise TypeError(f"a {expected.__name__} was expected, not {data!r:.60}")
        if data.get("is") == "float":
            return _NOT_FINITE[data["value"]]
        if not readers:  # not before it is needed: a class may hold others of its own kind
            hints = typing.get_type_hints(expected)
            found = [f.name for f in dataclasses.fields(expected) if f.init]
            readers.update({name: _reader(hints[name]) for name in found})
        return expected(**{name: one(data[name]) for name, one in readers.items() if name in data})

    return read


def _list(origin: Any, inner: tuple[Any, ...]) -> Callable[[Any], Any]:
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        each = [_reader(one) for one in inner]
        return lambda data: tuple([one(v) for one, v in zip(each, _listed(data), strict=True)])
    read = _reader(inner[0] if inner else Any)
    return lambda data: origin([read(v) for v in _listed(data)])


def _listed(data: Any) -> Any:
    if not isinstance(data, list | tuple):
        raise TypeError(f"a list was expected, not {data!r:.60}")
    return data


def _literal(options: tuple[Any, ...], data: Any) -> Any:
    if data not in options:
        raise ValueError(f"{data!r} is none of {options}")
    return data


def _as_it_is(data: Any) -> Any:
    return data


def _of(expected: type, data: Any) -> Any:
    if expected is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, expected):
        raise TypeError(f"a {expected.__name__} was expected, not {data!r:.60}")
    return data


def _union(options: tuple[Any, ...]) -> Callable[[Any], Any]:
    optional = type(None) in options
    readers = [
        (getattr(one, "__name__", None), dataclasses.is_dataclass(one), _reader(one))
        for one in options
    ]

    def read(data: Any) -> Any:
        if data is None and optional:
            return None
        tag = data.get("is") if isinstance(data, dict) else None
        for name, _, one in readers:
            if tag is not None and name == tag:
                return one(data)
        for _, tagged, one in readers:
            if tag is None or not tagged:
                try:
                    return one(data)
                except (TypeError, ValueError, KeyError):
                    continue
        raise TypeError(f"{data!r:.60} is none of {options}")

    return read
