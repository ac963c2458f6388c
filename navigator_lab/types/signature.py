"""What goes into a model and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BATCH = "batch"  # the name of the batch axis in every shape


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension that varies, and how far: ``min <= opt <= max``, in elements."""

    name: str
    min: int
    opt: int
    max: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor. ``shape`` holds an int for a fixed axis, an axis' name for one that varies.

    ``dtype`` is numpy's name of it (``float32``, ``int64``, ``bool``, ``bfloat16``).
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    @property
    def batch_axis(self) -> int | None:
        """The position of the batch in ``shape``; None if this tensor has none."""
        return self.shape.index(BATCH) if BATCH in self.shape else None


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a model, as found by running the source on the samples.

    ``call`` says how the flat, named inputs become the source's arguments:
    ``{"args": [tree, …], "kwargs": {name: tree}}`` where a tree is ``{"input": NAME}``,
    ``{"constant": VALUE}``, ``{"tuple": [tree, …]}``, ``{"list": [tree, …]}`` or
    ``{"dict": {key: tree}}``. Only sources written in Python need it; files take names.
    ``axes`` are the ranges of every named axis, the batch's among them when there is one.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    axes: tuple[Axis, ...] = ()
    call: Any = None
    stateful: bool = False  # the same call twice gave two answers
    notes: tuple[str, ...] = ()  # what a user should know of how this was found

    def axis(self, name: str) -> Axis:
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise KeyError(name)

    @property
    def batched(self) -> bool:
        """True if some input has a batch axis."""
        return any(spec.batch_axis is not None for spec in self.inputs)

    @property
    def batch_first(self) -> bool:
        """True if every input and output has the batch as its first axis: what Triton's
        ``max_batch_size`` > 0 asks for."""
        return all(spec.batch_axis == 0 for spec in (*self.inputs, *self.outputs))
