"""Whether a larger batch still answers each sample as a smaller one did.

`compare` holds a target to the reference alone and at one larger batch; a runtime can be right there
and wrong at the next size (a kernel of another tile, a buffer that was sized too small). What is
timed is looked at here, each batch against the one before, with the target as its own witness: the
limits are wide, and only a row that is another answer altogether is refused. Where a row is a few
integers, the rows of a batch are judged together: rounding turns one label over where two classes
are nearly equal, not most of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..types.measure import Tolerance
from ..types.signature import Signature
from .calls import checked, output_axis

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

WIDE = 10.0  # times the tolerance: rounding differs from batch to batch, answers don't
SHARE = 0.5  # of a row's elements beyond that
FEW = 8  # integers, of which nothing can be said


class Rows:
    """Remembers the answers of the last batch. ``distinct``: samples, before they repeat."""

    def __init__(self, signature: Signature, limit: Tolerance, distinct: int) -> None:
        self.signature, self.limit, self.distinct = signature, limit, max(1, distinct)
        self.last: Arrays = {}

    def differ(self, outputs: Arrays) -> str:
        """Which rows of this batch are another answer than the same samples had; "" if none are."""
        import numpy as np

        arrays, _ = checked(outputs, [spec.name for spec in self.signature.outputs])
        if self.signature.stateful:
            return ""
        for name, array in arrays.items():
            axis = output_axis(self.signature, name)
            if axis is None or array.dtype.kind not in "fciub":
                continue
            rows = np.moveaxis(array, axis, 0)
            known = self.last.get(name, rows[:0])
            if known.shape[1:] != rows.shape[1:]:
                known = rows[:0]  # its other sizes come from the data
            if why := self._which(rows, known):
                return f"{name}: {why}"
        self.last = {name: np.array(array) for name, array in self._led(arrays).items()}
        return ""

    def _which(self, rows: np.ndarray, known: np.ndarray) -> str:
        import numpy as np

        size = len(rows)
        firsts = [i % self.distinct for i in range(size)]
        pairs = [
            (i, rows[i], known[i] if i < len(known) else rows[firsts[i]])
            for i in range(size)
            if i < len(known) or firsts[i] < i
        ]
        if rows.dtype.kind in "iub" and math.prod(rows.shape[1:]) < FEW:
            now = np.stack([row for _, row, _ in pairs]) if pairs else rows[:0]
            before = np.stack([row for _, _, row in pairs]) if pairs else rows[:0]
            if now.size >= FEW and self._other(now, before, 0.0):
                return f"most of a batch of {size} is not what the same samples gave before"
            return ""
        scale = _scale(rows, known)
        for i, row, before in pairs:
            if self._other(row, before, scale):
                where = "in a smaller batch" if i < len(known) else f"as row {firsts[i]}"
                return f"row {i} of a batch of {size} is not what the same sample gave {where}"
        return ""

    def _led(self, arrays: Arrays) -> Arrays:
        import numpy as np

        axes = {name: output_axis(self.signature, name) for name in arrays}
        return {n: np.moveaxis(a, axes[n], 0) for n, a in arrays.items() if axes[n] is not None}

    def _other(self, row: np.ndarray, before: np.ndarray, scale: float) -> bool:
        import numpy as np

        if not row.size:
            return False
        if row.dtype.kind not in "fc":
            return bool(np.mean(row != before) > SHARE)
        wide = np.complex128 if row.dtype.kind == "c" else np.float64
        a, b = row.astype(wide), before.astype(wide)
        with np.errstate(all="ignore"):
            base = self.limit.absolute + self.limit.spread * scale
            allowed = WIDE * (base + self.limit.relative * np.abs(b))
            off = ~((np.abs(a - b) <= allowed) | (a == b) | (np.isnan(a) & np.isnan(b)))
        return bool(np.mean(off) > SHARE)


def _scale(*arrays: np.ndarray) -> float:
    """How large an output is, over all rows: a row of one number near zero says nothing of it."""
    import numpy as np

    sizes = [np.abs(one[np.isfinite(one)]) for one in arrays if one.dtype.kind in "fc"]
    return max(
        (float(np.sqrt(np.mean(np.square(s, dtype=np.float64)))) for s in sizes if s.size),
        default=0.0,
    )
