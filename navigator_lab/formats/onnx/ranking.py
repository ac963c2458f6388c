"""Which nodes of a graph lose most in each precision: what `sensitivity` found, as edges read it.

Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError

from .ranges import listed

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

ACTION = "onnx-sensitivity"
READS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Damage:
    """What one node loses when it alone computes in a precision, all else being exact.

    ``sqnr_db``: the signal of its output over the error, both without their means over the output.
    """

    node: str
    operator: str
    sqnr_db: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Value of `onnx-sensitivity`: by precision, the nodes from the worst to the best."""

    nodes: dict[str, tuple[Damage, ...]]
    samples: int
    notes: tuple[str, ...] = ()


def worst(
    ranking: Product | None, precision: str, count: int, among: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ``count`` most sensitive nodes of those that would be converted, and a note that says so.

    Raises:
        ModelError: there is no ranking for that precision.
    """
    found = ranking.read(Sensitivity).nodes.get(precision) if ranking is not None else None
    if found is None:
        raise ModelError(
            f"keep_worst={count} needs the sensitivity of the nodes in {precision}, and there is none",
            "leave keep_worst at 0, or name the nodes with keep_nodes",
        )
    chosen = [one for one in found if one.node in among][:count]
    said = listed([f"{one.node} ({one.sqnr_db:.0f} dB)" for one in chosen])
    return tuple(one.node for one in chosen), (
        f"the {len(chosen)} most sensitive of {len(among)} nodes stay in fp32: {said or 'none'}",
    )
