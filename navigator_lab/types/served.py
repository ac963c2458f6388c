"""What a live server shows: its own counts, replays of recorded samples, and loads.

Times are milliseconds of one request, unless a name says otherwise; shares are of one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from .measure import Accuracy, Interval, Verdict


@dataclass(frozen=True, slots=True)
class Executed:
    """Executions of one batch size."""

    size: int
    executions: int
    compute_ms: float  # of one execution, with its copies


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """What a server counted of one model over a span of time. Means are over its requests."""

    requests: int  # that succeeded
    failed: int
    inferences: int  # samples, as the server counts them
    executions: int
    queue_ms: float
    input_ms: float
    compute_ms: float
    output_ms: float
    batches: tuple[Executed, ...] = ()
    busy: float | None = None  # how much of the instances' time went into executions

    @property
    def batch(self) -> float:
        """The mean batch that the server made."""
        return self.inferences / self.executions if self.executions else 0.0

    @property
    def total_ms(self) -> float:
        """A request's time in the server."""
        return self.queue_ms + self.input_ms + self.compute_ms + self.output_ms

    def __str__(self) -> str:
        made = ", ".join(f"{b.executions} of {b.size}" for b in self.batches) or "none"
        return (
            f"{self.requests} requests, {self.failed} failed; queue {self.queue_ms:.3g} ms, compute "
            f"{self.compute_ms:.3g} ms, copies {self.input_ms + self.output_ms:.3g} ms; "
            f"executions by batch: {made}"
        )


@dataclass(frozen=True, slots=True)
class Exchange:
    """A replay over one protocol. ``accuracy`` is None where nothing could be compared."""

    protocol: str
    requests: int
    seconds: float
    accuracy: Accuracy | None = None
    verdict: Verdict | None = None
    problem: str = ""  # why not all requests were answered

    @property
    def passed(self) -> bool | None:
        """None: all was answered, and there was nothing to compare it with."""
        if self.problem:
            return False
        return None if self.verdict is None else self.verdict.passed

    @property
    def said(self) -> str:
        """The outcome in words."""
        if self.problem:
            return self.problem
        if self.verdict is None:
            return "answered; the answers were not compared"
        return self.verdict.reason


@dataclass(frozen=True, slots=True)
class Replay:
    """A model's recorded samples, sent to a live server."""

    model: str
    server: str  # what it is, in words
    backend: str
    exchanges: tuple[Exchange, ...]
    target: str = ""
    statistics: ServerStatistics | None = None
    unproven: tuple[str, ...] = ()  # what this replay can't show
    notes: tuple[str, ...] = ()
    ready_s: float = 0.0  # from the start until the server was ready

    @property
    def passed(self) -> bool | None:
        """False if anything is wrong; None if nothing was compared."""
        found = [one.passed for one in self.exchanges]
        if False in found or not found:
            return False
        return None if None in found else True

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without what only a comparison needs."""
        told = [
            {
                "protocol": one.protocol, "requests": one.requests, "seconds": one.seconds,
                "passed": one.passed, "reason": one.said,
                "ratios": {k: _finite(v) for k, v in one.verdict.ratios.items()}
                if one.verdict else {},
            }
            for one in self.exchanges
        ]  # fmt: skip
        return {
            "model": self.model, "target": self.target, "server": self.server,
            "backend": self.backend, "passed": self.passed, "ready_s": self.ready_s,
            "exchanges": told, "statistics": asdict(self.statistics) if self.statistics else None,
            "unproven": list(self.unproven), "notes": list(self.notes),
        }  # fmt: skip

    def __str__(self) -> str:
        of = f" ({self.target})" if self.target else ""
        word = {True: "passed", False: "failed", None: "answered"}[self.passed]
        lines = [f"replay of {self.model}{of}: {word}", f"  server      {self.server}"]
        for one in self.exchanges:
            name = {"http": "HTTP", "grpc": "gRPC"}.get(one.protocol, one.protocol)
            mark = {True: "right", False: "wrong", None: "answered"}[one.passed]
            lines.append(f"  {name:<12}{mark}, {one.requests} requests: {one.said}")
        if self.statistics is not None:
            lines.append(f"  statistics  {self.statistics}")
        lines += [f"  not proven  {text}" for text in self.unproven]
        lines += [f"  note        {text}" for text in self.notes]
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Sender:
    """How the requests were sent, and whether that held them up."""

    processes: int
    busy: float  # share of a core that the busiest one used
    late_ms: float  # p99 of how long after its time a request left
    limited: bool = False  # the sender, not the server, was what held it up


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One load. ``level`` is the concurrency (closed loop) or the rate in requests a second (open).

    Latency counts from when a request was meant to leave. Quantiles are NaN where nothing was
    answered. ``rate`` is the requests answered a second, ``throughput`` the samples.
    """

    loop: str  # closed or open
    level: float
    request_batch: int
    requests: int
    errors: int
    seconds: float
    p50_ms: Interval
    p90_ms: Interval
    p95_ms: Interval
    p99_ms: Interval
    mean_ms: float
    rate: Interval
    throughput: Interval
    sender: Sender
    arrivals: str = ""  # constant, poisson or trace, of an open loop
    error_words: dict[str, int] = field(default_factory=dict)
    statistics: ServerStatistics | None = None
    setting: dict[str, Any] = field(default_factory=dict)  # of the server, in a sweep
    kept_up: bool = True  # open loop: it was answered as fast as it was asked
    ended: str = ""  # why it ended before its time
    sequence: int = 0  # requests of a sequence: then the level counts sequences

    def within(self, p99_ms: float) -> bool:
        """Whether all was answered, at the asked rate, within the limit."""
        return bool(
            not self.errors and not self.ended and self.kept_up and self.p99_ms.value <= p99_ms
        )


@dataclass(frozen=True, slots=True)
class LoadTest:
    """Loads on one served model, in the order in which they were made."""

    model: str
    server: str
    points: tuple[LoadPoint, ...]
    target: str = ""
    limit_ms: float | None = None  # a p99 that was asked for
    best: int | None = None  # index of the point that a search or sweep chose
    swept: tuple[str, ...] = ()  # the settings that were varied
    second_opinion: tuple[dict[str, float], ...] = ()  # of perf_analyzer
    unproven: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def chosen(self) -> LoadPoint | None:
        """What a search or sweep chose; None if nothing keeps the limit."""
        return None if self.best is None else self.points[self.best]

    def to_dict(self) -> dict[str, Any]:
        """As plain data; what there is none of is None."""
        made: dict[str, Any] = _finite(asdict(self))
        return made

    def __str__(self) -> str:
        of = f" ({self.target})" if self.target else ""
        lines = [f"load on {self.model}{of} at {self.server}"]
        wide = max([26, *(len(_named(one)) + 2 for one in self.points)])
        lines.append(
            f"  {'  load':<{wide}}{'answered/s':>12}{'samples/s':>12}{'p50 ms':>9}{'p90':>9}{'p95':>9}"
            f"{'p99':>9}{'errors':>8}{'queue':>7}{'batch':>7}"
        )
        for index, one in enumerate(self.points):
            lines.append(_line(one, index == self.best, wide))
        for point in self.points:
            if point.ended:
                lines.append(f"  ended early: {point.ended}")
            for words, count in point.error_words.items():
                lines.append(f"  {count} times: {words}")
        if self.limit_ms is not None and self.best is None:
            lines.append(f"  no load kept p99 <= {self.limit_ms:g} ms")
        for other in self.second_opinion:
            said = ", ".join(f"{name} {value:.4g}" for name, value in other.items())
            lines.append(f"  perf_analyzer: {said}")
        lines += [f"  not proven  {text}" for text in self.unproven]
        lines += [f"  note        {text}" for text in self.notes]
        return "\n".join(lines)

    __repr__ = __str__


def _named(one: LoadPoint) -> str:
    if one.setting:
        return ", ".join(f"{k.removeprefix('max_')} {v}" for k, v in one.setting.items())
    what = f"sequences of {one.sequence}, " if one.sequence else ""
    how = "concurrency" if one.loop == "closed" else f"{one.arrivals}, per s"
    return f"{what}{how} {one.level:.4g}"


def _line(one: LoadPoint, best: bool, wide: int) -> str:
    name = f"{'* ' if best else '  '}{_named(one)}"
    marks = "" if one.kept_up else " behind"
    marks += " sender-bound" if one.sender.limited else ""
    stats = one.statistics
    share = f"{stats.queue_ms / stats.total_ms:.0%}" if stats and stats.total_ms else "-"
    batch = f"{stats.batch:.2f}" if stats and stats.executions else "-"
    return (
        f"  {name:<{wide}}{one.rate.value:>12.1f}{one.throughput.value:>12.1f}"
        f"{one.p50_ms.value:>9.2f}{one.p90_ms.value:>9.2f}{one.p95_ms.value:>9.2f}"
        f"{one.p99_ms.value:>9.2f}{one.errors:>8}{share:>7}{batch:>7}{marks}"
    )


def _finite(value: Any) -> Any:
    """Without what JSON has no word for."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
