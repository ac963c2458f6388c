"""The axes of the Pareto view: where they begin and end, and their marks."""

from __future__ import annotations

import math
from typing import Any

from ..numbers import significant
from ..theme import AXES
from .data import Info


def is_log(info: Info) -> bool:
    """Whether x can be logarithmic."""
    values = [p.x for line in info.lines for p in line.points]
    return bool(values) and min(values) > 0


def ticks(info: Info) -> dict[str, Any]:
    """1, 2, 5 of each decade in reach, with room beside the outermost points."""
    values = [p.x for line in info.lines for p in line.points]
    values += [info.limits[info.x] * AXES[info.x][2]] if info.x in info.limits else []
    values = [v for v in values if math.isfinite(v)]
    if not values or min(values) <= 0:
        return {}
    low, high = math.log10(min(values)), math.log10(max(values))
    pad = max((high - low) * 0.08, 0.06)
    low, high = low - pad, high + pad
    steps: tuple[int, ...] = (1, 2, 5) if high - low < 3 else (1,)
    steps = (1, 2, 3, 4, 5, 6, 8) if high - low < 1 else steps
    marks = [
        k * 10.0**d
        for d in range(math.floor(low) - 1, math.ceil(high) + 1)
        for k in (steps if high - low > 0.5 else range(1, 10))
    ]
    marks = [m for m in marks if low <= math.log10(m) <= high]
    if len(marks) < 2:  # a very narrow range
        marks = [10 ** (low + (high - low) * i / 4) for i in range(5)]
    return {
        "range": [low, high],
        "tickvals": marks,
        "ticktext": [plain(m) for m in marks],
    }


def plain(value: float) -> str:
    """A tick: ``5``, not ``5.00``."""
    said = significant(value)
    return said.rstrip("0").rstrip(".") if "." in said else said


def height(info: Info) -> list[float] | None:
    """The reach of y: all points; a noisy one's bar may leave it."""
    points = [p for line in info.lines for p in line.points if math.isfinite(p.y)]
    if not points:
        return None
    return [0, 1.12 * min(max(p.y_high for p in points), 1.5 * max(p.y for p in points))]
