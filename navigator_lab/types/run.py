"""A run as data: what a session holds, what is saved, and what a screen needs. No live object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .measure import Interval, Roofline
from .outcome import Outcome
from .plugin import Host, Unavailable
from .served import LoadTest
from .signature import Signature
from .target import Target


@dataclass(frozen=True, slots=True)
class Settled:
    """One step of a target's route, and what became of it."""

    stage: str  # export, convert, infer, correctness, profile, verify
    label: str
    outcome: Outcome
    key: str = ""
    log: str = ""  # relative to the workspace
    ran: bool = False  # in the last run of this session, not from the store


@dataclass(frozen=True, slots=True)
class TargetRun:
    """All that is known of one target."""

    target: Target
    unavailable: Unavailable | None = None
    steps: tuple[Settled, ...] = ()

    def outcome(self, stage: str) -> Outcome | None:
        """The last outcome of a stage; None if it was not asked for."""
        found = None
        for step in self.steps:
            if step.stage == stage:
                found = step.outcome
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """One exploration: a model, its samples, and every target that was asked for."""

    name: str
    created: float  # seconds since the epoch
    version: str  # of navigator_lab
    host: Host
    model: str  # what it is, in words
    signature: Signature
    reference: str  # the target that says what is right
    model_digest: str = ""  # of the source's product
    samples_digest: str = ""  # of the probed samples' product
    targets: tuple[TargetRun, ...] = ()
    notes: tuple[str, ...] = ()
    loads: tuple[LoadTest, ...] = ()  # on live servers, in the order in which they were made
    rooflines: tuple[Roofline, ...] = ()  # one a device


@dataclass(frozen=True, slots=True)
class Row:
    """One target as a row: what a table, a plot or a choice reads.

    ``status`` is done, failed, skipped or cancelled. ``passed`` is tolerance and verification
    together; None where neither was judged. ``p50_ms``, ``p99_ms`` and ``throughput`` (samples a
    second) are by batch size; ``batches`` holds all that was measured.
    """

    target: str
    format: str
    precision: str
    runner: str
    device: str
    status: str
    reason: str = ""
    remedy: str = ""
    passed: bool | None = None
    steps_run: int = 0
    steps_cached: int = 0
    seconds: float = 0.0
    stages: dict[str, str] = field(default_factory=dict)
    within_tolerance: bool | None = None
    verified: bool | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    worst_ratio: float | None = None  # largest error ÷ tolerance; 1 is the limit
    ratios: dict[str, float] = field(default_factory=dict)
    sqnr_db: float | None = None
    top1_agreement: float | None = None
    p50_ms: dict[int, float] = field(default_factory=dict)
    p99_ms: dict[int, float] = field(default_factory=dict)
    throughput: dict[int, float] = field(default_factory=dict)
    batches: tuple[dict[str, Any], ...] = ()
    load_ms: float | None = None
    host_peak_bytes: int | None = None
    device_peak_bytes: int | None = None
    size_bytes: int | None = None
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # of the comparison: what it does not prove
    notes: tuple[str, ...] = ()  # of what built it: nodes that it left alone, and why

    def best(self) -> Interval | None:
        """The largest throughput over all batches, with its interval; None if not measured."""
        if not self.batches:
            return None
        top = max(self.batches, key=lambda b: b["throughput"])
        return Interval(top["throughput"], top["throughput_low"], top["throughput_high"])
