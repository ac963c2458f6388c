"""How fast a target is, with intervals: latencies kept raw, by batch size.

The latency of a call is put + run + get: what a caller with arrays on the host waits for, whatever
a runtime does in which of the three. So runners can be compared, and the medians of the two
transfers are given apart. Nothing is judged here and no measurement is thrown away: a noisy one is
marked, and says its interval.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..types import samples as of_samples
from ..types.measure import BatchTiming, Interval, Timing
from ..types.outcome import Product
from ..types.plugin import At, action
from ..types.request import Load
from ..types.signature import Signature
from . import statistics
from .calls import Refused, call, out_of_memory, words, wrong_size
from .judge import DEFAULTS
from .loop import Series, measure, unsure
from .memory import Peak, available
from .rows import Rows

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

FILENAME = "latency_ns.npz"

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
    rows = Rows(signature, DEFAULTS[at.about.precision], _distinct(given, signature))
    started = time.perf_counter()
    with at.open(model, at.about, signature) as running:
        load_ms = (time.perf_counter() - started) * 1e3
        at.turn()  # from here on the machine is ours
        peaks = [peak.host_bytes]
        for batch in sizes:
            if made and (why := _too_much(batch, peaks)):
                notes.append(why)
                break
            try:
                feeds = _feeds(given, signature, batch)
                answer = call(running, feeds[0])
                if why := wrong_size(answer, feeds[0], signature, batch) or rows.differ(answer):
                    raise Refused(why)
                del answer
                series = measure(running, feeds, batch, load, at, peak)
                series.discarded += 1
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


def _distinct(given: list[Arrays], signature: Signature) -> int:
    """After how many rows of a batch the samples repeat."""
    return len(max(of_samples.groups(given, signature), key=len)) if signature.batched else 1


def _shapes(feeds: Arrays) -> list[tuple[int, ...]]:
    return [array.shape for array in feeds.values()]


def _timing(series: Series, batch: int, load: Load) -> BatchTiming:
    import numpy as np

    total = series.total
    said = [unsure(total, load)]
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
    doubts = [one for one in said if one]
    note = "; ".join(filter(None, [*doubts, series.readings.note]))
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
        stable=not doubts,
        note=note,
        clock_mhz=series.readings.clock_mhz,
        power_w=series.readings.power_w,
    )


def _ms(interval: Interval) -> Interval:
    return Interval(interval.value / 1e6, interval.low / 1e6, interval.high / 1e6)


def _said(timing: BatchTiming) -> str:
    p50, rate = timing.p50_ms, timing.throughput.value
    many = f"{rate:,.0f}" if rate >= 1000 else f"{rate:.3g}"
    share = (p50.high - p50.low) / 2 / p50.value
    return f"batch {timing.batch}: p50 {p50.value:.3g} ms ±{share:.1%}, {many} samples a second"


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
