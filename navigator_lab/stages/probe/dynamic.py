"""Axes other than the batch that vary: seen in the samples, or declared with their range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import SamplesError
from ...types.raw import Raw
from ...types.signature import BATCH, Axis
from .batch import Batch

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]
    Where = tuple[str, int]  # input, position


@dataclass(frozen=True)
class Dynamic:
    """``names``: of each varying axis of an input. ``extra``: which samples were added, and why."""

    names: dict[Where, str]
    ranges: tuple[Axis, ...]
    extra: dict[int, str] = field(default_factory=dict)

    def shape(self, name: str, sample: Arrays, batch: Batch) -> tuple[int | str, ...]:
        """An input's shape with names for what varies."""
        made: list[int | str] = list(sample[name].shape)
        for i in range(len(made)):
            made[i] = self.names.get((name, i), made[i])
        axis = batch.axes.get(name)
        if axis is not None:
            made[axis] = BATCH
        return tuple(made)

    def follows(self, sizes: Sequence[int], feeds: Sequence[Arrays]) -> str | None:
        """The named axis that has these sizes in each of these feeds."""
        for (name, i), axis in self.names.items():
            if [feed[name].shape[i] for feed in feeds] == list(sizes):
                return axis
        return None


def declared(wish: Raw, samples: list[Arrays], batch: Batch, notes: list[str]) -> Dynamic:
    """Names and ranges of all varying axes.

    Raises:
        SamplesError: two axes of one name disagree in size, or a sample is outside of a range.
    """
    sizes: dict[Where, tuple[int, ...]] = {
        (name, i): tuple(sample[name].shape[i] for sample in samples)
        for name, array in samples[0].items()
        for i in range(array.ndim)
        if batch.axes.get(name) != i
    }
    names: dict[Where, str] = {}
    for place in wish.places:
        if (place.input, place.position) not in sizes:
            raise SamplesError(
                f"axes gives axis {place.position} of {place.input!r} the name {place.name!r}, "
                "and it is the batch axis",
                f"call it {BATCH!r}, or say where the batch is: batch_axis={{…}}",
            )
        names[place.input, place.position] = place.name
    said = {name: where for where, name in reversed(names.items())}
    for where, name in names.items():
        if sizes[where] != sizes[said[name]]:
            raise SamplesError(
                f"axes calls both {_shown(said[name])} and {_shown(where)} {name!r}, and they have "
                f"sizes {sizes[said[name]][0]} and {sizes[where][0]} in sample 0",
                "give axes that don't always agree different names",
            )
    shared = {sizes[where]: name for where, name in names.items() if len(set(sizes[where])) > 1}
    hints = {(hint.input, hint.position): hint.name for hint in wish.hints}
    for where, seen in sizes.items():
        if where in names or len(set(seen)) == 1:
            continue
        if seen not in shared:
            hint = hints.get(where, "")
            own = f"{where[0]}_{where[1]}"
            free = hint and hint != BATCH and hint not in shared.values() and hint.isidentifier()
            shared[seen] = hint if free else own
        names[where] = shared[seen]
    ranges = {}
    for where, name in names.items():
        ranges.setdefault(name, _range(name, where, sizes[where], wish))
    for axis in ranges.values():
        if axis.min == axis.max:
            notes.append(
                f"axis {axis.name!r} is called dynamic, but all samples have {axis.min} along it: "
                f"give samples that differ, or its range: axes={{{axis.name!r}: (min, max)}}"
            )
    return Dynamic(names, tuple(ranges.values()))


def _range(name: str, where: Where, sizes: tuple[int, ...], wish: Raw) -> Axis:
    usual = max(sorted(set(sizes)), key=sizes.count)
    for said in wish.ranges:
        if said.name != name:
            continue
        outside = [i for i, size in enumerate(sizes) if not said.min <= size <= said.max]
        if outside:
            raise SamplesError(
                f"axis {name!r} is said to go from {said.min} to {said.max}, and sample "
                f"{outside[0]} has {sizes[outside[0]]} ({_shown(where)})",
                "widen the range, or leave that sample out",
            )
        return Axis(name, said.min, said.opt or usual, said.max)
    return Axis(name, min(sizes), usual, max(sizes))


def extremes(samples: list[Arrays], dynamic: Dynamic, batch: Batch) -> list[Arrays]:
    """Samples at the ends of the ranges that no given sample reaches.

    Made from the first by repeating or cropping it, so that numbers keep their meaning. They are
    judged like the others, so no variant passes that fits only the sizes that were given.
    """
    made: list[Arrays] = []
    for end in ("min", "max"):
        wanted = {
            where: getattr(axis, end)
            for where, name in dynamic.names.items()
            for axis in dynamic.ranges
            if axis.name == name
        }
        if not wanted or any(
            all(sample[n].shape[i] == size for (n, i), size in wanted.items()) for sample in samples
        ):
            continue
        # An end that the given samples reach, each axis by itself, needs no made-up one.
        if all(
            any(sample[n].shape[i] == size for sample in samples) for (n, i), size in wanted.items()
        ):
            continue
        sample = dict(samples[0])
        for (name, i), size in wanted.items():
            sample[name] = _resized(sample[name], i, size)
        shown = ", ".join(f"{axis.name}={getattr(axis, end)}" for axis in dynamic.ranges)
        dynamic.extra[len(made)] = f"{shown}, the {end} of axes"
        made.append(sample)
    return made


def _resized(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    import numpy as np

    return np.take(array, np.arange(size) % array.shape[axis], axis=axis)


def _shown(where: Where) -> str:
    return f"axis {where[1]} of {where[0]}"
