"""Accuracy under a tolerance. Pure Python over what `compare` stored: no answers, no numpy.

The rule is ``|Δ| <= absolute + relative * |ref| + spread * σ`` for every element, σ being the
standard deviation of the reference's output, and beside it two that look at all elements at once:
the part of the output that depends on the input keeps ``sqnr_db``, and the mean error stays under
``bias * σ``. Ints, bools and text must be equal, unless a tolerance is given under their own name.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from ..errors import unknown
from ..types.measure import Accuracy, OutputAccuracy, Tolerance, Verdict
from ..types.target import Precision

# What is asked of each precision if the user says nothing. Three reasons run through the numbers:
# * `spread` carries the rule, because an error grows with the sums that an output is made of and
#   not with the element itself, which may be zero. `relative` serves outputs of many magnitudes;
#   `absolute` is only the rounding of values near zero, such as a softmax's.
# * Elementwise limits must leave room for the worst of a million elements (about five times the
#   rms), so alone they would let noise pass. `sqnr_db` bounds the rms of what depends on the input;
#   the floors are far below what trained networks keep, and only catch a signal that is (nearly)
#   lost. With random weights, which hide the signal, DenseNet-121 keeps 40 dB in fp16, 22 in bf16.
# * `bias` bounds the mean: a shift is wrong long before it reaches the worst element's limit.
DEFAULTS: dict[Precision, Tolerance] = {
    # Another order of summation: 1e-6 to 1e-5 of σ in deep networks, Winograd kernels up to 1e-4,
    # and 1e-3 where a network amplifies it (a logarithm, a softmax that is undecided).
    # The signal is what tells: two fp32 runtimes keep 85 to 135 dB of it, random DenseNets included.
    # Of others tf32 keeps 46 to 66, bf16 22 to 47, fp16 39 to 66, and at most 74 where nothing but
    # one rounding to 11 bits was done: 2**-11 at worst is 2e-4 rms. So a runtime that silently
    # computes in any of them is below this floor. What amplifies rounding lowers it: see `_floor`.
    Precision.FP32: Tolerance(1e-3, 1e-6, spread=1e-3, sqnr_db=80, bias=2e-4),
    # 10 bits of mantissa in the products, sums in fp32: 46 to 66 dB on an H100.
    Precision.TF32: Tolerance(1e-2, 1e-4, spread=2e-2, sqnr_db=20, bias=5e-3),
    # The same 10 bits, in weights and every activation too.
    Precision.FP16: Tolerance(1e-2, 1e-4, spread=2e-2, sqnr_db=20, bias=5e-3),
    # 7 bits: eight times as coarse.
    Precision.BF16: Tolerance(4e-2, 1e-3, spread=2e-1, sqnr_db=12, bias=3e-2),
    # 256 levels between the extremes of a tensor: 20 to 35 dB when calibrated well. Below 10 dB
    # the error is a third of the signal, and what is left no longer ranks classes.
    Precision.INT8: Tolerance(1e-1, 1e-3, spread=7.5e-1, sqnr_db=10, bias=1e-1),
    Precision.INT8_DYNAMIC: Tolerance(1e-1, 1e-3, spread=7.5e-1, sqnr_db=10, bias=1e-1),
    # 3 bits of mantissa, but a range: about as good as int8 without calibration.
    Precision.FP8: Tolerance(1e-1, 1e-3, spread=7.5e-1, sqnr_db=10, bias=1e-1),
    # Activations are exact; 4 bits in blocks still leave an error of a tenth of each weight.
    Precision.INT8_WEIGHTS: Tolerance(5e-2, 1e-3, spread=2e-1, sqnr_db=15, bias=3e-2),
    Precision.INT4_WEIGHTS: Tolerance(1e-1, 1e-3, spread=7.5e-1, sqnr_db=10, bias=1e-1),
}


def judge(
    accuracy: Accuracy,
    tolerance: Tolerance | Mapping[str, Tolerance],
    default: Tolerance = DEFAULTS[Precision.FP32],
) -> Verdict:
    """Does every output keep within its tolerance?

    ``tolerance`` is one for all outputs, or a dict by output name, in which ``""`` stands for the
    outputs that it doesn't name; without it those are held to ``default``.

    Raises:
        RequestError: a name in ``tolerance`` that is no output.
    """
    named: Mapping[str, Tolerance] = {}
    if isinstance(tolerance, Tolerance):
        default = tolerance
    else:
        names = [one.name for one in accuracy.outputs]
        for name in tolerance:
            if name and name not in names:
                raise unknown("output", name, names)
        named = tolerance
        default = tolerance.get("", default)
    ratios: dict[str, float] = {}
    shares: dict[str, float] = {}
    wrong: list[tuple[float, str]] = []
    fine: list[tuple[float, str]] = []
    for one in accuracy.outputs:
        limit = held_to(one, named, default)
        ratio, at = worst_ratio(one, limit, exactly=one.discrete and one.name not in named)
        ratios[one.name] = math.inf if one.problem else ratio
        shares[one.name] = pass_share(one, limit, ratio, one.name in named)
        said = _why_not(one, limit, ratio, at, shares[one.name], one.name in named)
        if said:
            wrong.append((ratios[one.name], said))
        else:
            fine.append((ratio, _why(one, ratio)))
    if wrong:
        wrong.sort(key=lambda pair: -pair[0])
        more = f" (and {len(wrong) - 3} more outputs)" if len(wrong) > 3 else ""
        return Verdict(False, "; ".join(s for _, s in wrong[:3]) + more, ratios, shares)
    if not fine:
        return Verdict(False, "there are no outputs: nothing was compared", ratios, shares)
    said = max(fine)[1]
    unproven = [o.name for o in accuracy.outputs if not o.moved]
    if unproven:
        said += f"; the samples are not seen to move {', '.join(unproven)}: little is proven there"
    return Verdict(True, said, ratios, shares)


def held_to(one: OutputAccuracy, named: Mapping[str, Tolerance], default: Tolerance) -> Tolerance:
    """What an output is judged by: its own tolerance, or the default as it is meant for it."""
    limit = named.get(one.name) or _coarser(default, one.reference_dtype)
    return replace(limit, sqnr_db=_floor(one, limit))


# An output that is itself 16 bits wide is rounded to them, whatever it was computed in.
_WIDTH = {"float16": DEFAULTS[Precision.FP16], "bfloat16": DEFAULTS[Precision.BF16]}


def _coarser(default: Tolerance, dtype: str) -> Tolerance:
    """Of two defaults of ours, the looser; a tolerance that the user gave stays as it is."""
    own = _WIDTH.get(dtype)
    if own is None or default not in DEFAULTS.values():
        return default
    return max(default, own, key=lambda one: one.relative)


def worst_ratio(
    one: OutputAccuracy, limit: Tolerance, *, exactly: bool = False
) -> tuple[float, int]:
    """The worst error as a multiple of what is allowed, and which vertex of the hull it is at.

    Exact over all elements. ``inf`` where nothing is allowed and something is wrong.
    """
    if exactly:
        return (0.0 if one.exact == one.elements else math.inf), len(one.hull) - 1
    base = limit.absolute + limit.spread * one.reference_std if limit.spread else limit.absolute
    worst, at = 0.0, -1
    for i, (size, error) in enumerate(one.hull):
        allowed = base + limit.relative * size
        ratio = error / allowed if allowed else (math.inf if error else 0.0)
        if not ratio <= worst:  # so that NaN is the worst of all
            worst, at = ratio, i
    return worst, at


def pass_share(
    one: OutputAccuracy, limit: Tolerance, ratio: float | None = None, by_name: bool = True
) -> float:
    """The share of elements within the tolerance: exactly 1 if all are, else an estimate.

    The estimate reads the histogram: a bin of |ref| counts as its geometric middle, and a bin of
    |Δ| that the limit cuts counts in proportion, on the logarithmic scale.
    """
    exactly = one.discrete and not by_name
    if ratio is None:
        ratio, _ = worst_ratio(one, limit, exactly=exactly)
    if one.elements == 0 or (ratio <= 1 and not one.problem):
        return 1.0
    if exactly or not one.histogram:
        return one.exact / one.elements
    base = limit.absolute + limit.spread * one.reference_std
    start, step, middles = _middles(one.edges)
    # By column of |ref|, the limit as a position among the edges of |Δ|: 3.25 is a quarter into
    # the fourth bin. It grows with |ref|, so that a row is cut into what fails and what passes.
    cuts = [
        (math.log10(allowed) - start) / step if allowed > 0 else -1.0
        for allowed in [base + limit.relative * middle for middle in middles]
    ]
    low, high = cuts[0], cuts[-1]
    passing = 0.0
    for i, row in enumerate(one.histogram):
        if i >= high:
            break
        if not any(row):
            continue
        if i + 1 <= low:
            passing += sum(row)
            continue
        whole = bisect_left(cuts, i + 1)
        passing += sum(row[whole:])
        cut = bisect_left(cuts, i)
        if cut < whole:  # the first bin holds what is equal, so what it cuts is taken to pass
            passing += sum([row[j] * (cuts[j] - i if i else 1.0) for j in range(cut, whole)])
    # What has a shape or a NaN of its own is in no bin, and something did fail.
    share = max(passing, float(one.exact)) / one.elements
    return min(share, 1.0 - 1.0 / one.elements)


@lru_cache
def _middles(edges: tuple[float, ...]) -> tuple[float, float, tuple[float, ...]]:
    """The first edge, the width of a bin, and the middle of each; the first bin's is zero."""
    step = edges[1] - edges[0]
    return edges[0], step, (0.0, *(10 ** (low + step / 2) for low in edges[1:-1]))


def _why_not(
    one: OutputAccuracy, limit: Tolerance, ratio: float, at: int, share: float, by_name: bool
) -> str:
    """The sentence that says what is wrong with an output; "" if nothing is."""
    if one.problem:
        return f"{one.name}: {one.problem}"
    if one.discrete and not by_name:
        if one.exact == one.elements:
            return ""
        return (
            f"{one.name}: {one.elements - one.exact} of {one.elements} elements differ, and "
            f"{one.reference_dtype} is compared exactly{_place(one, at)}"
        )
    if not ratio <= 1:
        error = one.hull[at][1]
        times = (
            "where nothing is allowed" if math.isinf(ratio) else f"{ratio:.3g} times the tolerance"
        )
        also = f"; about {share:.1%} of the elements pass"
        if limit.sqnr_db and one.sqnr_db is not None and one.sqnr_db < limit.sqnr_db:
            also += f"; {_signal(one, limit)}"
        return f"{one.name}: |Δ| {error:.3g} is {times}{_place(one, at)}{also}"
    if limit.sqnr_db and one.sqnr_db is not None and not one.sqnr_db >= limit.sqnr_db:
        return f"{one.name}: {_signal(one, limit)}, though each element is within the tolerance"
    allowed = limit.bias * one.reference_std + limit.absolute
    # Of what is constant but for its rounding, Δ says it.
    constant = one.reference_std <= 1e-4 * max((size for size, _ in one.hull), default=0.0)
    shifts = limit.bias and not constant and not one.discrete
    if shifts and abs(one.bias) > allowed:
        return (
            f"{one.name}: the whole output is shifted by {one.bias:.3g} on average, "
            f"{abs(one.bias) / allowed:.3g} times what is allowed, though each element is within "
            "the tolerance"
        )
    return ""


# Another runtime's order of summation costs a few times what another batch size costs the same one.
_OWN_DB = 12.0


def _floor(one: OutputAccuracy, limit: Tolerance) -> float:
    """The decibels that are asked. Where they are our default, no more than the reference can keep
    itself: a network that amplifies rounding shows it between its answers alone and in a batch."""
    if one.reference_sqnr_db is None or limit not in DEFAULTS.values():
        return limit.sqnr_db
    return min(limit.sqnr_db, max(0.0, one.reference_sqnr_db - _OWN_DB))


def _signal(one: OutputAccuracy, limit: Tolerance) -> str:
    said = (
        f"of what depends on the input {one.sqnr_db:.1f} dB are left above the error, "
        f"{limit.sqnr_db:.3g} are asked"
    )
    if one.moved_share is not None and one.moved_share < 0.01:
        said += f" (the samples move the output by only {one.moved_share:.2%} of its size)"
    return said


def _place(one: OutputAccuracy, at: int) -> str:
    if not 0 <= at < len(one.hull_at):
        return ""
    case, sample, *index = one.hull_at[at]
    who = f"sample {sample}" if sample >= 0 else f"case {case}"
    return f" at {who}, index ({', '.join(map(str, index))}{',' if len(index) == 1 else ''})"


def _why(one: OutputAccuracy, ratio: float) -> str:
    if not one.elements:
        return f"{one.name}: empty in every case, as the reference's"
    if one.exact == one.elements:
        return f"{one.name}: equal in all {one.elements} elements"
    said = f"{one.name}: the worst error is {ratio:.3g} times the tolerance"
    if one.sqnr_db is not None:
        said += f", {one.sqnr_db:.1f} dB of what depends on the input are kept"
    return said
