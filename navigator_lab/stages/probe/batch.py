"""Which axis is the batch: found by joining samples and looking at what comes out.

An axis is the batch if two samples joined along it give the answers that they give alone, joined
too. That outputs merely grow is not enough: those of a recurrent net grow along time as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import SamplesError
from ...types.raw import Raw
from .asking import Asked, Source, differ

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]
    Axes = dict[str, int | None]

EXACT = 1e-3  # of the largest number: how far a joined answer may be from the single ones
CANDIDATES = 24  # of batch axes that are tried, each with up to four calls
LOOSE = 5e-2  # beyond rounding, as of scales that are taken over the whole batch


@dataclass(frozen=True)
class Batch:
    """``axes``: of each input, empty without a batch. ``outputs``: of those that have one.

    ``grows``: (output, axis) that grow with the batch otherwise than one for one. ``why`` there
    is none.
    """

    axes: Axes = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    grows: tuple[tuple[str, int], ...] = ()
    differs: str = ""  # where joined answers aren't the single ones, beyond rounding
    differs_far: str = ""  # where they are quite others
    why: str = ""


def find(
    source: Source, wish: Raw, feeds: Sequence[Arrays], stateful: bool, notes: list[str]
) -> Batch:
    """The batch axes, found or as given; both are tried on the source.

    Raises:
        SamplesError: the axes that were given aren't a batch.
    """
    if wish.batch == "none":
        return Batch(why="batch_axis is None")
    if wish.batch == "given":
        axes = dict(wish.batch_axes or {})
        found = _try(source, axes, feeds)
        if isinstance(found, str):
            raise SamplesError(
                f"batch_axis={_shown(axes)} isn't a batch axis: {found}",
                "give the axis along which samples can be joined, or None if there is none",
            )
        if found.differs and not stateful:
            notes.append(
                f"answers depend on the batch they are in: {found.differs} (a batch of two against "
                "the two alone)"
            )
        return found
    reason, passed_over, loose = "", "", None
    for axes in _candidates(feeds):
        found = _try(source, axes, feeds)
        if isinstance(found, str):
            reason = reason or found
        elif not found.differs or stateful:
            _say_where(axes, passed_over, notes)
            return found
        else:
            passed_over = passed_over or (
                f"along {_shown(axes)} it grows, but answers change with what else is in the batch "
                f"({found.differs}); batch_axis={_shown(axes)} takes it nevertheless"
            )
            reason = reason or passed_over
            loose = loose or (None if found.differs_far else found)
    if loose is not None:
        notes.append(f"answers depend a little on the batch they are in: {loose.differs}")
        return loose
    return Batch(why=reason or "no axis has one size in all inputs")


def _say_where(axes: Axes, passed_over: str, notes: list[str]) -> None:
    """A note where the batch isn't simply the first axis of everything."""
    odd = {name: axis for name, axis in axes.items() if axis}
    if odd:
        shown = ", ".join(f"axis {axis} of {name}" for name, axis in odd.items())
        notes.append(
            f"the batch was found at {shown}" + (f"; {passed_over}" if passed_over else "")
        )


def _shown(axes: Axes) -> str:
    kinds = set(axes.values())
    named = {name: axis for name, axis in axes.items() if axis is not None}
    return str(kinds.pop()) if len(kinds) == 1 else str(named)


def _candidates(feeds: Sequence[Arrays]) -> Iterator[Axes]:
    """Possible batch axes, likeliest first, each once."""
    seen: list[Axes] = []
    for axes in _likely(feeds):
        agree = all(
            len({feed[n].shape[a] for n, a in axes.items() if a is not None}) == 1 for feed in feeds
        )
        if agree and axes not in seen and len(seen) < CANDIDATES:
            seen.append(axes)
            yield axes


def _likely(feeds: Sequence[Arrays]) -> Iterator[Axes]:
    first = feeds[0]
    ranks = {name: array.ndim for name, array in first.items()}
    full = [name for name, rank in ranks.items() if rank]
    if not full:
        return
    lowest = min(ranks[name] for name in full)
    yield {name: 0 if rank else None for name, rank in ranks.items()}
    # The first axis of some inputs only: tables, masks and other constants have none.
    for name in full:
        size = [feed[name].shape[0] for feed in feeds]
        yield {
            other: 0 if rank and [feed[other].shape[0] for feed in feeds] == size else None
            for other, rank in ranks.items()
        }
    for axis in range(1, lowest):
        yield {name: axis if rank else None for name, rank in ranks.items()}
    # Each input wherever it has the common size, seen in every feed; those without it have none.
    for name in full:
        for axis in range(ranks[name]):
            size = [feed[name].shape[axis] for feed in feeds]
            places = {
                other: [i for i in range(rank) if [f[other].shape[i] for f in feeds] == size]
                or [None]
                for other, rank in ranks.items()
            }
            places[name] = [axis]
            for chosen in itertools.islice(itertools.product(*places.values()), 8):
                yield dict(zip(places, chosen, strict=True))
    for name in full:
        yield {other: 0 if other == name else None for other in ranks}


def _try(source: Source, axes: Axes, feeds: Sequence[Arrays]) -> Batch | str:
    """What comes of joining samples along these axes; the reason if it can't be a batch."""
    a, b = _pair(axes, feeds)
    one = source.tries(a, "a batch of one")
    if isinstance(one, str):
        return one
    other = source.tries(b, "a batch of one")
    if isinstance(other, str):  # turned round it may mean nothing: then the sample twice
        b, other = a, one
    two = source.tries(_join([a, b], axes), "a batch of two")
    if isinstance(two, str):
        return two
    three = source.tries(_join([a, b, a], axes), "a batch of three")
    if isinstance(three, str):
        return three
    return _judged(axes, one, other, two, three)


def _judged(axes: Axes, one: Asked, other: Asked, two: Asked, three: Asked) -> Batch | str:
    import numpy as np

    outputs: dict[str, int] = {}
    grows: list[tuple[str, int]] = []
    differs = far = ""
    for name, array in one.outputs.items():
        answers = [asked.outputs.get(name) for asked in (other, two, three)]
        if any(got is None or got.ndim != array.ndim for got in answers) or any(
            len(asked.outputs) != len(one.outputs) for asked in (two, three)
        ):
            return f"the number of outputs changes with the size of the batch ({name})"
        sizes = [
            (array.shape[i], two.outputs[name].shape[i], three.outputs[name].shape[i])
            for i in range(array.ndim)
        ]
        moved = [i for i, size in enumerate(sizes) if len(set(size)) > 1]
        if len(moved) == 1 and sizes[moved[0]] == (1, 2, 3):
            axis = outputs[name] = moved[0]
            joined = two.outputs[name]
            if array.shape != other.outputs[name].shape:
                return f"the shape of {name} depends on the numbers that go in"
            parts = np.concatenate([array, other.outputs[name]], axis=axis)
            differs = differs or differ({name: parts}, {name: joined}, EXACT)
            far = far or differ({name: parts}, {name: joined}, LOOSE)
        else:
            grows += [(name, i) for i in moved]
    if not outputs and not grows:
        return "no output grows with it"
    if not outputs:
        return f"{grows[0][0]} grows with it, but not one for one"
    return Batch(axes, outputs, tuple(grows), differs, far)


def _pair(axes: Axes, feeds: Sequence[Arrays]) -> tuple[Arrays, Arrays]:
    """Two samples that can be joined, different if that can be."""
    import numpy as np

    singles: list[Arrays] = []
    for feed in feeds:
        count = size_of(feed, axes)
        for i in range(min(count, 2)):
            one = part(feed, axes, i)
            if not singles:
                singles.append(one)
            elif _joinable(singles[0], one, axes) and any(
                not np.array_equal(one[n], singles[0][n]) for n, a in axes.items() if a is not None
            ):
                return singles[0], one
    first = singles[0]
    # Only one sample is known: turn it round along its longest other axis, so that the two differ.
    turned = {}
    for name, array in first.items():
        axis = axes[name]
        others = [i for i in range(array.ndim) if i != axis and array.shape[i] > 1]
        if axis is None or not others:
            turned[name] = array
        else:
            turned[name] = np.flip(array, max(others, key=lambda i: array.shape[i])).copy()
    return first, turned


def _joinable(a: Arrays, b: Arrays, axes: Axes) -> bool:
    import numpy as np

    return all(
        a[n].shape == b[n].shape and (axis is not None or np.array_equal(a[n], b[n]))
        for n, axis in axes.items()
    )


def _join(parts: Sequence[Arrays], axes: Axes) -> Arrays:
    import numpy as np

    return {
        n: parts[0][n] if axis is None else np.concatenate([p[n] for p in parts], axis=axis)
        for n, axis in axes.items()
    }


def size_of(feed: Arrays, axes: Axes) -> int:
    """How many samples a feed holds."""
    return next((feed[n].shape[a] for n, a in axes.items() if a is not None), 1)


def part(feed: Arrays, axes: Axes, index: int) -> Arrays:
    """One sample of a feed, still with a batch axis of one."""
    return {
        n: array if axes.get(n) is None else array.take([index], axis=axes[n])
        for n, array in feed.items()
    }


def split(feeds: Sequence[Arrays], batch: Batch, limit: int, notes: list[str]) -> list[Arrays]:
    """All samples one by one, at most ``limit``."""
    if not batch.axes:
        return list(feeds)
    count = sum(size_of(feed, batch.axes) for feed in feeds)
    if count > limit:
        notes.append(f"{count} samples were given, the first {limit} are used")
    made = (part(feed, batch.axes, i) for feed in feeds for i in range(size_of(feed, batch.axes)))
    return [one for one, _ in zip(made, range(limit), strict=False)]
