"""What the stages find out: accuracy and speed, with units in the names.

Everything here is content of products or a view of it; numbers are float, NaN where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .samples import Case


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an output may be from the reference: ``|Δ| <= absolute + relative * |ref|``.

    ``spread`` adds a share of the reference output's standard deviation to the right side, so that
    one default serves outputs of any unit. ``sqnr_db`` is the least signal-to-noise ratio, in dB,
    that the part of the output that depends on the input must keep (0: not asked). ``bias`` is the
    largest mean error, as a share of that standard deviation (0: not asked): a shift of the whole
    output is wrong long before the worst element alone would be.
    """

    relative: float = 0.0
    absolute: float = 0.0
    spread: float = 0.0
    sqnr_db: float = 0.0
    bias: float = 0.0


@dataclass(frozen=True, slots=True)
class Outputs:
    """Value of ``infer``. File ``outputs.npz``: keys ``"{case index}/{output name}"``.

    Types that numpy lacks (bfloat16) lie in the file as float32; ``dtypes`` keeps their names.
    """

    cases: tuple[Case, ...]
    names: tuple[str, ...]
    dtypes: dict[str, str] = field(default_factory=dict)
    stateful: bool = False  # the first case, run again at the end, gave another answer
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Worst:
    """Where an error is largest."""

    error: float
    got: float
    reference: float
    case: int  # index into the cases
    sample: int  # index of the sample; -1 if it can't be told
    index: tuple[int, ...]  # into the output of that case


@dataclass(frozen=True, slots=True)
class OutputAccuracy:
    """One output of a candidate beside the reference's.

    ``hull`` are the vertices ``(|ref|, |Δ|)`` of the rising part of the upper convex hull of all
    elements (the rest is never the worst under any tolerance): from it any tolerance is judged
    exactly; ``hull_at`` says of each vertex ``(case, sample, *index)``. ``histogram[i][j]`` counts
    elements by ``log10|Δ|`` (i) and ``log10|ref|`` (j) in bins of ``edges``, half a decade each, cut
    down to those in use; exact zeros are in the first bin.
    Elements that are NaN or the same infinity in both are equal and enter no other number.
    """

    name: str
    dtype: str  # the candidate's
    reference_dtype: str
    elements: int
    exact: int  # elements that are equal
    problem: str = ""  # shape, type, NaN or missing: no number can be trusted then
    absolute: Worst | None = None
    relative: Worst | None = None
    hull: tuple[tuple[float, float], ...] = ()
    hull_at: tuple[tuple[int, ...], ...] = ()
    histogram: tuple[tuple[int, ...], ...] = ()
    edges: tuple[float, ...] = ()
    reference_std: float = 0.0
    bias: float = 0.0  # mean of the candidate minus the reference
    cosine: float = 1.0
    sqnr_db: float | None = None  # of the part that depends on the input; None: nothing moves
    # The same between the reference's own answers alone and in batches: its rounding, as far as that
    # shows (inf: it doesn't). None: not known.
    reference_sqnr_db: float | None = None
    top1_agreement: float | None = None  # where the output looks like logits
    moved: bool = True  # the samples move this output
    moved_share: float | None = None  # rms of the part that depends on the input ÷ rms of it all
    discrete: bool = False  # integers and bools: compared exactly


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Value of ``compare``: no tolerance in it, so that any can be judged at once."""

    outputs: tuple[OutputAccuracy, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accuracy under a tolerance. ``ratio`` = worst error ÷ what is allowed (1 is the limit)."""

    passed: bool
    reason: str
    ratios: dict[str, float] = field(default_factory=dict)
    pass_share: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BatchTiming:
    """One target at one batch size.

    File ``latency_ns.npz`` holds the raw samples: ``"8"`` end to end (put + run + get), ``"8.put"``
    and ``"8.get"`` the transfers within, ``"8.rounds"`` how many calls each round had.
    """

    batch: int
    calls: int
    warmup_calls: int
    p50_ms: Interval
    p90_ms: float
    p95_ms: float
    p99_ms: Interval
    mean_ms: float
    throughput: Interval  # samples a second
    put_ms: float = 0.0  # medians of the transfers, apart from the compute above
    get_ms: float = 0.0
    stable: bool = True
    note: str = ""  # why it is not stable, or what was not done
    # Of a GPU, medians of what was read between rounds; None where the driver doesn't say.
    clock_mhz: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Value of ``profile``."""

    batches: tuple[BatchTiming, ...]
    load_ms: float  # one opening, with at most one other job beside it
    host_peak_bytes: int
    device_peak_bytes: int = 0
    noise: float | None = None  # A/A: relative difference of two halves of the same measurement
    largest_batch: int | None = None
    best_batch: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a device can do at most, as measured. ``flops`` a second by precision: a multiply and an
    add count two. ``missing`` says why a precision has none."""

    flops: dict[str, float]
    bytes_s: float  # read and written together
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeWork:
    """What one operator of a graph does: FLOP and bytes by batch size, as in `Work`."""

    name: str
    op: str
    flop: tuple[int, ...]  # of matrix products; 0 for the rest, which memory bounds
    read_bytes: tuple[int, ...]
    written_bytes: tuple[int, ...]
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Work:
    """What a model has to do at each batch size, whatever runs it.

    ``outside_bytes`` are its inputs and outputs: with the weights, the least that must be moved.
    ``unknown`` are nodes whose shapes could not be inferred: the FLOP are then too few.
    """

    batches: tuple[int, ...]
    flop: tuple[int, ...]
    outside_bytes: tuple[int, ...]
    weight_bytes: int
    nodes: tuple[NodeWork, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Roofline:
    """A device's peaks, and the work of the model that ran there."""

    device: str
    peaks: Peaks
    work: Work


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """Value of ``find_batch``. ``tried`` holds (batch, samples a second), in order of size."""

    largest: int  # that ran
    best: int  # the largest that still gained throughput
    tried: tuple[tuple[int, float], ...] = ()
    refused: int | None = None  # the smallest that didn't run
    reason: str = ""  # why the search ended where it did


@dataclass(frozen=True, slots=True)
class Verification:
    """Value of ``verify``: what the user's own metric says."""

    passed: bool
    metrics: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
