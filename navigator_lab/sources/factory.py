"""``"package.module:function"``: a function that makes the model, imported and called.

It is the user's own code on the user's own path, so nothing has to be trusted.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..errors import ModelError
from .captured import Captured, How, safe_name

_FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
# Names that say nothing of what is made: the model's own name is better.
_PLAIN = re.compile(r"(make|create|build|get|load|main|model|net|factory)(_?(model|net|module))?")


def recognise(model: Any) -> bool:
    """True if the text is a module, a colon and a name, and no file."""
    return isinstance(model, str) and bool(_FORM.fullmatch(model)) and not os.path.exists(model)


def capture(model: str, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    from . import captured_as

    made = _make(model)
    captured = captured_as(made, how)
    own = model.partition(":")[2].rpartition(".")[2]
    if _PLAIN.fullmatch(own):
        return captured
    return replace(captured, name=safe_name(own))


def resolve(text: str) -> Any:
    """What ``"package.module:name"`` names, imported from here or from where it is installed.

    Raises:
        ModelError: there is no such module, or it has no such name.
    """
    module_name, _, attribute = text.partition(":")
    if not module_name or not attribute:
        raise ModelError(f"{text!r} names nothing", "write it as package.module:name")
    with _here():
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            whose = module_name == error.name or module_name.startswith(f"{error.name}.")
            raise ModelError(
                f"{text!r}: {error}",
                f"run from the folder that holds {module_name.partition('.')[0]}, or install it"
                if whose
                else f"install {error.name}: {module_name} needs it",
            ) from error
        for part in attribute.split("."):
            if not hasattr(found, part):
                known = [n for n in vars(found) if not n.startswith("_")]
                raise ModelError(
                    f"{text!r}: there is no {part!r} in {getattr(found, '__name__', found)}",
                    f"it has {', '.join(known[:20])}",
                )
            found = getattr(found, part)
    return found


def _make(text: str) -> Any:
    found = resolve(text)
    with _here():
        if _is_model(found):
            return found
        if not callable(found):
            raise ModelError(
                f"{text!r} is a {type(found).__name__}, not a function that makes a model",
                "name a function without arguments that returns the model",
            )
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise ModelError(
                f"{text!r} can't be called without arguments: {error}",
                "write a function without arguments that returns the model, and name that",
            ) from None
        except ValueError:  # written in C: it won't say what it takes
            pass
        try:
            made = found()
        except Exception as error:  # the user's own code: any class may come
            raise ModelError(
                f"{text!r} raised {type(error).__name__}: {error}",
                "call it by hand to see where",
            ) from error
    if made is None:
        raise ModelError(f"{text!r} returned None", "let it return the model")
    return made


def _is_model(found: Any) -> bool:
    """A module-level model is taken as it is; every torch module is callable, so ask first."""
    from . import keras_model, savedmodel

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(found, torch.nn.Module):
        return True
    return not isinstance(found, type) and (
        keras_model.recognise(found) or savedmodel.recognise(found)
    )


@contextmanager
def _here() -> Iterator[None]:
    """The working folder on the path, as it is for ``python -c`` but not for an installed command."""
    folder = os.getcwd()
    added = folder not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added:
            sys.path.remove(folder)
