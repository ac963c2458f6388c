"""How far a candidate's answers are from the reference's. No tolerance in here.

What is stored (extremes, hull, histogram) lets any tolerance be judged later without the answers:
see `navigator_lab.stages.judge`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..types.measure import Accuracy, OutputAccuracy, Outputs, Worst
from ..types.outcome import Product
from ..types.plugin import At, action
from ..types.signature import Signature
from .calls import output_axis
from .elements import Elements, Extreme, Locate, Motion
from .infer import FILENAME

if TYPE_CHECKING:
    import numpy as np

CHUNK = 1 << 20  # elements compared at once: about 100 MB of float64 temporaries

# A part that depends on the input but is smaller than this share of the output is the rounding of
# float32 sums, not a signal.
STILL = 1e-6
# Below this share it is a signal, but one that the output hides.
FAINT = 1e-2
MOST_CLASSES = 1_000_000

Load = Callable[[int, str], "np.ndarray"]


@action("compare")
def compare(at: At, candidate: Product, reference: Product, samples: Product) -> Accuracy:
    """Compare a target's answers with the reference's, element by element."""
    import numpy as np

    signature = samples.read(Signature)
    got, wanted = candidate.read(Outputs), reference.read(Outputs)
    if got.cases != wanted.cases:
        raise ValueError(
            f"the candidate answered {len(got.cases)} cases and the reference "
            f"{len(wanted.cases)} others; run both with the same samples and batch"
        )
    made = []
    with (
        np.load(candidate.path / FILENAME, allow_pickle=False) as ours,
        np.load(reference.path / FILENAME, allow_pickle=False) as theirs,
    ):
        for i, name in enumerate(wanted.names):
            at.say(f"{name}", i / len(wanted.names))
            if name not in got.names:
                made.append(_missing(name, wanted))
                continue
            made.append(
                _output(
                    name,
                    got,
                    wanted,
                    lambda case, name: ours[f"{case}/{name}"],
                    lambda case, name: theirs[f"{case}/{name}"],
                    output_axis(signature, name),
                )
            )
    return Accuracy(tuple(made), tuple(_warnings(signature, got, wanted, made)))


def _missing(name: str, wanted: Outputs) -> OutputAccuracy:
    dtype = wanted.dtypes.get(name, "")
    return OutputAccuracy(name, "", dtype, 0, 0, problem="the candidate has no such output")


def _output(
    name: str, got: Outputs, wanted: Outputs, ours: Load, theirs: Load, axis: int | None
) -> OutputAccuracy:
    sums = Elements()
    motions: dict[tuple[int, ...], Motion] = {}
    problems: list[str] = []
    elements = exact = agree = rows = 0
    dtype = reference_dtype = ""
    discrete = False
    logits = True
    for index, case in enumerate(wanted.cases):
        a, b = ours(index, name), theirs(index, name)
        if not index:
            dtype = got.dtypes.get(name, a.dtype.name)
            reference_dtype = wanted.dtypes.get(name, b.dtype.name)
            discrete = b.dtype.kind not in "fcV"
            if dtype != reference_dtype and not (a.dtype.kind == b.dtype.kind == "U"):
                problems.append(f"{dtype} where {reference_dtype} was wanted")
        elements += b.size * (2 if b.dtype.kind == "c" else 1)
        if a.shape != b.shape:
            said = f"shape {a.shape} where {b.shape} was wanted, at case {index}"
            problems.append(f"{said} (batch {case.batch})")
            logits = False
            continue
        if (a.dtype.kind == "U") != (b.dtype.kind == "U"):
            a, b = a.astype(str), b.astype(str)
        elif a.dtype.kind == "c" != b.dtype.kind:
            a = a.real
        exact += _add(sums, problems, a, b, _places(b.shape, axis, case.indices, index))
        if case.batch == 1 and not discrete and b.size:
            motion = motions.setdefault(b.shape, Motion())
            motion.add(_flat(a), _flat(b))
        logits = logits and not discrete and _like_logits(b, axis, case.batch)
        if logits and case.batch == 1:
            agree += _same_class(a, b)
            rows += b.shape[0]
    signal = sum(m.signal for m in motions.values())
    noise = sum(m.noise for m in motions.values())
    square = sum(m.square for m in motions.values() if m.seen > 1)
    own = None if discrete or not signal else _own_noise(wanted, theirs, name, axis)
    share = math.sqrt(signal / square) if square > 0 and signal >= 0 else None
    if any(m.seen > 1 for m in motions.values()) and share is None:
        share = 0.0
    moved = share is not None and share > STILL
    if discrete:
        moved = _varies(wanted, theirs, name)
    histogram, edges = sums.table()
    return OutputAccuracy(
        name=name,
        dtype=dtype,
        reference_dtype=reference_dtype,
        elements=elements,
        exact=exact,
        problem="; ".join(_few(problems)),
        absolute=_worst(sums.absolute),
        relative=_worst(sums.relative),
        hull=tuple(sums.hull.points),
        hull_at=tuple(sums.hull.places),
        histogram=histogram,
        edges=edges,
        reference_std=sums.std,
        bias=sums.bias,
        cosine=sums.cosine,
        sqnr_db=_decibels(signal, noise) if moved and not discrete else None,
        reference_sqnr_db=None if own is None else _decibels(signal, own),
        top1_agreement=agree / rows if logits and rows else None,
        moved=moved,
        moved_share=share,
        discrete=discrete,
    )


def _add(sums: Elements, problems: list[str], a: np.ndarray, b: np.ndarray, locate: Locate) -> int:
    """Take in one case; returns how many elements are equal."""
    import numpy as np

    exact = 0
    for start, x, y in _chunks(a, b):
        at = np.arange(start, start + len(x))
        same = x == y
        if x.dtype.kind in "USb" or y.dtype.kind in "USb":
            # Text and truth have no distance: 0 where equal, 1 where not.
            number = np.zeros(len(x)) if y.dtype.kind in "US" else y.astype(np.float64)
            delta = np.where(same, 0.0, 1.0)
            sums.add(number + delta, number, at, locate, delta)
            exact += int(same.sum())
            continue
        p, q = x.astype(np.float64), y.astype(np.float64)
        if y.dtype.kind in "iu" and x.dtype.kind in "iu":
            # Beyond 2**53 unequal integers can be one float64: they stay unequal.
            delta = np.where(same, 0.0, p - q)
            delta = np.where(~same & (delta == 0), 1.0, delta)
            sums.add(p, q, at, locate, delta)
            exact += int(same.sum())
            continue
        fine = np.isfinite(p) & np.isfinite(q)
        if not fine.all():
            same |= np.isnan(p) & np.isnan(q)
            odd = ~fine & ~same
            if odd.any():
                first = int(odd.argmax())
                case, sample, *index = locate(int(at[first]))
                problems.append(
                    f"{_said(p[first])} where the reference has {_said(q[first])} "
                    f"(sample {sample}, index {tuple(index)}; "
                    f"{int(odd.sum())} of {len(x)} elements of case {case})"
                )
            p, q, at = p[fine], q[fine], at[fine]
        exact += int(same.sum())
        sums.add(p, q, at, locate)
    return exact


def _chunks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    if b.dtype.kind == "c":
        # Both parts are compared as if they were two elements; the index is that of the number.
        yield from _chunks_of(a.real, b.real)
        yield from _chunks_of(a.imag, b.imag)
    else:
        yield from _chunks_of(a, b)


def _chunks_of(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    x, y = a.reshape(-1), b.reshape(-1)
    for start in range(0, len(y), CHUNK):
        yield start, x[start : start + CHUNK], y[start : start + CHUNK]


def _flat(array: np.ndarray) -> np.ndarray:
    import numpy as np

    if array.dtype.kind == "c":
        return np.concatenate([_flat(array.real), _flat(array.imag)])
    return array.reshape(-1).astype(np.float64)


def _places(
    shape: tuple[int, ...], axis: int | None, indices: tuple[int, ...], case: int
) -> Locate:
    """Of a position in an output: its case, its sample (-1 if that can't be told) and index."""
    import numpy as np

    told = axis is not None and axis < len(shape) and shape[axis] == len(indices)

    def locate(position: int) -> tuple[int, ...]:
        index = tuple(int(i) for i in np.unravel_index(position, shape)) if shape else ()
        if len(indices) == 1:
            return case, indices[0], *index
        return case, indices[index[axis]] if told and axis is not None else -1, *index

    return locate


def _like_logits(b: np.ndarray, axis: int | None, batch: int) -> bool:
    """A score for each class: floats, (batch, classes), two classes or more."""
    return (
        b.dtype.kind == "f"
        and b.ndim == 2
        and axis == 0
        and b.shape[0] == batch
        and 2 <= b.shape[1] <= MOST_CLASSES
    )


def _same_class(a: np.ndarray, b: np.ndarray) -> int:
    """Rows in which the candidate's best class is (one of) the reference's best."""
    import numpy as np

    if np.isnan(a).any() or np.isnan(b).any():
        return 0
    chosen = np.take_along_axis(b, a.argmax(axis=1)[:, None], axis=1)[:, 0]
    return int((chosen == b.max(axis=1)).sum())


def _varies(wanted: Outputs, theirs: Load, name: str) -> bool:
    import numpy as np

    alone = [i for i, case in enumerate(wanted.cases) if case.batch == 1]
    first = theirs(alone[0], name)
    return any(not np.array_equal(first, theirs(i, name)) for i in alone[1:])


def _own_noise(wanted: Outputs, theirs: Load, name: str, axis: int | None) -> float | None:
    """How far the reference's answers in a batch are from its own alone, summed like the noise of a
    candidate; None if that can't be told."""
    import numpy as np

    if axis is None:
        return None
    alone = {case.indices[0]: i for i, case in enumerate(wanted.cases) if case.batch == 1}
    noise, rows = 0.0, 0
    for index, case in enumerate(wanted.cases):
        if case.batch == 1:
            continue
        batch = theirs(index, name)
        if axis >= batch.ndim or batch.shape[axis] != case.batch:
            return None
        for row, sample in enumerate(case.indices):
            one = theirs(alone[sample], name)
            other = np.take(batch, [row], axis=axis)
            if one.shape != other.shape:
                return None
            a, b = _flat(one), _flat(other)
            fine = np.isfinite(a) & np.isfinite(b)
            error = a[fine] - b[fine]
            noise, rows = noise + float(error @ error), rows + 1
    return noise * len(alone) / rows if rows else None


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def _worst(extreme: Extreme) -> Worst | None:
    if extreme.error < 0:
        return None
    case, sample, *index = extreme.place
    return Worst(extreme.error, extreme.got, extreme.reference, case, sample, tuple(index))


def _said(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Inf" if number > 0 else "-Inf"
    return f"{number:.4g}"


def _few(problems: list[str]) -> list[str]:
    return problems if len(problems) <= 3 else [*problems[:3], f"and {len(problems) - 3} more"]


def _warnings(
    signature: Signature, got: Outputs, wanted: Outputs, made: list[OutputAccuracy]
) -> Iterator[str]:
    alone = sum(case.batch == 1 for case in wanted.cases)
    if wanted.stateful or signature.stateful:
        yield (
            "the source gives another answer when the same call is made twice: it keeps state or "
            "draws random numbers, so differences may be its own"
        )
    if alone < 2:
        yield "there is only one sample: whether the answer depends on the input is not proven"
    else:
        still = [o.name for o in made if not o.moved and o.elements and not o.problem]
        if still:
            yield (
                f"the samples don't move {', '.join(still)}: nothing is proven by them; "
                "give samples that differ, and a model with trained weights"
            )
        for o in made:
            if o.moved and o.moved_share is not None and o.moved_share < FAINT:
                yield (
                    f"the samples move {o.name} by only {o.moved_share:.2%} of its size, as random "
                    "weights or random inputs do: a small error hides what the input says"
                )
    if not any(o.elements for o in made):
        yield "every output is empty: nothing was compared"
    if got.stateful and not wanted.stateful:
        yield from got.notes
    extra = [name for name in got.names if name not in wanted.names]
    if extra:
        yield f"the candidate has outputs that the source lacks: {', '.join(extra)}"
