"""How fast a target is, with intervals: latencies kept raw, by batch size.

The latency of a call is put + run + get: what a caller with arrays on the host waits for, whatever
a runtime does in which of the three. So runners can be compared, and the medians of the two
transfers are given apart. Nothing is judged here and no measurement is thrown away: a noisy one is
marked, and says its interval.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..types import samples as of_samples
from ..types.measure import BatchTiming, Interval, Timing
from ..types.outcome import Product
from ..types.plugin import At, Running, action
from ..types.request import Load
from ..types.signature import Signature
from . import statistics
from .calls import Refused, call, out_of_memory, words
from .memory import Peak, available

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

FILENAME = "latency_ns.npz"

ROUND_S = 0.2  # then others may have their turn
ROUND_CALLS = 5  # at least, also of a slow model: else the calls after each turn would cost more
ROTATED = 4  # different feeds, so that a cache of the last answer gains nothing
ROTATED_BYTES = 256 << 20
GAIN = 0.05  # what doubling the batch must gain in throughput, or the search ends
DRIFT = 0.05


@action("profile", options=Load, measures=True, fresh=True, hardware=True)
def profile(at: At, model: Product, samples: Product) -> Timing:
    """Measure latency, throughput, memory and load time of a target at each batch size."""
    import numpy as np

    load: Load = at.options or Load()
    signature = samples.read(Signature)
    given = of_samples.read(samples.path)
    notes: list[str] = []
    sizes = _sizes(load, signature, notes)
    raw: dict[str, np.ndarray] = {}
    made: list[BatchTiming] = []
    noises: list[float] = []
    peak = Peak(at.about.device)
    started = time.perf_counter()
    with at.open(model, at.about, signature) as running:
        load_ms = (time.perf_counter() - started) * 1e3
        peaks = [peak.host_bytes]
        for batch in sizes:
            if made and (why := _too_much(batch, peaks)):
                notes.append(why)
                break
            try:
                feeds = _feeds(given, signature, batch)
                series = _measure(running, feeds, batch, load, at, len(made), peak)
            except Exception as error:  # a runtime may raise anything; raised again, or noted
                said = f"refuses batch {batch}: {words(error)}"
                if not made and batch == sizes[-1]:
                    raise Refused(said) from error
                notes.append(said)
                if out_of_memory(error) or not load.batches:
                    if not made:
                        raise Refused(said) from error
                    break
                continue
            del feeds
            peaks.append(peak.host_bytes)
            timing = _timing(series, batch, load)
            made.append(timing)
            raw |= series.arrays(str(batch))
            apart = statistics.noise(series.total, series.rounds)
            if apart is not None:
                noises.append(apart)
            at.say(_said(timing), len(made) / len(sizes))
            if not load.batches and (why := _enough(made, load)):
                notes.append(why)
                break
        peak.look()
        host, device = peak.host_bytes, peak.device_bytes
    if not made:
        raise Refused("; ".join(notes))
    np.savez(at.out / FILENAME, **raw)
    return Timing(
        batches=tuple(made),
        load_ms=load_ms,
        host_peak_bytes=host,
        device_peak_bytes=device,
        noise=max(noises) if noises else None,
        largest_batch=max(t.batch for t in made),
        best_batch=max(made, key=lambda t: t.throughput.value).batch,
        notes=tuple(notes),
    )


def _sizes(load: Load, signature: Signature, notes: list[str]) -> list[int]:
    if not signature.batched:
        if load.batches and set(load.batches) != {1}:
            notes.append("the model has no batch axis: only single calls are measured")
        return [1]
    if load.batches:
        return sorted(set(load.batches))
    most = load.max_batch
    declared = next((axis.max for axis in signature.axes if axis.name == "batch"), most)
    if declared < most:
        notes.append(f"the batch axis is declared up to {declared}")
    most = max(1, min(most, declared))
    return [1 << i for i in range(most.bit_length()) if 1 << i <= most]


def _feeds(given: list[Arrays], signature: Signature, batch: int) -> list[Arrays]:
    """A few different batches of the same shapes: of the largest group of samples, rotated."""
    if not signature.batched:
        groups = of_samples.groups(given, signature)
        same = [g for g in groups if _shapes(given[g[0]]) == _shapes(given[groups[0][0]])]
        return [dict(given[g[0]]) for g in same[:ROTATED]]
    group = max(of_samples.groups(given, signature), key=len)
    chosen = [given[i] for i in group]
    first = of_samples.batch_of(chosen, signature, batch)
    size = sum(array.nbytes for array in first.values()) or 1
    count = max(1, min(ROTATED, len(chosen), ROTATED_BYTES // size))
    turned = (chosen[i:] + chosen[:i] for i in range(1, count))
    return [first, *(of_samples.batch_of(one, signature, batch) for one in turned)]


def _shapes(feeds: Arrays) -> list[tuple[int, ...]]:
    return [array.shape for array in feeds.values()]


@dataclass
class _Series:
    """Everything that was timed at one batch size, in nanoseconds."""

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


def _measure(
    running: Running, feeds: list[Arrays], batch: int, load: Load, at: At, done: int, peak: Peak
) -> _Series:
    series = _Series()
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
            peak.look()
            if _done(series, load, spent):
                return series
            p50 = statistics.quantile(series.total, 0.5)
            at.say(f"batch {batch}: {_p50(p50)} after {len(series.whole)} calls")
    finally:
        if was_on:
            gc.enable()


def _endless(feeds: list[Arrays]) -> Iterator[Arrays]:
    while True:
        yield from feeds


def _warm_up(running: Running, feeds: Iterator[Arrays], series: _Series, load: Load) -> None:
    """Call until the latency no longer falls, in windows of about 20 ms (3 calls at least).

    The bound is counted from the second call on: the first may compile for minutes.
    """
    call(running, next(feeds))
    latencies: list[float] = []
    window = 3
    started = time.perf_counter()
    most = max(0.3, load.seconds / 2)
    while True:
        before = time.perf_counter_ns()
        call(running, next(feeds))
        latencies.append(time.perf_counter_ns() - before)
        if len(latencies) == 3:
            window = max(3, min(1000, math.ceil(2e7 / max(1.0, sorted(latencies)[1]))))
        over = time.perf_counter() - started > most
        if over or (len(latencies) % window == 0 and statistics.settled(latencies, window)):
            series.discarded += len(latencies) + 1
            # A slow model has no time for three windows: that alone is no sign of trouble.
            series.settled = len(latencies) < 3 * window or statistics.settled(latencies, window)
            return


def _discard(running: Running, feeds: Iterator[Arrays], series: _Series) -> None:
    """A few calls after others had their turn: caches and clocks are theirs now."""
    started = time.perf_counter()
    for _ in range(3):
        call(running, next(feeds))
        series.discarded += 1
        if time.perf_counter() - started > 0.02:
            return


def _round(running: Running, feeds: Iterator[Arrays], series: _Series, load: Load) -> float:
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
        if t3 - started > load.seconds * 1e9:
            break
    del answer
    series.put.extend(t[1] - t[0] for t in times)
    series.whole.extend(t[3] - t[0] for t in times)
    series.get.extend(t[3] - t[2] for t in times)
    series.rounds.append(len(times))
    return (clock() - started) / 1e9


def _done(series: _Series, load: Load, spent: float) -> bool:
    calls = len(series.whole)
    if calls >= load.max_calls:
        return True
    if spent >= load.seconds:
        return calls >= min(3, load.min_calls)
    if calls < load.min_calls or len(series.rounds) < 2:
        return False
    return not _unsure(series.total, load)


def _unsure(total: np.ndarray, load: Load) -> str:
    """Which interval is not yet as narrow as wanted, in words; "" if all are."""
    p50 = statistics.width(statistics.quantile(total, 0.5))
    if not statistics.bounded(total, 0.5) or p50 > load.width:
        return f"the interval of the median is ±{p50:.1%}, ±{load.width:.1%} was wanted"
    if load.p99:
        if not statistics.bounded(total, 0.99):
            return f"{len(total)} calls are too few to bound the p99"
        p99 = statistics.width(statistics.quantile(total, 0.99))
        if p99 > load.p99_width:
            return f"the interval of the p99 is ±{p99:.1%}, ±{load.p99_width:.1%} was wanted"
    return ""


def _timing(series: _Series, batch: int, load: Load) -> BatchTiming:
    import numpy as np

    total = series.total
    said = [_unsure(total, load)]
    if len(total) < load.min_calls:
        said.append(f"time for {len(total)} calls only, {load.min_calls} were wanted")
    if not series.settled:
        said.append("the latency was still falling when warm-up ended")
    half = len(total) // 2
    if half >= 10:
        early, late = (statistics.quantile(part, 0.5) for part in (total[:half], total[half:]))
        moved = late.value / early.value - 1
        apart = late.low > early.high or late.high < early.low
        if apart and abs(moved) > DRIFT:
            said.append(f"it drifts: the median of the second half is {moved:+.1%} of the first's")
    note = "; ".join(filter(None, said))
    return BatchTiming(
        batch=batch,
        calls=len(total),
        warmup_calls=series.discarded,
        p50_ms=_ms(statistics.quantile(total, 0.5)),
        p90_ms=float(np.quantile(total, 0.9)) / 1e6,
        p95_ms=float(np.quantile(total, 0.95)) / 1e6,
        p99_ms=_ms(statistics.quantile(total, 0.99)),
        mean_ms=float(total.mean()) / 1e6,
        throughput=statistics.throughput(total, batch),
        put_ms=float(np.median(series.put)) / 1e6,
        get_ms=float(np.median(series.get)) / 1e6,
        stable=not note,
        note=note,
    )


def _ms(interval: Interval) -> Interval:
    return Interval(interval.value / 1e6, interval.low / 1e6, interval.high / 1e6)


def _p50(p50: Interval) -> str:
    return f"p50 {p50.value / 1e6:.3g} ms ± {(p50.high - p50.low) / 2e6:.2g}"


def _said(timing: BatchTiming) -> str:
    p50 = timing.p50_ms
    return (
        f"batch {timing.batch}: p50 {p50.value:.3g} ms ± {(p50.high - p50.low) / 2:.2g}, "
        f"{timing.throughput.value:.4g} samples a second"
    )


def _too_much(batch: int, peaks: list[int]) -> str:
    """Why the next batch wouldn't fit on the host, judged by what the last one added."""
    if len(peaks) < 3:
        return ""
    more = 2 * max(0, peaks[-1] - peaks[-2])
    left = available()
    if more > 0.8 * left:
        return (
            f"batch {batch} was not tried: it may need {more >> 20} MiB more, {left >> 20} are left"
        )
    return ""


def _enough(made: list[BatchTiming], load: Load) -> str:
    """Why no larger batch is worth trying; "" to go on."""
    last = made[-1]
    if last.p50_ms.value > load.seconds * 1e3:
        return f"stopped at batch {last.batch}: one call takes longer than the {load.seconds:g} s"
    if len(made) < 3:
        return ""
    a, b, c = (t.throughput.value for t in made[-3:])
    best = max(t.throughput.value for t in made[:-2])
    if b < a * (1 + GAIN) and c < b * (1 + GAIN) and max(b, c) < best * (1 + GAIN):
        return (
            f"stopped at batch {last.batch}: doubling the batch twice gained "
            f"{max(b, c) / a - 1:+.1%} throughput"
        )
    return ""
