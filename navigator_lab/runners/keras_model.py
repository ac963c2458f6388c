"""Keras: the model called directly, operator by operator, or as one `tf.function`.

Never ``predict``: its loop over batches would be an unfair baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.formats.keras_model import FORMAT, load, named_call
from navigator_lab.types.plugin import Opening, option, runner

from ._tensorflow import RUNS, Session, session

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product


@dataclass(frozen=True, slots=True)
class FunctionOptions:
    """How `tf.function` compiles a model."""

    jit_compile: bool = option(
        True, "have XLA compile it, anew for each shape; False: TensorFlow's own graph executor"
    )


@runner(
    "keras",
    FORMAT.name,
    precisions=("fp32",),
    reference=True,
    **RUNS,
)
@contextmanager
def keras(model: Product, opening: Opening) -> Iterator[Session]:
    """Keras on TensorFlow, operator by operator."""
    with session(opening, lambda: named_call(load(model.path), opening.signature)) as running:
        yield running


@runner(
    "tf-function",
    FORMAT.name,
    precisions=("fp32",),
    options=FunctionOptions,
    **RUNS,
)
@contextmanager
def function(model: Product, opening: Opening) -> Iterator[Session]:
    """Keras as one tf.function, compiled by XLA."""
    options = opening.options or FunctionOptions()

    def make() -> Callable[..., Any]:
        import tensorflow as tf

        call = named_call(load(model.path), opening.signature)
        made: Callable[..., Any] = tf.function(call, jit_compile=options.jit_compile)
        return made

    with session(opening, make) as running:
        yield running
