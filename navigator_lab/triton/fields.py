"""Protobuf messages from plain Python and back, checked field by field against their descriptors.

One generic walk instead of a class for each of Triton's forty messages: whatever its
``model_config.proto`` has can be said, and nothing else. Which fields there are is looked up, never
listed here.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import RequestError
from .config import _NAMES, _many

_INTS = {"TYPE_INT32": (-(2**31), 2**31 - 1), "TYPE_INT64": (-(2**63), 2**63 - 1),
         "TYPE_UINT32": (0, 2**32 - 1), "TYPE_UINT64": (0, 2**64 - 1)}  # fmt: skip


def fill(message: Any, said: Mapping[str, Any], where: str = "") -> None:
    """Write ``said`` into a message: what it has not named stays.

    Blocks are dicts (or messages, or True for an empty one), lists and maps are given whole or, for
    maps, key by key; None removes. Enums are their names, with or without their prefix. A trailing
    underscore makes a Python keyword a name (``global_``).

    Raises:
        RequestError: an unknown field, or a value that can't be what the field is. Nothing else
        was checked: that is `navigator_lab.triton.checks`.
    """
    if not isinstance(said, Mapping):
        raise _wrong(where or message.DESCRIPTOR.name, said, "a dict of its fields")
    chosen: dict[str, str] = {}
    for key, value in said.items():
        field = _field(message.DESCRIPTOR, key, where)
        path = f"{where}.{field.name}" if where else str(field.name)
        choice = field.containing_oneof
        if choice is not None and value is not None and value is not False:
            other = chosen.setdefault(choice.name, field.name)
            if other != field.name:
                raise RequestError(
                    f"{path} and {other} exclude each other", "give only one of them"
                )
        _put(message, field, value, path)


def _field(descriptor: Any, key: Any, where: str) -> Any:
    names = [field.name for field in descriptor.fields]
    name = key.rstrip("_") if isinstance(key, str) and key not in names else key
    if name in names:
        return descriptor.fields_by_name[name]
    close = difflib.get_close_matches(str(key), names, 1, 0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise RequestError(
        f"{where or descriptor.name} has no field {key!r}",
        f"{hint}its fields are {', '.join(names)}",
    )


def _put(message: Any, field: Any, value: Any, path: str) -> None:
    name = field.name
    if value is None:
        message.ClearField(name)
    elif _is_map(field):
        _put_map(message, field, value, path)
    elif _many(field):
        many = [value] if isinstance(value, (Mapping, str, bytes, int, float)) else value
        if not isinstance(many, Iterable):
            raise _wrong(path, value, "a list")
        made = [_made(field, one, f"{path}[{i}]") for i, one in enumerate(many)]
        message.ClearField(name)
        getattr(message, name).extend(made)
    elif field.message_type is None:
        setattr(message, name, _scalar(field, value, path))
    elif value is False:
        message.ClearField(name)
    elif value is True:
        getattr(message, name).SetInParent()
    elif isinstance(value, Mapping):
        getattr(message, name).SetInParent()
        fill(getattr(message, name), value, path)
    else:
        getattr(message, name).CopyFrom(_made(field, value, path))


def _put_map(message: Any, field: Any, value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(path, value, "a dict")
    keys, values = (field.message_type.fields_by_name[n] for n in ("key", "value"))
    there = getattr(message, field.name)
    for key, one in value.items():
        at = f"{path}[{key!r}]"
        key = _scalar(keys, int(key) if _digits(keys, key) else key, at)
        if one is None:
            there.pop(key, None)
        elif values.message_type is None:
            there[key] = _scalar(values, one, at)
        elif isinstance(one, Mapping):
            fill(there[key], one, at)
        else:
            there[key].CopyFrom(_made(values, one, at))


def _digits(keys: Any, key: Any) -> bool:
    return keys.cpp_type != keys.CPPTYPE_STRING and isinstance(key, str) and key.isdigit()


def _made(field: Any, value: Any, path: str) -> Any:
    """One element: a scalar, or a message from a dict, a message, or what its only field takes."""
    if field.message_type is None:
        return _scalar(field, value, path)
    kind = field.message_type
    made = kind._concrete_class()
    if isinstance(value, Mapping):
        fill(made, value, path)
    elif getattr(value, "DESCRIPTOR", None) is not None:
        if value.DESCRIPTOR.full_name != kind.full_name:
            raise _wrong(path, value.DESCRIPTOR.name, kind.name)
        made.CopyFrom(value)
    elif len(kind.fields) == 1 and not _many(kind.fields[0]):
        only = kind.fields[0]
        if only.cpp_type == only.CPPTYPE_STRING and not isinstance(value, str):
            value = str(value).lower() if isinstance(value, bool) else str(value)
        fill(made, {only.name: value}, path)
    else:
        raise _wrong(path, value, f"a dict of {', '.join(f.name for f in kind.fields)}")
    return made


def _scalar(field: Any, value: Any, path: str) -> Any:
    if field.enum_type is not None:
        return _enum(field.enum_type, value, path)
    kind = field.cpp_type
    if kind == field.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise _wrong(path, value, "True or False")
        return value
    if kind == field.CPPTYPE_STRING:
        if field.type == field.TYPE_BYTES and isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise _wrong(path, value, "a text")
        return value
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            raise _wrong(path, value, "a number")
        return float(value)
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    low, high = next(span for name, span in _INTS.items() if field.type == getattr(field, name))
    if number is None or isinstance(value, bool) or not low <= number <= high:
        raise _wrong(path, value, f"a whole number from {low} to {high}")
    return number


def _enum(enum: Any, value: Any, path: str) -> int:
    numbers: dict[str, int] = {one.name: one.number for one in enum.values}
    if isinstance(value, int) and not isinstance(value, bool) and value in numbers.values():
        return value
    if isinstance(value, str):
        text = value.upper()
        if enum.name == "DataType" and value in _NAMES:
            text = _NAMES[value]
        found = [name for name in numbers if name == text or name.endswith("_" + text)]
        exact = [name for name in found if name == text or name == _prefix(numbers) + text]
        if exact or len(found) == 1:
            return numbers[(exact or found)[0]]
    short = {name.removeprefix(_prefix(numbers)): name for name in numbers}
    close = difflib.get_close_matches(str(value).upper(), {**short, **numbers}, 1, 0.6)
    hint = f"did you mean {short.get(close[0], close[0])!r}? " if close else ""
    raise RequestError(f"{path} can't be {value!r}", f"{hint}it is one of {', '.join(numbers)}")


def _prefix(names: Iterable[str]) -> str:
    """What all names of an enum begin with, up to an underscore: ``KIND_``."""
    names = list(names)
    first, last = min(names), max(names)
    end = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return first[: first.rfind("_", 0, end) + 1]


def _wrong(path: str, value: Any, wanted: str) -> RequestError:
    return RequestError(f"{path} can't be {value!r}", f"give {wanted}")


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def value_of(message: Any, field: Any) -> Any:
    """One field as plain Python, also where it isn't set: then its default, None for a block."""
    value = getattr(message, field.name)
    if _is_map(field):
        kind = field.message_type.fields_by_name["value"]
        return {key: _plain(kind, value[key]) for key in sorted(value)}
    if _many(field):
        return [_plain(field, one) for one in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _plain(field, value)


def plain(message: Any) -> dict[str, Any]:
    """A message as plain Python: what `fill` makes the same message of. Only what is set."""
    return {field.name: value_of(message, field) for field, _ in message.ListFields()}


def _plain(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named else value
    if field.message_type is None:
        return value
    only = field.message_type.fields
    if len(only) == 1 and only[0].cpp_type == only[0].CPPTYPE_STRING and not _many(only[0]):
        return getattr(value, only[0].name)  # a parameter is its text
    return plain(value)


def describe(descriptor: Any, path: str = "") -> str:
    """The fields of a message, or of the one that ``path`` leads to, a line each with its type."""
    for part in filter(None, path.split(".")):
        field = _field(descriptor, part, descriptor.name)
        descriptor = field.message_type
        if descriptor is None:
            return f"{path}: {_type(field)}"
        if _is_map(field):
            value = descriptor.fields_by_name["value"]
            if value.message_type is None:
                return f"{path}: {_type(field)}"
            descriptor = value.message_type
    width = max((len(field.name) for field in descriptor.fields), default=0)
    return "\n".join(f"{field.name:<{width}}  {_type(field)}" for field in descriptor.fields)


def _type(field: Any) -> str:
    if _is_map(field):
        parts = field.message_type.fields_by_name
        return f"{{{_type(parts['key'])}: {_type(parts['value'])}}}"
    if field.enum_type is not None:
        kind = " | ".join(value.name for value in field.enum_type.values)
    elif field.message_type is not None:
        kind = str(field.message_type.name)
    else:
        kinds = {field.CPPTYPE_BOOL: "bool", field.CPPTYPE_STRING: "str",
                 field.CPPTYPE_FLOAT: "float", field.CPPTYPE_DOUBLE: "float"}  # fmt: skip
        kind = kinds.get(field.cpp_type, "int")
    many = f"[{kind}]" if _many(field) else kind
    choice = field.containing_oneof
    if choice is not None and len(choice.fields) > 1:
        others = ", ".join(f.name for f in choice.fields if f.name != field.name)
        many += f"  (instead of {others})"
    return many
