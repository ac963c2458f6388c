"""A Keras 3 model as Keras saves it, with the code of the user's own classes beside it.

Nothing is converted here. What a layer is, Keras knows; this only says how inputs and outputs are
called by name.
"""

from __future__ import annotations

import inspect
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types.plugin import Format
from navigator_lab.types.pytree import flatten, unflatten
from navigator_lab.types.signature import Signature

if TYPE_CHECKING:
    import keras

FORMAT = Format("keras", "model.keras", "a Keras 3 model", family="TensorFlow")
CLASSES = "classes.pkl"  # the user's own, by the names that the file gives them
HOW = "loading.json"


def load(folder: Path) -> keras.Model:
    """The model of a product, on Keras' TensorFlow backend.

    Raises:
        ModelError: Keras runs on another backend here.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"Keras runs on {keras.backend.backend()} here; its models are run on TensorFlow",
            "unset KERAS_BACKEND, and check ~/.keras/keras.json",
        )
    how = json.loads((folder / HOW).read_text(encoding="utf-8"))
    path, known = folder / CLASSES, {}
    if path.exists():
        with path.open("rb") as file:
            known = pickle.load(file)  # noqa: S301 -- written by us from the user's own model
    return keras.saving.load_model(
        folder / FORMAT.filename,
        custom_objects={name: _revivable(one) for name, one in known.items()},
        compile=False,
        safe_mode=how["safe"],
    )


def _revivable(cls: Any) -> Any:
    """A class that Keras can make again from the arguments it was made with.

    Keras adds ``trainable`` and ``dtype`` to the arguments that it recorded, and a model's class
    whose ``__init__`` takes neither is then refused.
    """
    import keras

    if not (isinstance(cls, type) and issubclass(cls, keras.Model)):
        return cls
    taken = inspect.signature(cls.__init__).parameters
    own = any("from_config" in vars(c) for c in cls.__mro__ if not _kerasy(c))
    if own or any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return cls

    class Revived(cls):  # type: ignore[misc, valid-type]
        @classmethod
        def from_config(_, config: dict[str, Any], custom_objects: Any = None) -> Any:  # noqa: N804
            return cls(**{name: value for name, value in config.items() if name in taken})

    return Revived


def _kerasy(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "keras"


def named_call(model: keras.Model, signature: Signature) -> Callable[..., dict[str, Any]]:
    """The model as a function of tensors by the signature's names, called directly, not training.

    ``predict`` would add a loop over batches, callbacks and copies that no server has.
    """
    import keras

    inputs = input_names(model)
    if signature.call is None and inputs is not None:
        struct = _struct(model)

        def called(feeds: dict[str, Any]) -> Any:
            ordered = [feeds[name] for name in inputs]
            return model(keras.tree.pack_sequence_as(struct, ordered), training=False)
    else:
        training = _takes_training(model)

        def called(feeds: dict[str, Any]) -> Any:
            args, kwargs = unflatten(signature.call, feeds)
            return model(*args, **kwargs, **training)

    known = [spec.name for spec in signature.outputs]

    def call(**feeds: Any) -> dict[str, Any]:
        answer = called(feeds)
        leaves = flatten(answer, keras.ops.is_tensor)
        names = known or output_names(model, [name for name, _ in leaves])
        if len(names) != len(leaves):
            raise ModelError(f"the model gave {len(leaves)} outputs, and {len(names)} before")
        return {name: leaf for name, (_, leaf) in zip(names, leaves, strict=True)}

    return call


def recurrent(model: keras.Model) -> bool:
    """Does a layer of it carry a state from step to step?"""
    import keras

    return any(isinstance(layer, keras.layers.RNN) for layer in model._flatten_layers())


def _takes_training(model: keras.Model) -> dict[str, bool]:
    # Keras passes it on by itself, but to a call() that lacks it only if it wasn't given.
    return {"training": False} if "training" in inspect.signature(model.call).parameters else {}


def input_names(model: keras.Model) -> list[str] | None:
    """The names of a functional or sequential model's inputs; None of one that is only code."""
    inputs = _inputs(model)
    return None if inputs is None else [one._keras_history.operation.name for one in inputs]


def _inputs(model: keras.Model) -> list[Any] | None:
    import keras

    if not isinstance(model, keras.Sequential) and not hasattr(model, "_inputs_struct"):
        return None
    try:
        return list(model.inputs)
    except AttributeError:  # a sequential that was never called
        return None


def _struct(model: keras.Model) -> Any:
    """How the inputs of a functional model nest; a sequential one takes its tensor alone."""
    struct = getattr(model, "_inputs_struct", None)
    return model.inputs[0] if struct is None else struct


def output_names(model: keras.Model, otherwise: list[str]) -> list[str]:
    """The names of a functional model's outputs: of the layers they come from, or as they nest."""
    graph = getattr(model, "_functional", None) or model
    names = list(getattr(graph, "output_names", ()) or ())
    taken = {*(input_names(model) or ()), *names}
    nested = isinstance(getattr(graph, "_outputs_struct", None), dict)
    unique = len(taken) == len(names) + len(input_names(model) or ())
    return names if unique and not nested and len(names) == len(otherwise) else otherwise
