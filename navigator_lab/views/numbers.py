"""Numbers as people read them: three significant digits, intervals, units that fit."""

from __future__ import annotations

import math

_THIN = "\u202f"  # narrow no-break space


def significant(value: float, digits: int = 3) -> str:
    """``2170.4`` -> ``2 170``; ``0.003621`` -> ``0.00362``."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ("–" if math.isnan(value) else "∞")
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return grouped(round(value, places), max(places, 0))


def grouped(value: float, places: int) -> str:
    """With a narrow space between thousands."""
    return f"{value:,.{places}f}".replace(",", _THIN)


def interval(value: float, low: float, high: float) -> str:
    """``2 170 ± 40``: one digit of uncertainty, the value rounded to it.

    Where the interval is as wide as the value, the digits of neither mean much: ``~3 000 (900 to
    7 000)``.
    """
    half = max(high - value, value - low)
    if not math.isfinite(half) or half <= 0 or not math.isfinite(value):
        return significant(value)
    if half >= abs(value) / 2:
        return f"~{significant(value, 1)} ({significant(low, 1)} to {significant(high, 1)})"
    places = -math.floor(math.log10(half))
    if round(half, places) >= 10 ** (1 - places):  # 0.96 rounds to 1.0: one digit less
        places -= 1
    shown = max(places, 0)
    return f"{grouped(round(value, places), shown)} ± {grouped(round(half, places), shown)}"


def ratio(value: float) -> str:
    """Two digits; very small ones only as such."""
    if value < 0.001:
        return "0" if value == 0 else "<0.001"
    return significant(value, 2)


def bytes_(value: float) -> str:
    """``308 MB``: decimal units, three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{significant(value)}{_THIN}{unit}"
        value /= 1000
    raise AssertionError


def seconds(value: float) -> str:
    """``43 s``, ``1 min 40 s``: rounded to 5 s above a minute."""
    if value < 60:
        return f"{max(value, 0):.0f}{_THIN}s"
    whole = int(5 * round(value / 5))
    return f"{whole // 60}{_THIN}min {whole % 60}{_THIN}s"
