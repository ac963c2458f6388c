"""A live Keras model (functional, sequential or subclassed), or a ``.keras`` file.

A live one is written as Keras saves it, with the code of the user's own classes beside it. A file is
looked into without Keras; code in it (a Lambda layer) must be trusted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import types
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, TrustError
from .arrays import of_array, of_file
from .captured import Captured, How, call_of, safe_name, variant
from .files import kind_of
from .fingerprint import Identity
from .tensorflow_files import keras_config, keras_inputs, keras_spec, uses_code
from .torch_module import carried_by_value

if TYPE_CHECKING:
    from ..types.signature import TensorSpec

FILENAME = "model.keras"
CLASSES = "classes.pkl"
HOW = "loading.json"
# What says nothing of an answer, or is numbered by how many a process has seen.
_PASSING = {"compile_config", "shared_object_id", "trainable"}


def recognise(model: Any) -> bool:
    """True if it is a Keras model, its class, or a ``.keras`` file."""
    if isinstance(model, Path):
        return model.is_file() and kind_of(model) == "keras"
    keras = sys.modules.get("keras")
    found = getattr(keras, "Model", None)
    if found is None:
        return False
    return isinstance(model, found) or (isinstance(model, type) and issubclass(model, found))


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    if isinstance(model, Path):
        return _of_file(model, how)
    if isinstance(model, type):
        raise ModelError(
            f"{model.__qualname__} is a class, not a model",
            f"make one: {model.__qualname__}(...), with its trained weights",
        )
    if not model.built:
        raise ModelError(
            f"the Keras model {model.name!r} has no weights yet: it was never called",
            "call it once on a sample, or give it a keras.Input",
        )
    identity = Identity()
    own = dict(_own(model))
    digest = _fingerprint(model, own, identity)
    if forgetful := _forgetful(model):
        return _exported(model, digest, forgetful)
    inputs = _inputs(model)
    call = call_of(model.call)
    names = tuple(spec.name for spec in inputs) if inputs else _without(call.parameters)
    return Captured(
        name=safe_name(model.name),
        variant=variant("keras"),
        fingerprint=digest,
        write=lambda folder: _write(model, folder, own, identity.modules),
        parameters=names,
        inputs=inputs,
        keywords=() if inputs else _without(call.keywords),
        variadic=call.variadic and not inputs,
        required=names or () if inputs else _without(call.required) or (),
    )


def _forgetful(model: Any) -> str:
    """The name of a class of the user's whose arguments Keras would forget; "" if there is none.

    Keras records the arguments of layers by itself, but of a model's class only the defaults: made
    again from its file, it would be another model without a word.
    """
    import keras

    for layer in model._flatten_layers():
        own = [c for c in type(layer).__mro__ if not _kerasy(c)]
        if not isinstance(layer, keras.Model) or _kerasy(type(layer)):
            continue
        if any("get_config" in vars(c) for c in own):
            continue
        given = call_of(type(layer).__init__)
        taken = {*(given.parameters or ()), *(given.keywords or ())}
        if given.variadic or taken - {"self", "name", "dtype", "trainable"}:
            return type(layer).__qualname__
    return ""


def _kerasy(one: Any) -> bool:
    """Is a class or function Keras' own?"""
    return bool(one.__module__.partition(".")[0] == "keras")


def _exported(model: Any, digest: str, forgetful: str) -> Captured:
    """The model as the SavedModel that Keras exports, taken now, from the live one."""
    import tempfile

    from . import savedmodel

    home = tempfile.mkdtemp(prefix="navigator-lab-keras-")
    folder = Path(home) / safe_name(model.name)
    try:
        model.export(folder, verbose=False)
    except Exception as error:  # foreign code: any class may come
        shutil.rmtree(home, ignore_errors=True)
        raise ModelError(
            f"Keras can't export the model {model.name!r}: {str(error).strip().splitlines()[0]}",
            f"give {forgetful} a get_config() that returns its arguments, then its file is used",
        ) from error
    captured = savedmodel.capture(folder, How())

    def write(place: Path) -> None:
        captured.write(place)

    weakref.finalize(write, shutil.rmtree, home, ignore_errors=True)  # it may never be written
    note = (
        f"{forgetful} has no get_config(), so Keras can't make it again with its arguments: it is "
        "taken in as the SavedModel of its call; write get_config() to have Keras' own runners too"
    )
    return replace(captured, fingerprint=f"{digest}-exported", write=write, notes=(note,))


def _of_file(path: Path, how: How) -> Captured:
    config = keras_config(path)
    if uses_code(config) and not how.trust:
        raise TrustError(
            f"{str(path)!r} carries Python code in a Lambda layer: opening it runs that",
            "trust=True if you know where it comes from; or write the layer as a class",
        )
    inputs = keras_inputs(config)

    def write(folder: Path) -> None:
        shutil.copyfile(path, folder / FILENAME)
        _say_how(folder, safe=not how.trust)

    names = tuple(spec.name for spec in inputs) if inputs else None
    return Captured(
        name=safe_name(path.stem),
        variant=variant("keras"),
        fingerprint=of_file(path, how.hashes) + ("+" if how.trust else ""),
        write=write,
        parameters=names,
        inputs=inputs,
        required=names or (),
    )


def _without(names: Any) -> Any:
    """Parameters but the one that Keras sets itself."""
    return None if names is None else tuple(name for name in names if name != "training")


def _inputs(model: Any) -> tuple[TensorSpec, ...] | None:
    """The named inputs of a functional or sequential model.

    Raises:
        ModelError: one is sparse or ragged.
    """
    if not hasattr(model, "_inputs_struct") and not hasattr(model, "_functional"):
        return None  # only code
    try:
        tensors = list(model.inputs)
    except AttributeError:  # a sequential one without an Input, built by hand
        return None
    for one in tensors:
        if one.sparse or getattr(one, "ragged", False):
            raise ModelError(
                f"input {one.name!r} is sparse or ragged; only dense tensors can be served",
                "take dense tensors, and make them sparse inside of the model",
            )
    # A tensor without a name of its own has one only in this process; its layer's is in the file.
    names = [one._keras_history.operation.name for one in tensors]
    return tuple(
        keras_spec(name, one.shape, one.dtype) for name, one in zip(names, tensors, strict=True)
    )


def _own(model: Any) -> Iterator[tuple[str, Any]]:
    """The user's own classes and functions in a model, by the names that Keras gives them."""
    import keras

    for layer in model._flatten_layers():
        for one in (type(layer), *_functions(layer)):
            if not _kerasy(one):
                yield keras.saving.get_registered_name(one), one
                yield one.__name__, one


def _functions(layer: Any) -> list[Any]:
    return [one for one in vars(layer).values() if isinstance(one, types.FunctionType)]


def _fingerprint(model: Any, own: dict[str, Any], identity: Identity) -> str:
    """Its structure, weights and the user's code in it; not how it is trained or was saved."""
    import keras
    import numpy as np

    config = _cleaned(keras.saving.serialize_keras_object(model))
    whole = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name in sorted(own):
        whole.update(f"{name}={identity.of(own[name])}".encode())
    for i, one in enumerate(model.weights):  # their paths are numbered as layers are made
        whole.update(f"{i}={of_array(np.asarray(one))}".encode())
    return whole.hexdigest()


def _cleaned(config: Any) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":  # compiled code, with places; see `_own`
            return "lambda"
        return {key: _cleaned(one) for key, one in config.items() if key not in _PASSING}
    return [_cleaned(one) for one in config] if isinstance(config, list | tuple) else config


def _write(model: Any, folder: Path, own: dict[str, Any], modules: set[str]) -> None:
    """The model and the user's classes.

    Raises:
        ModelError: something in it can't be saved or pickled.
    """
    import cloudpickle

    what = f"the Keras model {model.name!r} can't be written"
    try:
        model.save(folder / FILENAME)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ModelError(
            f"{what}: {str(error).strip().splitlines()[0]}",
            "give its classes a get_config() that returns their arguments, or give the folder that "
            "model.export(folder) makes",
        ) from error
    with carried_by_value(modules), (folder / CLASSES).open("wb") as file:
        try:
            cloudpickle.dump(own, file, protocol=5)
        except (TypeError, AttributeError, RuntimeError) as error:
            raise ModelError(
                f"{what}: {error}", "open files, locks and connections inside of functions"
            ) from error
    _say_how(folder, safe=False)  # it is the user's own, alive in this process


def _say_how(folder: Path, *, safe: bool) -> None:
    (folder / HOW).write_text(json.dumps({"safe": safe}), encoding="utf-8")
