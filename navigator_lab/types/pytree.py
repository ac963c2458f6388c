"""Flat, named arrays on one side, the nested arguments and answers of Python code on the other.

The way in is `unflatten` (a signature's ``call`` tree and named feeds become arguments), the way
out is `flatten` (whatever a model returned becomes named leaves). What a leaf is, the caller says:
this file knows no tensor type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

OUTPUT = "output"  # the name of what comes back alone, and the stem of what comes in a tuple


def unflatten(call: Any, feeds: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a source, from a signature's ``call`` tree and its named inputs.

    Without a tree the feeds are positional, in their order.

    Raises:
        KeyError: the tree names an input that ``feeds`` lacks.
    """
    if call is None:
        return list(feeds.values()), {}
    args = [_grow(tree, feeds) for tree in call.get("args", ())]
    return args, {name: _grow(tree, feeds) for name, tree in call.get("kwargs", {}).items()}


def _grow(tree: Any, feeds: Mapping[str, Any]) -> Any:
    if "input" in tree:
        return feeds[tree["input"]]
    if "tuple" in tree:
        return tuple(_grow(one, feeds) for one in tree["tuple"])
    if "list" in tree:
        return [_grow(one, feeds) for one in tree["list"]]
    if "dict" in tree:
        return {key: _grow(one, feeds) for key, one in tree["dict"].items()}
    value = tree["constant"]
    # JSON has no inf and no nan; the codec writes them so.
    if isinstance(value, dict) and value.get("is") == "float":
        return float(value["value"])
    return value


def inputs_of(call: Any) -> list[str]:
    """The names of the inputs in a ``call`` tree, in the order of the arguments."""

    def walk(tree: Any) -> Iterator[str]:
        if "input" in tree:
            yield tree["input"]
        for kind in ("tuple", "list"):
            for one in tree.get(kind, ()):
                yield from walk(one)
        for one in tree.get("dict", {}).values():
            yield from walk(one)

    trees = [*call.get("args", ()), *call.get("kwargs", {}).values()]
    return [name for tree in trees for name in walk(tree)]


def flatten(outputs: Any, is_leaf: Callable[[Any], bool]) -> list[tuple[str, Any]]:
    """What a model returned, as named leaves in order.

    A lone tensor is ``output``; a tuple's or list's are ``output_0``, ``output_1``, …; a
    mapping's, dataclass' and named tuple's go by key or field. What is nested deeper is joined by
    a dot (``output_1.0``, ``boxes.scores``). None is dropped; the numbers of what stays don't move.

    Raises:
        TypeError: there is something in it that is neither a container nor a leaf.
        ValueError: two leaves would have one name.
    """
    if is_leaf(outputs):
        return [(OUTPUT, outputs)]
    found: list[tuple[str, Any]] = []
    for key, value, numbered in _children(outputs, "the model's answer"):
        found += _walk(f"{OUTPUT}_{key}" if numbered else key, value, is_leaf)
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two outputs would be called {name!r}")
    return found


def _walk(name: str, value: Any, is_leaf: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    if value is None:
        return
    if is_leaf(value):
        yield name, value
        return
    for key, one, _ in _children(value, f"output {name!r}"):
        yield from _walk(f"{name}.{key}", one, is_leaf)


def _children(value: Any, what: str) -> Iterator[tuple[str, Any, bool]]:
    """(key, child, is it only a number) of a container."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield str(key), one, False
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for key, one in zip(value._fields, value, strict=True):
            yield key, one, False
    elif isinstance(value, tuple | list):
        for i, one in enumerate(value):
            yield str(i), one, True
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name), False
    else:
        raise TypeError(
            f"{what} is a {type(value).__module__}.{type(value).__qualname__}; tensors, numbers, "
            "and tuples, lists, dicts and dataclasses of them can be followed"
        )
