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
    that the part of the output that depends on the input must keep (0: not asked).
    """

    relative: float = 0.0
    absolute: float = 0.0
    spread: float = 0.0
    sqnr_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Outputs:
    """Value of ``infer``. File ``outputs.npz``: keys ``"{case index}/{output name}"``."""

    cases: tuple[Case, ...]
    names: tuple[str, ...]


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

    ``hull`` are the vertices ``(|ref|, |Δ|)`` of the upper convex hull of all elements: from it
    any tolerance is judged exactly. ``histogram`` counts elements by ``(log10|Δ|, log10|ref|)``
    in bins of ``edges``; exact zeros and what lies below the first edge are in the first bin.
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
    histogram: tuple[tuple[int, ...], ...] = ()
    edges: tuple[float, ...] = ()
    reference_std: float = 0.0
    cosine: float = 1.0
    sqnr_db: float | None = None  # of the part that depends on the input; None: nothing moves
    top1_agreement: float | None = None  # where the output looks like logits
    moved: bool = True  # the samples move this output
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
    """One target at one batch size. File ``latency_ns.npz`` holds the raw samples by ``str(batch)``."""

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


@dataclass(frozen=True, slots=True)
class Timing:
    """Value of ``profile``."""

    batches: tuple[BatchTiming, ...]
    load_ms: float
    host_peak_bytes: int
    device_peak_bytes: int = 0
    noise: float | None = None  # A/A: relative difference of two halves of the same measurement
    largest_batch: int | None = None
    best_batch: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """Value of ``verify``: what the user's own metric says."""

    passed: bool
    metrics: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
