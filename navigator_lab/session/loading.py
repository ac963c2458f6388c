"""What is asked of `navigator_lab.stages.load`, for a model that is served."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError, RequestError
from ..stages.load import Press, highest
from ..stages.load import sweep as swept
from ..stages.replay import instances, request, sequences_of
from ..triton import perf_analyzer
from ..types import samples as stored
from ..types.served import LoadPoint, LoadTest
from ..types.signature import Signature
from .serving import Served

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

DISTINCT = 64  # requests that differ; more are the same again
MOST_BYTES = 256 << 20  # of them together


def load_test(
    served: Served,
    *,
    concurrency: int | Sequence[int] | None = None,
    rate: float | Sequence[float] | None = None,
    arrivals: str = "poisson",
    trace: Sequence[float] | None = None,
    p99_ms: float | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    request_batch: int = 1,
    sequence_length: int = 8,
    seconds: float = 3.0,
    count: int | None = None,
    warmup_s: float = 0.5,
    request_timeout_s: float = 30.0,
    processes: int | None = None,
    second_opinion: bool | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> LoadTest:
    """Loads on a served model.

    Args:
        concurrency: closed loop: so many requests under way; one number or several. 1, 2, 4 and 8
            where nothing else is asked.
        rate: open loop: requests a second; one number or several.
        arrivals: of an open loop: ``"poisson"`` or ``"constant"``.
        trace: open loop at recorded times, in seconds from the first.
        p99_ms: alone: search the highest rate whose p99 is within it; else the limit by which one
            of the loads or settings is chosen.
        sweep: settings to try, as ``{"max_batch_size": [4, 8], "max_queue_delay_us": [0, 500],
            "instance_count": [1, 2]}``, each under ``rate`` or ``concurrency`` (by default 16); the
            server gets its own configuration back.
        request_batch: samples in each request.
        sequence_length: requests of a sequence, of a model that takes sequences. Then concurrency
            counts the sequences under way, and rate those that begin in a second; within one, a
            request leaves when the last was answered, and latency is each request's.
        seconds: of each load, after ``warmup_s``.
        count: requests of each load, instead of ``seconds``.
        request_timeout_s: after which a request counts as an error.
        processes: that send; None: more are added while one is too busy.
        second_opinion: ask ``perf_analyzer`` too; None: where it is found, of a closed loop.
        say: is told how far it is.

    Raises:
        RequestError: a load that means nothing.
    """
    for name, number in (("count", count), ("sequence_length", sequence_length)):
        if number is not None and number < 1:
            raise RequestError(f"{name}={number} can't be", "give 1 or more")
    sequences = sequences_of(served.config)
    press = Press(
        served.server, served.name, requests_of(served, request_batch), request_batch,
        seconds=_above(seconds, "seconds"), warmup_s=warmup_s, count=count,
        timeout_s=_above(request_timeout_s, "request_timeout_s"), processes=processes,
        sequence=sequence_length if sequences else 0, sequence_text=sequences == "text", say=say,
    )  # fmt: skip
    points: list[LoadPoint] = []
    best: int | None = None
    notes: list[str] = list(served.server.notes)
    opinions: list[dict[str, float]] = []
    rates = _several(rate)
    levels = [int(c) for c in _several(concurrency)]
    if sweep:
        points, best = _swept(served, press, sweep, rates, levels, arrivals, p99_ms, notes)
    elif trace is not None:
        times = sorted(float(t) for t in trace)
        if not times or times[0] < 0:
            raise RequestError(
                "the trace holds no times from 0 on", "seconds from its first request"
            )
        times = [t - times[0] for t in times]
        points = [press.open(len(times) / max(times[-1], 1e-3), trace=times)]
    elif rates:
        for one in rates:
            points.append(press.open(one, arrivals))
            if points[-1].ended:
                break
    elif p99_ms is not None and not levels:
        points, best = highest(press, p99_ms, arrivals=arrivals)
    else:
        for level in levels or [1, 2, 4, 8]:
            points.append(press.closed(level))
            if points[-1].ended:
                break
        opinions = _opinions(served, press, points, second_opinion, notes)
    if p99_ms is not None and best is None and not sweep:
        kept = [i for i, point in enumerate(points) if point.within(p99_ms)]
        best = max(kept, key=lambda i: points[i].rate.value, default=None)
    if any(point.sender.limited for point in points):
        notes.append(
            "where it says sender-bound, the server had time to spare: what held it up was this "
            "machine's sending, or the way to the server"
        )
    stopped = next((p.ended for p in points if p.ended), "")
    return LoadTest(
        served.name, served.server.words, tuple(points), str(served.target or ""), p99_ms, best,
        tuple(sweep or ()), tuple(opinions), () if stopped else served.unproven, tuple(notes),
    )  # fmt: skip


LOAD = tuple(name for name in inspect.signature(load_test).parameters if name != "served")


def _several(given: Any) -> list[float]:
    if given is None:
        return []
    return [float(g) for g in given] if isinstance(given, Sequence) else [float(given)]


def _above(value: float, name: str) -> float:
    if not value > 0:
        raise RequestError(f"{name}={value!r} can't be", "give a number above 0")
    return value


def requests_of(served: Served, size: int) -> list[Arrays]:
    """The served model's samples as requests of ``size`` samples each, in the server's names.

    Raises:
        RequestError: the server takes no such batch.
    """
    config, signature = served.config, served.signature
    if "sequence_batching" in config and size > 1:
        raise RequestError(
            f"{served.name!r} takes sequences, whose requests are of one sample each",
            "leave request_batch at 1",
        )
    largest = int(config.get("max_batch_size", 0))
    if size < 1 or (largest and size > largest) or (size > 1 and not signature.batched):
        limit = f"at most {largest}" if largest and signature.batched else "1"
        raise RequestError(f"requests of {size} samples can't be sent", f"give {limit}")
    feeds = stored.read(served.samples.path)
    if size == 1:
        made = feeds[:DISTINCT]
    else:
        group = max(stored.groups(feeds, signature), key=len)
        starts = range(0, max(1, min(len(group), DISTINCT)), size)
        made = [_batch(feeds, signature, group, start, size) for start in starts]
    kept: list[Arrays] = []
    spent = 0
    for one in made:
        asked = request(one, signature, config)
        spent += sum(a.nbytes for a in asked.values())
        if kept and spent > MOST_BYTES:
            break
        kept.append(asked)
    return kept


def _batch(
    feeds: list[Arrays], signature: Signature, group: list[int], start: int, size: int
) -> Arrays:
    chosen = [feeds[group[(start + i) % len(group)]] for i in range(size)]
    return stored.together(chosen, signature)


def _swept(
    served: Served, press: Press, space: Mapping[str, Sequence[Any]], rates: list[float],
    levels: list[int], arrivals: str, limit_ms: float | None, notes: list[str],
) -> tuple[list[LoadPoint], int | None]:  # fmt: skip
    config = served.config
    batching = config.get("dynamic_batching", {})
    start = {
        "max_batch_size": int(config.get("max_batch_size", 0)),
        "max_queue_delay_us": int(batching.get("max_queue_delay_microseconds", 0)),
        "instance_count": instances(config),
    }
    if len(rates) > 1 or len(levels) > 1:
        raise RequestError("a sweep is done under one load", "give one rate or one concurrency")
    if "max_queue_delay_us" in space and not start["max_batch_size"]:
        raise RequestError(f"{served.name!r} has no batching on, so no queue delay to sweep")

    def measure(setting: Mapping[str, Any]) -> LoadPoint | None:
        told = ", ".join(f"{name} {value}" for name, value in setting.items())
        press.say(told)
        try:
            served.what_if(**setting)
        except NavigatorError as error:
            if not served.server.running():
                raise
            notes.append(f"{told}: {error.message}")
            return None
        quiet = replace(press, say=lambda text: None)
        if rates:
            return quiet.open(rates[0], arrivals)
        return quiet.closed(levels[0] if levels else 16)

    try:
        return swept(measure, space, start, limit_ms=limit_ms)
    finally:
        if served.server.running():
            served.what_if()


def _opinions(
    served: Served, press: Press, points: list[LoadPoint], wanted: bool | None, notes: list[str]
) -> list[dict[str, float]]:
    if wanted is False or any(point.ended for point in points):
        return []
    binary = perf_analyzer.find()
    if binary is None:
        if wanted:
            raise NavigatorError(
                "perf_analyzer is not on PATH",
                "pip install 'tritonclient==2.50.0' in an environment of its own has it in bin/; it "
                "wants libb64 and CUDA's runtime library (nvidia-cuda-runtime-cu12)",
            )
        return []
    made = []
    for point in points:
        press.say(f"perf_analyzer at concurrency {point.level:g}")
        try:
            made.append(
                perf_analyzer.ask(
                    binary, served.server.grpc, served.name, press.feeds, int(point.level),
                    batch=press.request_batch,
                    batched=int(served.config.get("max_batch_size", 0)) > 0,
                    sequence=press.sequence,
                )
            )  # fmt: skip
        except NavigatorError as error:
            notes.append(f"no second opinion: {error.message}")
            break
    return made
