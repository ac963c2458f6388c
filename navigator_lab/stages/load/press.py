"""One load, and what its times say."""

from __future__ import annotations

import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import NavigatorError, RequestError
from ...triton import sending
from ...triton.server import Server
from ...types.measure import Interval
from ...types.served import LoadPoint, Sender, ServerStatistics
from .. import statistics
from ..replay import instances, over

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

BUSY = 0.85  # share of a core: above it, the sender may be what holds things up
IDLE = 0.8  # share of the time that instances compute: below it, a full closed loop is held up elsewhere
LATE_MS = 2.0  # p99 of how late requests leave, of an open loop
MOST_UNDER_WAY = 4096  # of one sender in an open loop; beyond it requests wait for their turn
KEPT = 0.95  # of the asked rate must have been answered, or the server fell behind
_NONE = Interval(math.nan, math.nan, math.nan)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Press:
    """What all loads of one test share.

    ``seconds`` count after ``warmup_s``; ``count`` is a number of requests instead. ``processes``:
    None adds senders while the one there is is too busy.
    """

    server: Server
    model: str
    feeds: Sequence[Arrays]  # requests, in the server's names
    request_batch: int = 1
    version: int = 0
    seconds: float = 3.0
    warmup_s: float = 0.5
    count: int | None = None
    timeout_s: float = 30.0
    processes: int | None = None
    sequence: int = 0  # requests of a sequence; 0: each stands alone
    sequence_text: bool = False  # the model wants their ids as text
    say: Say = field(default=lambda text: None)

    @property
    def _units(self) -> int:
        """``count`` in what a loop counts: requests, or whole sequences."""
        return -(-(self.count or 0) // max(self.sequence, 1))

    def closed(self, concurrency: int) -> LoadPoint:
        """So many requests, or sequences, under way all the time."""
        if concurrency < 1:
            raise RequestError(f"a concurrency of {concurrency} can't be", "give 1 or more")
        self.say(f"concurrency {concurrency}")

        def jobs(many: int) -> list[dict[str, Any]]:
            shares = [len(range(i, concurrency, many)) for i in range(min(many, concurrency))]
            made = []
            for first, share in enumerate(shares):
                count = None if self.count is None else len(range(first, self._units, len(shares)))
                made.append({"loop": "closed", "concurrency": share, "count": count,
                             "first": first * 1009})  # fmt: skip
            return made

        return self._grown(jobs, "closed", float(concurrency), "")

    def open(
        self, rate: float, arrivals: str = "poisson", trace: Sequence[float] = (), seed: int = 0
    ) -> LoadPoint:
        """Requests at times that are fixed beforehand: see `schedule`."""
        self.say(f"{rate:.4g} requests/s")
        span = self.warmup_s + self.seconds
        if self.count is not None and not trace:
            span = self.warmup_s + self._units / rate
        times = list(trace) or schedule(rate, span, arrivals, seed)

        def jobs(many: int) -> list[dict[str, Any]]:
            return [
                {"loop": "open", "schedule": times[i::many], "most": MOST_UNDER_WAY,
                 "first": i * 1009}
                for i in range(many)
            ]  # fmt: skip

        return self._grown(jobs, "open", rate, "trace" if trace else arrivals, times)

    def _grown(
        self, jobs: Callable[[int], list[dict[str, Any]]], loop: str, level: float, arrivals: str,
        times: Sequence[float] = (),
    ) -> LoadPoint:  # fmt: skip
        """The load from one sender; from more while it is they who hold it up."""
        most = self.processes or max(1, (os.cpu_count() or 2) // 2)
        many = self.processes or 1
        while True:
            point = self._once(jobs(many), loop, level, arrivals, times)
            if not point.sender.limited or many >= most or point.ended:
                return point
            many = min(2 * many, most)

    def _once(
        self, jobs: list[dict[str, Any]], loop: str, level: float, arrivals: str,
        times: Sequence[float],
    ) -> LoadPoint:  # fmt: skip
        span = max(times, default=0.0) if loop == "open" else self.warmup_s + self.seconds
        if self.count is not None and loop == "closed":
            span = 86_400.0  # it ends by itself: each of its requests has a limit
        for job in jobs:
            job |= {
                "grpc": self.server.grpc, "model": self.model, "version": self.version,
                "timeout_s": self.timeout_s, "seconds": span,
            }  # fmt: skip
        if self.sequence:
            # Ids of 31 bits, which every type has; another test's may still be open at the server.
            base = secrets.randbelow(2**30)
            for index, job in enumerate(jobs):
                job["sequence"] = {"length": self.sequence, "text": self.sequence_text,
                                   "base": base + 1 + index, "stride": len(jobs)}  # fmt: skip
        warmup = 0.0 if self.count is not None or arrivals == "trace" else self.warmup_s
        watch = _Watch(self.server, self.model, warmup)
        limit = self.timeout_s + 10.0
        if self.count is not None and loop == "closed":
            limit += self._units * max(self.sequence, 1) * self.timeout_s / level
        else:
            limit += span
        sent = sending.press(jobs, self.feeds, limit, watch.start)
        return self._point(sent, watch, loop, level, arrivals, times, warmup, len(jobs))

    def _point(
        self, sent: sending.Sent, watch: _Watch, loop: str, level: float, arrivals: str,
        times: Sequence[float], warmup: float, many: int,
    ) -> LoadPoint:  # fmt: skip
        import numpy as np

        rows = sent.rows[sent.rows[:, 0] >= warmup * 1e9]
        good = rows[rows[:, 3] == 1]
        latency = (good[:, 2] - good[:, 0]) / 1e6
        end = sent.wall_s * 1e9
        if loop == "closed" and self.count is None:
            end = min(end, (warmup + self.seconds) * 1e9)
        elif times:
            end = max(times) * 1e9 + 1e9 / max(level, 1e-9)
        # What was answered within the span, whenever it was asked: the rest of the last requests
        # would count time in which nobody asks.
        done = np.sort(sent.rows[(sent.rows[:, 3] == 1)][:, 2])
        done = done[(done >= warmup * 1e9) & (done <= end)]
        seconds = max((end - warmup * 1e9) / 1e9, 1e-9)
        rate = _rate(done, warmup * 1e9, end)
        late = (rows[:, 1] - rows[:, 0]) / 1e6
        late_ms = float(np.quantile(late, 0.99)) if len(late) else 0.0
        asked = len(rows) / seconds
        if self.sequence:  # its later requests leave when the server lets them
            asked = int((rows[:, 4] == 0).sum()) * self.sequence / seconds
        count = int((sent.rows[:, 3] == 0).sum())
        counted = watch.end(self.server)
        mean = float(latency.mean()) if len(latency) else math.nan
        limited = sent.busy > BUSY
        if loop == "open":
            limited = limited or (late_ms > LATE_MS and sent.busy > BUSY / 2)
        elif counted is not None and counted.busy is not None and level > watch.count:
            # More is under way than is computed at once, and yet the server has time to spare.
            limited = limited or (counted.busy < IDLE and counted.total_ms < mean / 2)
        p50, p90, p95, p99 = (
            statistics.quantile(latency, q) if len(latency) else _NONE
            for q in (0.5, 0.9, 0.95, 0.99)
        )
        batch = self.request_batch
        return LoadPoint(
            loop, level, batch, len(rows), count, seconds, p50, p90, p95, p99,
            mean,
            rate, Interval(rate.value * batch, rate.low * batch, rate.high * batch),
            Sender(many, sent.busy, late_ms, limited), arrivals, sent.errors,
            counted, {},
            loop == "closed" or rate.high >= KEPT * asked, sent.over, self.sequence,
        )  # fmt: skip


class _Watch:
    """The server's statistics, from the end of the warm-up to the end of the load."""

    def __init__(self, server: Server, model: str, warmup_s: float) -> None:
        self.model, self.warmup_s = model, warmup_s
        self.wire = server.wire
        self.before: Mapping[str, Any] | None = None
        self.count = 1
        self.at = 0.0
        self._thread: threading.Thread | None = None

    def start(self, start: float) -> None:
        try:
            self.count = instances(self.wire.config(self.model))
        except NavigatorError:
            return  # it is gone already; the load will say so

        def look() -> None:
            if self.warmup_s:
                time.sleep(max(0.0, start + self.warmup_s - time.monotonic()))
            try:
                self.before = self.wire.statistics(self.model)
            except NavigatorError:
                return
            self.at = time.monotonic() if self.warmup_s else start

        if not self.warmup_s:
            look()  # before anything is sent
            return
        self._thread = threading.Thread(target=look, daemon=True)
        self._thread.start()

    def end(self, server: Server) -> ServerStatistics | None:
        if self._thread is not None:
            self._thread.join()
        if self.before is None:
            return None
        try:
            after = server.statistics(self.model)
        except NavigatorError:
            return None
        return over(self.before, after, time.monotonic() - self.at, self.count)


def _rate(done: np.ndarray, begin: float, end: float) -> Interval:
    """Answers a second, with an interval from how many came in each slice of the time."""
    import numpy as np

    seconds = (end - begin) / 1e9
    value = len(done) / seconds
    slices = int(min(40, max(2, len(done) // 8)))
    if len(done) < 16:
        return Interval(value, value, value)
    counts, _ = np.histogram(done, slices, (begin, end))
    per = slices / seconds
    found = statistics.mean(counts * per)
    return Interval(value, max(0.0, found.low), found.high)


def schedule(rate: float, seconds: float, arrivals: str, seed: int = 0) -> list[float]:
    """When requests are to leave, in seconds from the start.

    Raises:
        RequestError: no rate, or arrivals that are neither ``constant`` nor ``poisson``.
    """
    import numpy as np

    if not rate > 0 or not math.isfinite(rate):
        raise RequestError(f"a rate of {rate} requests/s can't be", "give a number above 0")
    if arrivals == "constant":
        return [i / rate for i in range(max(1, int(rate * seconds)))]
    if arrivals != "poisson":
        raise RequestError(f"arrivals={arrivals!r} is unknown", "constant or poisson, or a trace")
    # As many as were asked for, at any time: that is a Poisson process whose count is known. Gaps drawn
    # one by one would ask for another rate each time, by several per cent in a load of seconds.
    draw = np.random.default_rng(seed)
    return sorted(draw.uniform(0, seconds, max(1, round(rate * seconds))).tolist())
