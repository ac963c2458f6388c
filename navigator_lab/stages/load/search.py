"""Which load or setting is tried next: the highest rate within a limit, and a sweep of settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import RequestError
from ...types.served import LoadPoint
from .press import Press


def highest(
    press: Press, limit_ms: float, *, arrivals: str = "poisson", start: float | None = None,
    precision: float = 0.05, most: int = 12,
) -> tuple[list[LoadPoint], int | None]:  # fmt: skip
    """The highest rate whose p99 is within the limit: all that was tried, and which it is.

    Begins from what a closed loop can get through, doubles while the limit is kept, then halves the
    interval until it is within ``precision`` of itself.
    """
    if not limit_ms > 0:
        raise RequestError(f"a p99 limit of {limit_ms} ms can't be", "give a number above 0")
    points: list[LoadPoint] = []
    if start is None:
        able = press.closed(8)
        points.append(able)
        if able.ended or not able.rate.value > 0:
            return points, None
        start = able.rate.value * 0.7 / max(press.sequence, 1)
    good: tuple[float, int] | None = None
    bad: float | None = None
    rate = start
    while len(points) < most:
        point = press.open(rate, arrivals)
        points.append(point)
        if point.ended:
            break
        if point.within(limit_ms):
            good = (rate, len(points) - 1)
            if point.sender.limited:
                break  # beyond this it is the sender that would be measured
        else:
            bad = rate
        if bad is None:
            rate *= 2
        elif good is None:
            rate /= 2
            if rate < start / 256:
                break
        else:
            if bad / good[0] < 1 + precision:
                break
            rate = math.sqrt(good[0] * bad)
    return points, None if good is None else good[1]


SWEPT = ("max_batch_size", "max_queue_delay_us", "instance_count")


def sweep(
    measure: Callable[[Mapping[str, Any]], LoadPoint | None],
    space: Mapping[str, Sequence[Any]],
    start: Mapping[str, Any],
    *,
    limit_ms: float | None = None,
    most: int = 24,
) -> tuple[list[LoadPoint], int | None]:
    """Settings of the server, one at a time, from the best that is known: all tried, and the best.

    A queue delay as long as the limit is not tried: it can't keep it. ``measure`` gives None for a
    setting that the server refuses. The present setting is always measured, first.
    """
    for name in space:
        if name not in SWEPT:
            raise RequestError(f"{name!r} can't be swept", f"one of {', '.join(SWEPT)}")
    tried: dict[tuple[Any, ...], LoadPoint | None] = {}

    def key(setting: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(setting[name] for name in space)

    def look(setting: Mapping[str, Any]) -> LoadPoint | None:
        if key(setting) not in tried:
            point = measure(setting)
            tried[key(setting)] = point and replace(point, setting=dict(setting))
        return tried[key(setting)]

    best = {name: start[name] for name in space}
    known = look(best)
    better = True
    while better and len(tried) < most:
        better = False
        for setting in _neighbours(best, space, limit_ms):
            if len(tried) >= most:
                break
            if key(setting) in tried:
                continue
            point = look(setting)
            if point is not None and (known is None or _better(point, known, limit_ms)):
                best, known, better = dict(setting), point, True
    points = [point for point in tried.values() if point is not None]
    keeps = limit_ms is None or (known is not None and known.within(limit_ms))
    return points, points.index(known) if known is not None and keeps else None


def _neighbours(
    best: Mapping[str, Any], space: Mapping[str, Sequence[Any]], limit_ms: float | None
) -> Iterator[dict[str, Any]]:
    """Every other value of each setting, nearest first, the rest as it is."""
    for name, values in space.items():
        for value in sorted(values, key=lambda v: abs(v - best[name])):
            if value == best[name]:
                continue
            if name == "max_queue_delay_us" and limit_ms is not None and value / 1e3 >= limit_ms:
                continue
            yield {**best, name: value}


def _better(new: LoadPoint, old: LoadPoint, limit_ms: float | None) -> bool:
    """Within the limit before all else: then more answers, beyond what is noise; else less excess."""
    keeps = [not p.errors if limit_ms is None else p.within(limit_ms) for p in (new, old)]
    if keeps[0] != keeps[1]:
        return keeps[0]
    if keeps[0]:
        return new.rate.low > old.rate.high
    a, b = new.p99_ms, old.p99_ms
    return math.isfinite(a.value) and not a.value >= b.value
