"""How far a target's batch can grow: until it no longer fits, and until it no longer pays.

A device that kills the process when its memory is used up costs this step its worker, and the
engine says so; what a runtime reports itself is an answer here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..types import samples as of_samples
from ..types.measure import BatchLimit
from ..types.outcome import Product
from ..types.plugin import At, Running, action, option
from ..types.signature import Signature
from .calls import Refused, call, words, wrong_size
from .memory import available

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class FindBatchOptions:
    """How far to look."""

    max_batch: int = option(1024, "no larger batch is tried", unit="samples")
    gain: float = option(0.05, "what doubling must gain in throughput to be worth it")
    seconds: float = option(0.3, "how long each batch size is timed", unit="s")
    calls: int = option(50, "how often each batch size is called at most")


@action("find_batch", options=FindBatchOptions, measures=True, fresh=True, hardware=True)
def find_batch(at: At, model: Product, samples: Product) -> BatchLimit:
    """Find the largest batch that runs, and the largest that still gains throughput."""
    options = at.options or FindBatchOptions()
    signature = samples.read(Signature)
    given = of_samples.read(samples.path)
    most = options.max_batch if signature.batched else 1
    declared = next((axis.max for axis in signature.axes if axis.name == "batch"), most)
    end = "the model has no batch axis" if not signature.batched else f"max_batch={most}"
    if declared < most:
        most, end = declared, f"the batch axis is declared up to {declared}"
    tried: dict[int, float] = {}
    refused: int | None = None
    said = ""
    with at.open(model, at.about, signature) as running:
        size = 1
        while size <= most:
            at.turn()
            why = _no_room(given, signature, size)
            rate = 0.0
            if not why:
                rate, why = _try(running, given, signature, size, options)
            if why:
                if size == 1:
                    raise Refused(f"refuses batch 1: {why}")
                refused, said = size, why
            else:
                tried[size] = rate
                at.say(f"batch {size}: {rate:.4g} samples a second")
            size = _next(size, tried, refused, most)
    if refused is not None:
        end = f"batch {refused} is refused: {said}"
    return BatchLimit(
        largest=max(tried),
        best=_best(tried, options.gain),
        tried=tuple(sorted(tried.items())),
        refused=refused,
        reason=end,
    )


def _next(size: int, tried: dict[int, float], refused: int | None, most: int) -> int:
    """Double until the end or a refusal, then halve the gap; beyond ``most`` when all is known."""
    good = max(tried)
    if refused is None:
        return min(size * 2, most) if size < most else most + 1
    return (good + refused) // 2 if refused - good > 1 else most + 1


def _best(tried: dict[int, float], gain: float) -> int:
    """The largest batch that was worth going to from the best smaller one.

    A batch that is half as large again must gain as much less than one that is twice as large.
    """
    sizes = sorted(tried)
    best = sizes[0]
    for size in sizes[1:]:
        if tried[size] >= tried[best] * (1 + gain * min(1.0, size / best - 1)):
            best = size
    return best


def _no_room(given: list[Arrays], signature: Signature, size: int) -> str:
    """Why the feeds alone wouldn't fit on the host: the process would be killed for it."""
    one = max(sum(array.nbytes for array in sample.values()) for sample in given)
    left = available()
    if one * size * 2 > left:
        return f"its inputs alone need {one * size >> 20} MiB, {left >> 20} MiB are left"
    return ""


def _try(
    running: Running,
    given: list[Arrays],
    signature: Signature,
    size: int,
    options: FindBatchOptions,
) -> tuple[float, str]:
    """Samples a second at a batch size, or why there are none."""
    try:
        feeds = of_samples.batch_of(given, signature, size)
        why = wrong_size(call(running, feeds), feeds, signature, size)
        if why:
            return 0.0, why
        call(running, feeds)
        took: list[float] = []
        end = time.perf_counter() + options.seconds
        while not took or (time.perf_counter() < end and len(took) < options.calls):
            started = time.perf_counter()
            call(running, feeds)
            took.append(time.perf_counter() - started)
    except Exception as error:  # noqa: BLE001 a runtime may raise anything; its words are the answer
        return 0.0, words(error)
    return size / sorted(took)[len(took) // 2], ""
