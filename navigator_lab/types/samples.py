"""Samples as they lie in the store: one array a sample and input, and how batches are made of them.

A samples product holds ``samples.npz`` with the keys ``"{index}/{input name}"``, each sample with a
batch of one (or with no batch axis, where the model has none), and its value is the `Signature`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .signature import BATCH, Signature

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

FILENAME = "samples.npz"


@dataclass(frozen=True, slots=True)
class Case:
    """One call made to compare answers: the samples it is made of. ``batch`` = how many."""

    indices: tuple[int, ...]

    @property
    def batch(self) -> int:
        return len(self.indices)


def write(folder: Path, samples: Sequence[Arrays]) -> None:
    """Samples as ``samples.npz`` in ``folder``."""
    import numpy as np

    flat = {}
    for i, one in enumerate(samples):
        for name, array in one.items():
            if array.dtype.kind == "V":  # bfloat16 and the like, which npz doesn't know
                bits = np.dtype(f"uint{8 * array.dtype.itemsize}")
                flat[f"{i}:{array.dtype.name}/{name}"] = array.view(bits)
            else:  # text is kept in numpy's fixed width: objects would be pickled
                flat[f"{i}/{name}"] = array.astype(str) if array.dtype.hasobject else array
    np.savez(folder / FILENAME, allow_pickle=False, **flat)


def read(folder: Path) -> list[Arrays]:
    """All samples of a product's folder, in their order; each a dict input name -> array."""
    import numpy as np

    found: dict[int, Arrays] = {}
    with np.load(folder / FILENAME, allow_pickle=False) as file:
        for key in file.files:
            index, _, name = key.partition("/")
            index, _, dtype = index.partition(":")
            array = file[key]
            if dtype:
                import ml_dtypes

                array = array.view(getattr(ml_dtypes, dtype))
            if array.dtype.kind == "U":
                array = array.astype(object)
            found.setdefault(int(index), {})[name] = array
    return [found[i] for i in sorted(found)]


def together(samples: Sequence[Arrays], signature: Signature) -> Arrays:
    """Several samples as one batch, each input along its own batch axis.

    Inputs without a batch axis are taken from the first. The samples must agree in every other
    axis: see `groups`.
    """
    import numpy as np

    first = samples[0]
    if len(samples) == 1:
        return dict(first)
    made: Arrays = {}
    for spec in signature.inputs:
        axis = spec.batch_axis
        made[spec.name] = (
            first[spec.name]
            if axis is None
            else np.concatenate([s[spec.name] for s in samples], axis=axis)
        )
    return made


def groups(samples: Sequence[Arrays], signature: Signature) -> list[list[int]]:
    """Indices of samples that can share a batch: same shapes, and same values of what has no
    batch axis. In order of first appearance."""
    found: dict[tuple[object, ...], list[int]] = {}
    for i, sample in enumerate(samples):
        key: list[object] = []
        for spec in signature.inputs:
            array = sample[spec.name]
            if spec.batch_axis is not None:
                key.append(array.shape)
            else:
                key.append(repr(array.tolist()) if array.dtype.hasobject else array.tobytes())
        found.setdefault(tuple(key), []).append(i)
    return list(found.values())


def cases(samples: Sequence[Arrays], signature: Signature, batch: int = 4) -> list[Case]:
    """The calls that every target is judged by: each sample alone, then all of them in batches.

    A batch that samples don't fill is filled up with the first of their group, so that each group
    of shapes is seen at a batch above one. Without a batch axis there are only single calls.
    """
    made = [Case((i,)) for i in range(len(samples))]
    if not signature.batched:
        return made
    batch = min([batch, *(axis.max for axis in signature.axes if axis.name == BATCH)])
    if batch < 2:
        return made
    for group in groups(samples, signature):
        for start in range(0, len(group), batch):
            chosen = group[start : start + batch]
            chosen = chosen + (group * batch)[: batch - len(chosen)]
            made.append(Case(tuple(chosen)))
    return made


def batch_of(samples: Sequence[Arrays], signature: Signature, size: int) -> Arrays:
    """A batch of ``size`` of the largest group of samples, repeated as often as needed.

    Raises:
        ValueError: the model has no batch axis and ``size`` is not 1.
    """
    if not signature.batched:
        if size != 1:
            raise ValueError(f"a batch of {size} was asked of a model without a batch axis")
        return dict(samples[0])
    group = max(groups(samples, signature), key=len)
    return together([samples[group[i % len(group)]] for i in range(size)], signature)


def each(
    samples: Sequence[Arrays], chosen: Sequence[Case], signature: Signature
) -> Iterator[Arrays]:
    """The feeds of each case."""
    for case in chosen:
        yield together([samples[i] for i in case.indices], signature)
