"""What a row of latencies says, with its uncertainty. Arrays in, numbers out.

Calls that follow each other are not independent (clocks, caches, neighbours come and go), so every
interval counts them as fewer: by the integrated autocorrelation time of what is estimated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..types.measure import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

Z = 1.959964  # of a 95 % interval


def autocorrelation_time(series: np.ndarray) -> float:
    """How many calls in a row are worth one independent call (1 at least).

    Geyer's initial positive sequence: sums of neighbouring pairs of autocorrelations, as long as
    they are positive.
    """
    import numpy as np

    n = len(series)
    centred = np.asarray(series, dtype=np.float64)
    centred = centred - centred.mean()
    if n < 4 or not centred.any():
        return 1.0
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    rho = np.fft.irfft(spectrum * spectrum.conj(), size)[:n]
    rho = rho / rho[0]
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    return float(min(max(1.0, 2 * pairs[:stop].sum() - 1), n))


def quantile(values: Sequence[float] | np.ndarray, q: float) -> Interval:
    """A quantile with its 95 % interval between order statistics, which asks for no distribution.

    Where too few calls were made to bound it (see `bounded`), the interval ends at the extreme
    that was seen.
    """
    import numpy as np

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    low, high = _ranks(values, q)
    last = len(ordered) - 1
    return Interval(
        float(np.quantile(ordered, q)),
        float(ordered[max(0, math.floor(low))]),
        float(ordered[min(last, math.ceil(high))]),
    )


def bounded(values: Sequence[float] | np.ndarray, q: float) -> bool:
    """Whether there are calls enough to bound this quantile on both sides."""
    low, high = _ranks(values, q)
    return low >= 0 and high <= len(values) - 1


def _ranks(values: Sequence[float] | np.ndarray, q: float) -> tuple[float, float]:
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    below = (array <= np.quantile(array, q)).astype(np.float64)
    half = Z * math.sqrt(n * q * (1 - q) * autocorrelation_time(below))
    return n * q - half - 0.5, n * q + half - 0.5


def mean(values: Sequence[float] | np.ndarray) -> Interval:
    """The mean with its 95 % interval."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    middle = float(array.mean())
    if len(array) < 2:
        return Interval(middle, middle, middle)
    error = float(array.std(ddof=1)) * math.sqrt(autocorrelation_time(array) / len(array))
    return Interval(middle, middle - Z * error, middle + Z * error)


def width(interval: Interval) -> float:
    """Half of an interval's length, as a share of the value."""
    return (interval.high - interval.low) / 2 / interval.value if interval.value else 0.0


def throughput(latencies_ns: Sequence[float] | np.ndarray, batch: int) -> Interval:
    """Samples a second of calls made one after the other: by their mean, so slow calls count."""
    took = mean(latencies_ns)
    low = max(took.low, took.value / 100)  # an interval that reaches zero would be no number
    return Interval(batch * 1e9 / took.value, batch * 1e9 / took.high, batch * 1e9 / low)


def settled(latencies: Sequence[float], window: int, tolerance: float = 0.03) -> bool:
    """Whether warm-up is over: the last two windows' medians no longer fall below the one before.

    Three windows are needed, so that one lucky call ends nothing.
    """
    import numpy as np

    if len(latencies) < 3 * window:
        return False
    tail = np.asarray(latencies[-3 * window :], dtype=np.float64).reshape(3, window)
    first, second, third = np.median(tail, axis=1)
    return bool(second >= first * (1 - tolerance) and third >= second * (1 - tolerance))


def noise(latencies: np.ndarray, rounds: Sequence[int]) -> float | None:
    """A/A: how far the medians of two interleaved halves of one measurement are apart.

    Halves are rounds in turn, or blocks of calls where there are too few rounds.
    """
    import numpy as np

    n = len(latencies)
    if n < 8:
        return None
    counts = list(rounds)
    if len(counts) < 4 or sum(counts) != n:
        counts = [len(part) for part in np.array_split(np.arange(n), 4)]
    side = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool)
    a, b = float(np.median(latencies[~side])), float(np.median(latencies[side]))
    return abs(a - b) / min(a, b) if min(a, b) > 0 else None
