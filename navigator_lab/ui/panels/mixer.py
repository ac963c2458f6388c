"""Section 4, view "Mixer": which rows are settings of one target by how many nodes stay in fp32."""

from __future__ import annotations

from typing import Any

from ...session.mixing import mixable
from ...types.target import Target
from ...views.mixer import OPTION, without


def settings(lab: Any, targets: list[str]) -> dict[str, tuple[str, int]]:
    """Of each row that can be mixed, or was: its target without the number, and the number."""
    parsed = {text: Target.parse(text) for text in targets}
    bases = {text: str(without(target)) for text, target in parsed.items()}
    numbers = {text: int(dict(one.settings).get(OPTION, 0)) for text, one in parsed.items()}
    catalog = getattr(lab, "catalog", None)  # a run loaded from a file has none
    mixed = {bases[text] for text, number in numbers.items() if number}
    return {
        text: (bases[text], numbers[text])
        for text, target in parsed.items()
        if bases[text] in mixed or (catalog is not None and mixable(catalog, target))
    }


def numbers(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """By target, the numbers of nodes that its rows show; of those that were mixed."""
    made: dict[str, list[int]] = {}
    for row in rows:
        if row["mix"]:
            made.setdefault(row["mix"][0], []).append(row["mix"][1])
    return {target: sorted(found) for target, found in made.items() if len(found) > 1}
