"""What is written into the Pareto view: names where there is room, and limits."""

from __future__ import annotations

import math
from typing import Any

from ..theme import AXES, Theme, safe, short
from .data import Info, Point
from .scale import height, is_log, plain, ticks

_LABELS = 6  # more names than these on the plot hide it; the others are told when pointed at
_WIDTH, _HEIGHT = 760, 330  # of the plot in pixels, about: for telling whether names overlap
_LETTER = 6.4
# Where a name may stand beside its point, in pixels: left and up first.
_PLACES = ((-26, -20), (26, 20), (26, -20), (-26, 20), (26, 46), (-26, -46), (26, -46), (-26, 46))

Box = tuple[float, float, float, float]


def named(info: Info, hues: dict[str, str], look: Theme) -> list[dict[str, Any]]:
    """The front's targets and the baseline, each where it hides no other name, and the limits."""
    made: list[dict[str, Any]] = []
    taken: list[Box] = []
    named: set[int] = set()

    def label(point: Point, text: str, colour: str) -> None:
        for ax, ay in _PLACES:
            box = _box(info, point, text, ax, ay)
            if box is not None and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                made.append(_label(info, point, text, colour, look, ax, ay))
                return

    for index, batch in info.front:
        line = info.lines[index]
        if index in named or len(named) >= _LABELS:
            continue
        named.add(index)
        own = [p for p in line.points if p.front]
        point = own[-1] if len(own) > 1 else next(p for p in line.points if p.batch == batch)
        label(point, f"{short(line.target)}, batch {point.batch}", look.text)
    for index, line in enumerate(info.lines):
        if line.baseline and index not in named and line.points:
            label(line.points[-1], f"baseline {short(line.target)}", hues[line.family])
    return [*made, *_limits(info, look)]


def _label(
    info: Info, point: Point, text: str, colour: str, look: Theme, ax: int, ay: int
) -> dict[str, Any]:
    return {
        "x": math.log10(point.x) if is_log(info) else point.x, "y": point.y, "text": safe(text),
        "showarrow": True, "arrowhead": 0, "arrowwidth": 0.8, "arrowcolor": look.muted,
        "standoff": 7, "ax": ax, "ay": ay, "font": {"size": 11, "color": colour},
        "xanchor": "right" if ax < 0 else "left", "yanchor": "middle", "bgcolor": look.ground,
        "borderpad": 1,
    }  # fmt: skip


def _box(info: Info, point: Point, text: str, ax: int, ay: int) -> Box | None:
    """Where a name would be, in pixels; None where it would leave the plot."""
    reach, top = ticks(info).get("range"), height(info)
    if reach is None or top is None:
        x, y = _WIDTH / 2, _HEIGHT / 2
    else:
        x = _WIDTH * (math.log10(point.x) - reach[0]) / (reach[1] - reach[0])
        y = _HEIGHT * (1 - point.y / top[1])
    wide = _LETTER * len(text)
    left = x + ax - wide if ax < 0 else x + ax
    middle = y + ay
    if left < -20 or left + wide > _WIDTH + 10 or middle < 0 or middle > _HEIGHT - 4:
        return None
    return left, middle - 9, left + wide, middle + 9


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _limits(info: Info, look: Theme) -> list[dict[str, Any]]:
    made = []
    for name, bound in info.limits.items():
        if name == info.x:
            at = bound * AXES[name][2]
            if is_log(info) and at <= 0:
                continue
            made.append(
                {"x": math.log10(at) if is_log(info) else at, "y": 1.0, "yref": "paper",
                 "text": _bound(name, bound), "showarrow": False, "yanchor": "bottom",
                 "xanchor": "center", "font": {"size": 11, "color": look.text}}
            )  # fmt: skip
    others = [_bound(n, b) for n, b in info.limits.items() if n != info.x]
    if others:
        made.append(
            {"x": 1, "y": 1, "xref": "paper", "yref": "paper", "yanchor": "bottom",
             "xanchor": "right", "showarrow": False, "text": f"within {', '.join(others)}",
             "font": {"size": 11, "color": look.muted}}
        )  # fmt: skip
    return made


def _bound(name: str, bound: float) -> str:
    if name == "min_throughput":
        return f"throughput ≥ {plain(bound)} /s"
    words, unit, per = AXES[name]
    unit = "" if unit == "×" else unit.split(" ")[0]
    return f"{words.removeprefix('latency ')} ≤ {plain(bound * per)} {unit}".rstrip()


def nothing(info: Info, look: Theme) -> dict[str, Any]:
    """Why there is no front, in its place."""
    if not info.lines:
        text = "Nothing was measured yet. lab.run(until=&#39;profile&#39;) measures."
    elif any(line.fit for line in info.lines):
        text = "No target keeps these limits."
    else:
        text = "No target may be chosen: none was compared and passed."
    return {
        "x": 0.5, "y": 0.98, "yanchor": "top", "xref": "paper", "yref": "paper", "showarrow": False,
        "text": text, "bgcolor": look.ground, "borderpad": 4,
        "font": {"size": 13, "color": look.muted},
    }  # fmt: skip
