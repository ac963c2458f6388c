"""The loop that times a target at one batch size: warm-up, then rounds until it is sure enough.

Between rounds other candidates have their turn, so that a machine that drifts does so for all.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..types.measure import Interval
from ..types.plugin import At, Running
from ..types.request import Load
from . import statistics
from .calls import call
from .gpu import Readings
from .memory import Peak

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

ROUND_S = 0.2  # then others may have their turn
ROUND_CALLS = 5  # at least, also of a slow model: else the calls after each turn would cost more
FEWEST = 3  # calls that a median is made of, whatever the budget


@dataclass
class Series:
    """Everything that was timed at one batch size, in nanoseconds."""

    readings: Readings
    put: list[int] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    get: list[int] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    discarded: int = 0
    settled: bool = True

    @property
    def total(self) -> np.ndarray:
        import numpy as np

        return np.array(self.whole, dtype=np.int64)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        import numpy as np

        return {
            name: self.total,
            f"{name}.put": np.array(self.put, dtype=np.int64),
            f"{name}.get": np.array(self.get, dtype=np.int64),
            f"{name}.rounds": np.array(self.rounds, dtype=np.int64),
        }


def measure(
    running: Running, feeds: list[Arrays], batch: int, load: Load, at: At, peak: Peak
) -> Series:
    """Time calls, taking the feeds in turn, until `unsure` has nothing to say or a budget is used.

    The batch size must have been called once before.
    """
    series = Series(Readings(at.about.device))
    endless = _endless(feeds)
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        _warm_up(running, endless, series, load)
        spent = 0.0
        while True:
            before = time.perf_counter()
            at.turn()
            if time.perf_counter() - before > 1e-3 and series.rounds:
                _discard(running, endless, series)
            spent += _round(running, endless, series, load)
            series.readings.look()
            peak.look()
            if _done(series, load, spent):
                return series
            p50 = statistics.quantile(series.total, 0.5)
            at.say(f"batch {batch}: {p50_text(p50)} after {len(series.whole)} calls")
    finally:
        if was_on:
            gc.enable()


def _endless(feeds: list[Arrays]) -> Iterator[Arrays]:
    while True:
        yield from feeds


def _warm_up(running: Running, feeds: Iterator[Arrays], series: Series, load: Load) -> None:
    """Call until the latency no longer falls, in windows of about 20 ms (3 calls at least).

    The very first call, which may compile for minutes, lies behind us.
    """
    latencies: list[float] = []
    window = 3
    started = time.perf_counter()
    most = max(0.3, load.seconds / 4)
    while True:
        before = time.perf_counter_ns()
        call(running, next(feeds))
        latencies.append(time.perf_counter_ns() - before)
        if len(latencies) == 3:
            window = max(3, min(1000, math.ceil(2e7 / max(1.0, sorted(latencies)[1]))))
        over = time.perf_counter() - started > most
        if over or (len(latencies) % window == 0 and statistics.settled(latencies, window)):
            series.discarded += len(latencies)
            # A slow model has no time for three windows: that alone is no sign of trouble.
            series.settled = len(latencies) < 3 * window or statistics.settled(latencies, window)
            return


def _discard(running: Running, feeds: Iterator[Arrays], series: Series) -> None:
    """A few calls after others had their turn: caches and clocks are theirs now."""
    started = time.perf_counter()
    for _ in range(3):
        call(running, next(feeds))
        series.discarded += 1
        if time.perf_counter() - started > 0.02:
            return


def _round(running: Running, feeds: Iterator[Arrays], series: Series, load: Load) -> float:
    clock: Callable[[], int] = time.perf_counter_ns
    put, run, get = running.put, running.run, running.get
    times: list[tuple[int, int, int, int]] = []
    started = clock()
    end = started + int(min(ROUND_S, max(load.seconds, 1e-3)) * 1e9)
    most = load.max_calls - len(series.whole)
    answer: Any = None
    while True:
        one = next(feeds)
        t0 = clock()
        bound = put(one)
        t1 = clock()
        raw = run(bound)
        t2 = clock()
        answer = get(raw)
        t3 = clock()
        times.append((t0, t1, t2, t3))
        if (t3 >= end and len(times) >= ROUND_CALLS) or len(times) >= most:
            break
        if t3 - started > load.seconds * 1e9 and len(times) >= FEWEST:
            break
    del answer
    series.put.extend(t[1] - t[0] for t in times)
    series.whole.extend(t[3] - t[0] for t in times)
    series.get.extend(t[3] - t[2] for t in times)
    series.rounds.append(len(times))
    return (clock() - started) / 1e9


def _done(series: Series, load: Load, spent: float) -> bool:
    calls = len(series.whole)
    if calls >= load.max_calls:
        return True
    if spent >= load.seconds:
        return calls >= min(FEWEST, load.min_calls)
    if calls < load.min_calls or len(series.rounds) < 2:
        return False
    return not unsure(series.total, load)


def unsure(total: np.ndarray, load: Load) -> str:
    """Which intervals are not yet as narrow as wanted, in words; "" if all are."""
    said = []
    p50 = statistics.width(statistics.quantile(total, 0.5))
    if not statistics.bounded(total, 0.5) or p50 > load.width:
        said.append(f"the interval of the median is ±{p50:.1%}, ±{load.width:.1%} was wanted")
    if load.p99 and not statistics.bounded(total, 0.99):
        said.append(f"{len(total)} calls are too few to bound the p99")
    elif load.p99:
        p99 = statistics.width(statistics.quantile(total, 0.99))
        if p99 > load.p99_width:
            said.append(f"the interval of the p99 is ±{p99:.1%}, ±{load.p99_width:.1%} was wanted")
    return "; ".join(said)


def p50_text(p50: Interval) -> str:
    """A median in nanoseconds, for people."""
    return f"p50 {p50.value / 1e6:.3g} ms ±{(p50.high - p50.low) / 2 / p50.value:.1%}"
