"""Calls a python callable with numpy arrays; what it returns becomes named arrays.

It gets numpy arrays whatever the samples were given as, and the constants of the samples as they
are. Numbers that it returns are arrays of rank 0.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..types.plugin import Device, Opening, Plain, Precision, runner
from ..types.pytree import flatten, unflatten

if TYPE_CHECKING:
    import numpy as np

    from ..types.outcome import Product

    Arrays = dict[str, np.ndarray]


def _refuses(precision: Precision, device: Device) -> str:
    return "" if precision is Precision.FP32 else "a python callable computes as it is written"


@runner(
    "python",
    "python",
    precisions=("fp32",),
    refuses=_refuses,
    reference=True,
    family="Python",
    needs=("cloudpickle", "numpy"),
)
@contextmanager
def python(model: Product, opening: Opening) -> Iterator[Plain]:
    """Call the function itself."""
    from ..formats.python import FORMAT

    with (model.path / FORMAT.filename).open("rb") as file:
        function = pickle.load(file)  # noqa: S301 — written by us from the user's own object

    def call(feeds: Arrays) -> Arrays:
        args, kwargs = unflatten(opening.signature.call, feeds)
        return _named(function(*args, **kwargs), opening)

    yield Plain(call)


def _named(answer: Any, opening: Opening) -> Arrays:
    """The answer as arrays, by the signature's names once it has them."""
    import numpy as np

    leaves = [(name, np.asarray(leaf)) for name, leaf in flatten(answer, _is_leaf)]
    for name, array in leaves:
        if array.dtype.kind in "OUSmM":
            raise TypeError(
                f"{name} has dtype {array.dtype}; only numbers and bools can be compared"
            )
    known = [spec.name for spec in opening.signature.outputs]
    if not known:
        return dict(leaves)
    if len(known) != len(leaves):
        raise ValueError(f"the callable gave {len(leaves)} outputs, and {len(known)} before")
    return {name: array for name, (_, array) in zip(known, leaves, strict=True)}


def _is_leaf(value: Any) -> bool:
    import numpy as np

    if isinstance(value, np.ndarray | np.generic | bool | int | float | complex):
        return True
    return hasattr(value, "__array__")  # a framework's tensor, a series
