"""Running sums over pairs of answers: what `compare` knows of one output, chunk by chunk.

Nothing of files, cases or products is known here, only arrays; all in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Point = tuple[float, float]
Place = tuple[int, ...]
Locate = Callable[[int], Place]

# Half a decade a bin: fine enough for a share that is only estimated, small enough to store.
EDGES = tuple(-12 + i / 2 for i in range(37))
_BINS = len(EDGES) - 1


@dataclass
class Hull:
    """The rising part of the upper convex hull of points (|ref|, |Δ|), with each vertex' place.

    Over any ``|Δ| <= a + r|ref|`` with a, r >= 0 the worst element is one of its vertices: the
    ratio of a linear to a positive linear function has its maximum over a convex set at a vertex,
    and a point with a greater |ref| and no greater |Δ| is never the worse one.
    """

    points: list[Point] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def add(self, x: np.ndarray, y: np.ndarray, at: np.ndarray, locate: Locate) -> None:
        """Take in points; ``locate`` makes a place of a value of ``at``, and is asked of few."""
        import numpy as np

        if self.points:
            # What lies clearly under the hull so far can't change it: nearly everything.
            hx, hy = (np.array(v) for v in zip(*self.points, strict=True))
            over = y > np.interp(x, hx, hy, left=-1.0) * (1 - 1e-12)
            if not over.any():
                return
            x, y, at = x[over], y[over], at[over]
        xs = np.concatenate([[p[0] for p in self.points], x])
        ys = np.concatenate([[p[1] for p in self.points], y])
        order = np.lexsort((-ys, xs))
        xs, ys = xs[order], ys[order]
        rising = np.concatenate([[True], ys[1:] > np.maximum.accumulate(ys)[:-1]])
        xs, ys, order = xs[rising], ys[rising], order[rising]
        # Scaled to one, so that cross products of huge or tiny values neither overflow nor vanish.
        sx, sy = float(xs[-1]) or 1.0, float(ys[-1]) or 1.0
        kept: list[int] = []
        for i in range(len(xs)):
            while len(kept) > 1:
                o, p = kept[-2], kept[-1]
                ox, oy = xs[o] / sx, ys[o] / sy
                if (xs[p] / sx - ox) * (ys[i] / sy - oy) < (ys[p] / sy - oy) * (xs[i] / sx - ox):
                    break
                kept.pop()
            kept.append(i)
        old = len(self.points)
        self.places = [
            self.places[order[i]] if order[i] < old else locate(int(at[order[i] - old]))
            for i in kept
        ]
        self.points = [(float(xs[i]), float(ys[i])) for i in kept]


@dataclass
class Extreme:
    """The largest value so far, and what was there."""

    error: float = -1.0
    got: float = 0.0
    reference: float = 0.0
    place: Place = ()

    def add(
        self,
        error: np.ndarray,
        got: np.ndarray,
        reference: np.ndarray,
        at: np.ndarray,
        locate: Locate,
    ) -> None:
        if error.size:
            i = int(error.argmax())
            if error[i] > self.error:
                self.error, self.place = float(error[i]), locate(int(at[i]))
                self.got, self.reference = float(got[i]), float(reference[i])


@dataclass
class Elements:
    """Everything that is summed over the finite elements of one output."""

    count: int = 0
    mean: float = 0.0  # of the reference, and the sum of squares about it
    squares: float = 0.0
    error_sum: float = 0.0
    dot: float = 0.0
    got_square: float = 0.0
    reference_square: float = 0.0
    hull: Hull = field(default_factory=Hull)
    absolute: Extreme = field(default_factory=Extreme)
    relative: Extreme = field(default_factory=Extreme)
    histogram: np.ndarray | None = None

    def add(
        self,
        got: np.ndarray,
        reference: np.ndarray,
        at: np.ndarray,
        locate: Locate,
        delta: np.ndarray | None = None,
    ) -> None:
        """Flat float64 arrays, all finite. ``delta`` is given where got - reference isn't it.

        ``at`` are positions in the output, of which ``locate`` makes a place.
        """
        import numpy as np

        n = reference.size
        if not n:
            return
        signed = got - reference if delta is None else delta
        error, size = np.abs(signed), np.abs(reference)
        with np.errstate(all="ignore"):
            mean = float(reference.mean())
            squares = float(((reference - mean) ** 2).sum())
            shift = mean - self.mean
            total = self.count + n
            self.squares += squares + shift * shift * self.count * n / total
            self.mean += shift * n / total
            self.count = total
            self.error_sum += float(signed.sum())
            self.dot += float(got @ reference)
            self.got_square += float(got @ got)
            self.reference_square += float(reference @ reference)
            self.absolute.add(error, got, reference, at, locate)
            # Of a zero no error is relative; -1 keeps it out without copying what stays.
            ratio = np.divide(error, size, out=np.full_like(error, -1.0), where=size > 0)
        self.relative.add(ratio, got, reference, at, locate)
        self.hull.add(size, error, at, locate)
        cells = np.bincount(bins(error) * _BINS + bins(size), minlength=_BINS * _BINS)
        self.histogram = cells if self.histogram is None else self.histogram + cells

    @property
    def std(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else 0.0

    @property
    def bias(self) -> float:
        return self.error_sum / self.count if self.count else 0.0

    @property
    def cosine(self) -> float:
        """1 if both are zero everywhere, 0 if one is."""
        a, b = math.sqrt(self.got_square), math.sqrt(self.reference_square)
        if not a or not b:
            return 1.0 if a == b else 0.0
        return max(-1.0, min(1.0, self.dot / a / b))

    def table(self) -> tuple[tuple[tuple[int, ...], ...], tuple[float, ...]]:
        """The histogram and its edges, cut down to the bins that are in use, and one below them
        for what is zero or smaller than all."""
        import numpy as np

        if self.histogram is None:
            return (), ()
        whole = self.histogram.reshape(_BINS, _BINS)
        used = np.flatnonzero(whole.any(axis=0) | whole.any(axis=1))
        used = used[used > 0]
        low, high = (int(used[0]) - 1, int(used[-1])) if used.size else (0, 0)
        kept = whole[low : high + 1, low : high + 1].copy()
        if low:  # between the zeros and what is in use all bins are empty
            kept[0, 0] = whole[0, 0]
            kept[0, 1:], kept[1:, 0] = whole[0, low + 1 : high + 1], whole[low + 1 : high + 1, 0]
        return tuple(map(tuple, kept.tolist())), EDGES[low : high + 2]


def bins(values: np.ndarray) -> np.ndarray:
    """The bin of each value by its logarithm; zeros are in the first."""
    import numpy as np

    with np.errstate(divide="ignore"):
        logs = np.log10(values)
    scaled = np.clip(np.floor((logs - EDGES[0]) * 2), 0, _BINS - 1)
    return scaled.astype(np.int64)


@dataclass
class Motion:
    """How far samples move an output, and how much of that motion a candidate keeps.

    Welford's running mean and squares over samples, elementwise: of the reference and of the
    error. A constant shift is no part of the error here, the elementwise rule sees it.
    """

    seen: int = 0
    mean: np.ndarray | None = None
    error_mean: np.ndarray | None = None
    signal: float = 0.0
    noise: float = 0.0
    square: float = 0.0

    def add(self, got: np.ndarray, reference: np.ndarray) -> None:
        """One sample's answers, flat; what is finite in only one of them counts as zero in both."""
        import numpy as np

        fine = np.isfinite(got) & np.isfinite(reference)
        value = np.where(fine, reference, 0.0)
        error = np.where(fine, got, 0.0) - value
        self.seen += 1
        with np.errstate(all="ignore"):
            self.square += float(value @ value)
            if self.mean is None or self.error_mean is None:
                self.mean, self.error_mean = value, error
                return
            step, error_step = value - self.mean, error - self.error_mean
            self.mean += step / self.seen
            self.error_mean += error_step / self.seen
            self.signal += float(step @ (value - self.mean))
            self.noise += float(error_step @ (error - self.error_mean))
