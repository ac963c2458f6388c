"""Samples as the user gave them, and what was wished of their axes: what the probe starts from.

A raw product holds ``samples.npz`` like a samples product does, but each entry may be a batch of
several samples, and its value is a `Raw`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .signature import Axis, Signature


@dataclass(frozen=True, slots=True)
class Place:
    """One axis of one input, and its name."""

    input: str
    position: int
    name: str


@dataclass(frozen=True, slots=True)
class Raw:
    """``signature`` is provisional: the inputs of the first feed with sizes as they are, no outputs.

    ``batch`` says where the batch axis comes from: to be found, none, or as ``batch_axes`` says.
    ``places`` are axes that the user declared dynamic; ``ranges`` how far (``opt`` 0: what the
    samples give). ``hints`` are names that the model's file gives its axes. ``outputs`` are
    the names wanted for the outputs, in order, or empty. At most ``limit`` samples are kept.
    """

    signature: Signature
    batch: Literal["auto", "none", "given"] = "auto"
    batch_axes: dict[str, int | None] | None = None
    places: tuple[Place, ...] = ()
    ranges: tuple[Axis, ...] = ()
    hints: tuple[Place, ...] = ()
    outputs: tuple[str, ...] = ()
    limit: int = 256
