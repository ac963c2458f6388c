"""Any other python callable: a function of arrays, a bound method, an object with ``__call__``.

It is called with numpy arrays (and with the constants of the samples) and may return an array, a
number, or tuples, lists, dicts and dataclasses of them.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .captured import Captured, How, call_of, safe_name, variant
from .fingerprint import Identity
from .torch_module import carried_by_value

FILENAME = "callable.pkl"


def recognise(model: Any) -> bool:
    """True if it can be called; asked last, as most models can."""
    return callable(model) and not isinstance(model, Path)


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    if isinstance(model, type):
        raise ModelError(
            f"{model.__qualname__} is a class, not a model",
            f"make one: {model.__qualname__}(...)",
        )
    root = type(model).__module__.partition(".")[0]
    if root in ("keras", "tensorflow", "tf_keras"):
        raise ModelError(
            f"a {type(model).__module__}.{type(model).__qualname__} isn't captured",
            "give a keras.Model (of Keras 3), a tf.Module, a tf.function, or the folder that "
            "model.export(folder) makes",
        )
    identity = Identity()
    digest = identity.of(model)
    call = call_of(model)
    name = getattr(model, "__name__", "") or type(model).__name__
    owner = getattr(model, "__self__", None)
    if owner is not None and not hasattr(owner, "__path__"):
        name = f"{type(owner).__name__}_{name}"
    return Captured(
        name=safe_name(name.strip("<>")),
        variant=variant("python"),
        fingerprint=digest,
        write=lambda folder: write_callable(model, folder, identity.modules),
        parameters=call.parameters,
        keywords=call.keywords,
        variadic=call.variadic,
        required=call.required,
    )


def write_callable(function: Any, folder: Path, modules: set[str] | None = None) -> None:
    """A callable as ``callable.pkl``, with the code of the user's own modules that it rests on.

    Raises:
        ModelError: something in it can't be pickled.
    """
    import cloudpickle

    if modules is None:
        identity = Identity()
        identity.of(function)
        modules = identity.modules
    with carried_by_value(modules), (folder / FILENAME).open("wb") as file:
        try:
            cloudpickle.dump(function, file, protocol=5)
        except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelError(
                f"{getattr(function, '__qualname__', type(function).__qualname__)} can't be "
                f"written: {error}",
                "open files, locks and connections inside the function instead of around it",
            ) from error
