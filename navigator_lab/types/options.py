"""Options of an action: a frozen dataclass whose fields carry their help."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from .target import Settings


def option(default: Any, help: str, *, unit: str = "", choices: tuple[Any, ...] = ()) -> Any:
    """A field of an options dataclass, with what a form or a help page needs to know of it."""
    return field(default=default, metadata={"help": help, "unit": unit, "choices": choices})


def options_of(cls: type | None, given: Any) -> Any:
    """Options as an instance of ``cls``: given as one, as a dict, or not at all.

    Raises:
        ValueError: an unknown option (the known ones are named), or a value not among the choices.
    """
    if cls is None:
        if given:
            raise ValueError(f"there are no options here, but {given!r} was given")
        return None
    known = {f.name: f for f in dataclasses.fields(cls)}
    if given is None:
        given = {}
    if isinstance(given, Mapping):
        for name in given:
            if name not in known:
                raise ValueError(f"no option {name!r}; the options are {', '.join(known)}")
        given = cls(**given)
    if not isinstance(given, cls):
        raise ValueError(f"{given!r} are no options of this kind; use {cls.__name__} or a dict")
    for name, one in known.items():
        choices = one.metadata.get("choices")
        if choices and getattr(given, name) not in choices:
            raise ValueError(f"{name}={getattr(given, name)!r} is none of {choices}")
    return given


def options_known(cls: type | None) -> tuple[str, ...]:
    """The names of the options of a class; none of none."""
    return () if cls is None else tuple(f.name for f in dataclasses.fields(cls))


def with_settings(options: Any, settings: Settings) -> Any:
    """``options`` (a dataclass) with some fields set from a target's text.

    Raises:
        ValueError: an option that there isn't, or a text that is no value of it.
    """
    if not settings:
        return options
    known = options_known(None if options is None else type(options))
    if not known:
        raise ValueError(f"no option {settings[0][0]!r}; there are none")
    hints = typing.get_type_hints(type(options))
    made = {}
    for name, text in settings:
        if name not in known:
            raise ValueError(f"no option {name!r}; the options are {', '.join(known)}")
        made[name] = _value(hints[name], name, text)
    return options_of(type(options), dataclasses.replace(options, **made))


def _value(kind: Any, name: str, text: str) -> Any:
    """A text as the type of an option's field."""
    origin = typing.get_origin(kind)
    kinds = typing.get_args(kind) if origin in (typing.Union, types.UnionType) else (kind,)
    words = {"true": True, "false": False}
    if type(None) in kinds and text == "None":
        return None
    if bool in kinds and text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        if number in kinds:
            try:
                return number(text)
            except ValueError:
                continue
    if str in kinds:
        return text
    wanted = " or ".join(getattr(one, "__name__", str(one)) for one in kinds)
    raise ValueError(f"{name}={text} is no {wanted}")
