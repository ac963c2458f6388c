"""What the formats of JAX share: a function of arrays in the signature's order. Declares none."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from navigator_lab.types.pytree import flatten, unflatten
from navigator_lab.types.signature import Signature

NEEDS = ("jax",)
APART = "jax"  # XLA brings an LLVM, which crashes beside others'
EDGE: Any = {"needs": NEEDS, "apart": APART, "timeout_s": 1800}


class CannotTrace(RuntimeError):
    """JAX or a translator refused the function; the message is its own, cut short."""


def load(file: Path) -> Callable[..., Any]:
    """The jitted function of a product."""
    with file.open("rb") as opened:
        found: Callable[..., Any] = pickle.load(opened)  # noqa: S301 -- written by us from the user's own
    return found


def flat(function: Callable[..., Any], signature: Signature) -> Callable[..., list[Any]]:
    """The function of arrays in the signature's order, which gives its leaves in theirs."""
    names = [spec.name for spec in signature.inputs]

    def call(*arrays: Any) -> list[Any]:
        args, kwargs = unflatten(signature.call, dict(zip(names, arrays, strict=True)))
        return [leaf for _, leaf in leaves(function(*args, **kwargs))]

    return call


def leaves(answer: Any) -> list[tuple[str, Any]]:
    """The arrays in what a function gave, with names of their places; in its own order, not JAX's."""
    import jax

    return flatten(answer, lambda one: isinstance(one, (jax.Array, int, float)))


def shapes(signature: Signature) -> list[Any]:
    """The inputs as JAX says them; axes of one name are one size, and free."""
    import jax
    import jax.export

    scope = jax.export.SymbolicScope()
    return [
        jax.ShapeDtypeStruct(
            jax.export.symbolic_shape(", ".join(map(str, spec.shape)), scope=scope), spec.dtype
        )
        for spec in signature.inputs
    ]


def said(error: BaseException) -> str:
    """The first line of its message."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
