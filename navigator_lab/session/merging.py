"""What a new run leaves true of an earlier one."""

from __future__ import annotations

import dataclasses

from ..types.run import Settled


def still_true(old: tuple[Settled, ...], new: list[Settled]) -> list[Settled]:
    """New steps, and those old ones of other stages whose model is the same as now."""
    keys = {s.label: s.key for s in new}
    if any(s.label in keys and s.key != keys[s.label] for s in old):
        return new
    stages = {s.stage for s in new}
    kept = [dataclasses.replace(s, ran=False) for s in old if s.stage not in stages]
    order = ("export", "convert", "infer", "correctness", "profile", "verify")
    return sorted([*new, *kept], key=lambda s: order.index(s.stage))
