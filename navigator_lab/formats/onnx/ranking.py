"""Which nodes of a graph lose most in each precision: what `sensitivity` found, as edges read it.

Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types.plugin import Reading

from .ranges import listed

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

ACTION = "onnx-sensitivity"
RANKING = "ranking"  # what edges call the product
# For edges with an option keep_worst: the ranking is made only where some are to be kept, once for
# all settings of a variant.
READS: dict[str, Any] = {
    "reads": (Reading(RANKING, ACTION, when=lambda options: options.keep_worst > 0),)
}


@dataclass(frozen=True, slots=True)
class Damage:
    """What one node loses when it alone computes in a precision, all else being exact.

    ``sqnr_db``: the signal of its own output (without its mean) over the error. ``output_sqnr_db``:
    the signal of the model's worst output (what depends on the input) over what that error does to
    it; None where that was not measured.
    """

    node: str
    operator: str
    sqnr_db: float
    output_sqnr_db: float | None = None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Value of `onnx-sensitivity`: the nodes that a precision touches, from the worst to the best."""

    precision: str
    nodes: tuple[Damage, ...]
    samples: int  # that it was measured on

    def __repr__(self) -> str:
        lines = [f"{self.precision}: signal kept where one node alone computes so, in dB"]
        lines.append(f"  {'at the outputs':>14} {'by itself':>10}")
        for one in self.nodes:
            told = "–" if one.output_sqnr_db is None else f"{one.output_sqnr_db:.1f}"
            lines.append(f"  {told:>14} {one.sqnr_db:>10.1f}  {one.operator:<16} {one.node}")
        return "\n".join(lines)


def worst(
    ranking: Product | None, precision: str, count: int, among: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ``count`` most sensitive nodes of those that would be converted, and a note that says so.

    Raises:
        ModelError: there is no ranking for that precision.
    """
    found = ranking.read(Sensitivity) if ranking is not None else None
    if found is None or found.precision != precision:
        raise ModelError(
            f"keep_worst={count} needs the sensitivity of the nodes in {precision}, and there is none",
            "leave keep_worst at 0, or name the nodes with keep_nodes",
        )
    chosen = [one for one in found.nodes if one.node in among][:count]
    said = listed([f"{one.node} ({_worth(one):.0f} dB)" for one in chosen])
    return tuple(one.node for one in chosen), (
        f"the {len(chosen)} most sensitive of {len(among)} nodes stay in fp32: {said or 'none'}",
    )


def _worth(one: Damage) -> float:
    return one.sqnr_db if one.output_sqnr_db is None else one.output_sqnr_db
