"""A SavedModel folder (one signature of it), or a live ``tf.function``, ``tf.Module`` or loaded one.

The folder is read without TensorFlow. What is live is saved by TensorFlow, which is loaded then.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from ..errors import ModelError, unknown
from ..types.signature import TensorSpec
from .arrays import of_array, of_file
from .captured import Captured, How, safe_name, variant
from .tensorflow_files import TEXT, Said
from .tensorflow_protobuf import saved_model

FOLDER = "model.savedmodel"
CHOSEN = "signature.json"
DEFAULT = "serving_default"
GRAPH = "saved_model.pb"
# TensorFlow numbers the functions that it has traced in a process.
_NUMBERED = re.compile(r"(__(?:inference|forward|backward)_\w+?)_\d+\b")


def recognise(model: Any) -> bool:
    """True if it is a SavedModel's folder, or something live of TensorFlow's."""
    if isinstance(model, Path):
        return (model / GRAPH).is_file()
    tf = sys.modules.get("tensorflow")
    if tf is None or not hasattr(tf, "Module"):
        return False
    functions = (tf.types.experimental.PolymorphicFunction, tf.types.experimental.ConcreteFunction)
    if isinstance(model, (tf.Module, *functions)):
        return True
    ours = type(model).__module__.partition(".")[0] == "tensorflow"
    return ours and hasattr(model, "signatures")  # one that was loaded


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    if isinstance(model, Path):
        return _of_folder(model, how)
    return _live(model, how.signature)


def _of_folder(path: Path, how: How) -> Captured:
    every = {one.name: one for one in saved_model(path / GRAPH)}
    one = _chosen(every, how.signature, repr(str(path)))
    _check(one, repr(str(path)))
    whole = hashlib.sha256(one.name.encode())
    for name in (GRAPH, "variables", "assets"):
        found = path / name
        for file in [found] if found.is_file() else sorted(found.rglob("*")):
            if file.is_file():
                digest = of_file(file, how.hashes)
                whole.update(f"{file.relative_to(path)}={digest}".encode())

    def write(folder: Path) -> None:
        shutil.copytree(path, folder / FOLDER)
        _say(folder, one.name)

    others = [name for name in every if name != one.name]
    note = f"signature {one.name!r} is taken; there are also {', '.join(others)}"
    return _captured(path.stem, one, whole.hexdigest(), write, (note,) if others else ())


def _chosen(every: dict[str, Said], wanted: str | None, shown: str) -> Said:
    """The signature that is meant.

    Raises:
        ModelError: there is none, no such one, or none by default.
    """
    if not every:
        raise ModelError(
            f"{shown} has no signature that can be called",
            "save it with tf.saved_model.save(module, folder, signatures={'serving_default': …})",
        )
    if wanted is not None:
        if wanted not in every:
            error = unknown("signature", wanted, list(every))
            raise ModelError(error.message, error.remedy)
        return every[wanted]
    if DEFAULT in every:
        return every[DEFAULT]
    if len(every) > 1:
        said = "; ".join(f"{n}({', '.join(s.name for s in o.inputs)})" for n, o in every.items())
        raise ModelError(
            f"{shown} has several signatures and none is called {DEFAULT}: {said}",
            "name one: signature=…",
        )
    return next(iter(every.values()))


def _check(one: Said, shown: str) -> None:
    if not one.inputs:
        raise ModelError(f"signature {one.name!r} of {shown} has no inputs", "name another one")
    odd = [spec.name for spec in one.inputs if not spec.dtype]
    if odd:
        raise ModelError(
            f"input {odd[0]!r} of {shown} is no dense tensor of numbers or text",
            "save a signature that takes plain tensors",
        )


def _captured(
    name: str, one: Said, digest: str, write: Any, notes: tuple[str, ...] = ()
) -> Captured:
    names = tuple(spec.name for spec in one.inputs)
    return Captured(
        name=safe_name(name),
        variant=variant("savedmodel"),
        fingerprint=digest,
        write=write,
        parameters=names,
        inputs=one.inputs,
        required=names,
        notes=notes,
    )


def _say(folder: Path, name: str) -> None:
    (folder / CHOSEN).write_text(json.dumps({"signature": name}), encoding="utf-8")


# live --------------------------------------------------------------------------------------------


def _live(model: Any, wanted: str | None) -> Captured:
    import tensorflow as tf

    function, name = _function(model, wanted)
    specs = tf.nest.flatten(function.structured_input_signature)
    named = [one for one in specs if isinstance(one, tf.TensorSpec)]
    if len(named) != len(specs):
        odd = next(one for one in specs if not isinstance(one, tf.TensorSpec))
        raise ModelError(
            f"{name} takes {odd!r}, which is no dense tensor", "give a tf.function of plain tensors"
        )
    inputs = tuple(_spec(one, i) for i, one in enumerate(named))
    one = Said(DEFAULT, tuple(sorted(inputs, key=lambda s: s.name)), ())
    _check(one, name)

    def write(folder: Path) -> None:
        module = model if isinstance(model, tf.Module) else tf.Module()
        kept = tf.Module()
        kept.model, kept.held = module, list(function.graph.variables)
        tf.saved_model.save(kept, str(folder / FOLDER), signatures={DEFAULT: function})
        _say(folder, DEFAULT)

    return _captured(name, one, _fingerprint(function), write)


def _function(model: Any, wanted: str | None) -> tuple[Any, str]:
    """The concrete function that is meant, and its name."""
    import tensorflow as tf

    found = tf.types.experimental
    signatures = getattr(model, "signatures", None)
    if signatures:
        every = {name: Said(name, (), ()) for name in signatures}
        name = _chosen(every, wanted, "the loaded SavedModel").name
        return signatures[name], name
    if isinstance(model, found.ConcreteFunction):
        return model, "tf_function"
    name = getattr(model, "__name__", "tf_function")
    if not isinstance(model, found.PolymorphicFunction):
        name = wanted or "__call__"
        functions = [
            one for one in dir(model)
            if not one.startswith("__") or one == "__call__"
            if isinstance(getattr(model, one, None), found.PolymorphicFunction)
        ]  # fmt: skip
        if name not in functions:
            raise ModelError(
                f"the tf.Module {type(model).__name__} has no tf.function {name!r}; it has "
                + (", ".join(functions) or "none"),
                "name one of its own: signature=…, or decorate the method with tf.function",
            )
        model, name = getattr(model, name), name if wanted else type(model).__name__
    if model.input_signature is None:
        raise ModelError(
            f"the tf.function {name} doesn't say what it takes",
            "give it an input_signature=[tf.TensorSpec([None, …], …, name=…)], or give what "
            ".get_concrete_function(tf.TensorSpec(…)) returns",
        )
    return model.get_concrete_function(), name


def _spec(one: Any, index: int) -> TensorSpec:
    name = one.name or f"input_{index}"
    if one.shape.rank is None:
        raise ModelError(
            f"input {name!r} has no number of axes", "say them: tf.TensorSpec([None, …])"
        )
    dims = tuple(d if d is not None else f"{name}_{i}" for i, d in enumerate(one.shape))
    kind = one.dtype.name
    return TensorSpec(name, TEXT if kind == "string" else kind, dims)


def _fingerprint(function: Any) -> str:
    """Its graph, without the numbers of a process, and the values of its variables."""
    graph = re.sub(_NUMBERED, r"\1", str(function.graph.as_graph_def()))
    whole = hashlib.sha256(graph.encode())
    for one in function.graph.variables:
        whole.update(f"{one.name}={of_array(one.numpy())}".encode())
    return whole.hexdigest()
