"""What a user says of axes, checked against the samples.

``batch_axis``: ``"auto"`` (found by the probe), ``None`` (the model has none), a number (of every
input that has axes), or a dict input name -> number or None (an input not named has none).

``axes``: which others vary, and how far. A dict with two kinds of entries:

- an input's name -> ``{position: name}`` or ``{position: (min, max)}`` or ``{position: (min, opt,
  max)}``; inputs that give one name to their axes agree in size there; ``"batch"`` is the batch;
- an axis' name -> ``(min, max)`` or ``(min, opt, max)``, in elements.

``{"input_ids": {1: "seq"}, "mask": {1: "seq"}, "seq": (8, 64, 128), "batch": (1, 8, 256)}``
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SamplesError
from ..types.raw import Place
from ..types.signature import BATCH, Axis, TensorSpec

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]
    Batch = Literal["auto", "none", "given"]


def batch_wish(
    wish: int | Mapping[str, int | None] | str | None,
    inputs: Sequence[TensorSpec],
) -> tuple[Batch, dict[str, int | None] | None]:
    """The wish for the batch axis as plain data, one entry an input.

    Raises:
        SamplesError: it names no input, or an axis that isn't there.
    """
    if wish is None:
        return "none", None
    if isinstance(wish, str):
        if wish != "auto":
            raise SamplesError(
                f"batch_axis={wish!r} means nothing",
                'it is "auto", None, a number, or a dict input -> number',
            )
        return "auto", None
    if isinstance(wish, Mapping):
        for name in wish:
            _known(name, [spec.name for spec in inputs], "batch_axis")
        axes = {spec.name: wish.get(spec.name) for spec in inputs}
    elif isinstance(wish, int) and not isinstance(wish, bool):
        # A rank-0 input can't have one and needn't be named for it.
        axes = {spec.name: wish if spec.shape else None for spec in inputs}
    else:
        raise SamplesError(
            f"batch_axis={wish!r} means nothing",
            'it is "auto", None, a number, or a dict input -> number',
        )
    made = {s.name: _position(s, axes[s.name], "batch_axis") for s in inputs}
    return ("given" if any(axis is not None for axis in made.values()) else "none"), made


def check_batch(axes: Mapping[str, int | None], feeds: Sequence[Arrays]) -> None:
    """Raises SamplesError if the inputs of a feed don't agree in size along the batch axis."""
    for at, feed in enumerate(feeds):
        sizes = {name: feed[name].shape[axis] for name, axis in axes.items() if axis is not None}
        if len(set(sizes.values())) > 1:
            shown = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise SamplesError(
                f"the batch axis isn't one: in sample {at}, {shown} along it",
                "say which inputs have a batch axis: batch_axis={NAME: 0, …}, or None for none",
            )


def axes_wish(
    wish: Mapping[str, Any] | None, inputs: Sequence[TensorSpec]
) -> tuple[tuple[Place, ...], tuple[Axis, ...]]:
    """The declared dynamic axes and their ranges; ``opt`` is 0 where it wasn't said.

    Raises:
        SamplesError: an unknown input or axis name, a position out of range, a range that isn't one.
    """
    known = {spec.name: spec for spec in inputs}
    places: list[Place] = []
    ranges: dict[str, Axis] = {}
    for name, value in (wish or {}).items():
        if not isinstance(value, Mapping):
            continue
        _known(name, list(known), "axes")
        for position, said in value.items():
            at = _position(known[name], position, "axes")
            assert at is not None
            if isinstance(said, str):
                places.append(Place(name, at, said))
            else:
                own = f"{name}_{at}"
                places.append(Place(name, at, own))
                ranges[own] = _range(own, said)
    for name, value in (wish or {}).items():
        if isinstance(value, Mapping):
            continue
        names = {place.name for place in places}
        if name not in names and name != BATCH:
            own = {
                f"{s.name}_{i}": Place(s.name, i, name) for s in inputs for i in range(len(s.shape))
            }
            if name not in own:
                _known(name, [*names, BATCH, *own], "axes")
            places.append(own[name])
        ranges[name] = _range(name, value)
    return tuple(places), tuple(ranges.values())


def _range(name: str, said: Any) -> Axis:
    form = f"give (min, max) or (min, opt, max), as in axes={{{name!r}: (1, 8, 32)}}"
    numbers = tuple(said) if isinstance(said, Sequence) and not isinstance(said, str) else ()
    if len(numbers) not in (2, 3) or not all(type(n) is int for n in numbers):
        raise SamplesError(f"the range of axis {name!r} is {said!r}", form)
    if numbers[0] < 1 or list(numbers) != sorted(numbers):
        raise SamplesError(
            f"the range of axis {name!r} is {said!r}, which isn't 1 <= min <= opt <= max", form
        )
    return Axis(name, numbers[0], numbers[1] if len(numbers) == 3 else 0, numbers[-1])


def _position(spec: TensorSpec, axis: Any, what: str) -> int | None:
    if axis is None:
        return None
    rank = len(spec.shape)
    if type(axis) is not int or not -rank <= axis < rank:
        raise SamplesError(
            f"{what}: {spec.name!r} has no axis {axis!r}; its shape is {spec.shape}",
            f"its axes are 0 to {rank - 1}" if rank else "it is a scalar, without axes",
        )
    return axis % rank


def _known(name: str, known: list[str], what: str) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise SamplesError(
        f"{what} names {name!r}, and there is nothing of that name",
        f"{hint}there are {', '.join(known)}",
    )
