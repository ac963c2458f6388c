"""The parts of a configuration that follow from what was measured, each with where it comes from.

``options`` are those of the package stage; what the user gave there wins, and says so.
"""

from __future__ import annotations

from typing import Any

from ..errors import PackageError
from ..types.measure import Timing
from ..types.signature import BATCH, Signature
from ..types.target import Device
from . import native
from .checks import check_config
from .config import messages
from .fields import fill


def sane(options: Any) -> None:
    """Refuse sizes that mean nothing."""
    for field, least in (
        ("max_batch_size", -1),
        ("max_queue_delay_us", 0),
        ("instance_count", 1),
    ):
        if getattr(options, field) < least:
            raise PackageError(
                f"{field}={getattr(options, field)} means nothing", f"give {least} or more"
            )
    if any(size < 1 for size in options.preferred_batch_sizes):
        raise PackageError(
            f"preferred_batch_sizes={options.preferred_batch_sizes} holds a size below 1"
        )


def largest(
    options: Any, signature: Signature, found: native.Fit, timing: Timing | None
) -> tuple[int, str]:
    """``max_batch_size`` and, where it isn't plain, why."""
    asked = options.max_batch_size
    batchable = signature.batched and signature.batch_first
    if not batchable:
        if asked > 0:
            raise PackageError(
                f"max_batch_size={asked}, but not every input and output of this model has the "
                "batch as its first axis, which Triton's batching needs",
                "leave max_batch_size at 0; each request may still carry its own batch",
            )
        if signature.batched:
            return 0, (
                "max_batch_size is 0, as not every input and output has the batch as its first "
                "axis: requests carry their own batch and are not gathered"
            )
        return 0, ""
    if asked < 0 and found.no_batching:
        return 0, found.no_batching
    limit = next((axis.max for axis in signature.axes if axis.name == BATCH), 2**31 - 1)
    limit = min(limit, found.largest or limit)
    if asked >= 0:
        if asked > limit:
            raise PackageError(
                f"max_batch_size={asked}, but the model was built for batches up to {limit}",
                "build it with a larger maximum of the batch axis, or ask for less",
            )
        return asked, ""
    measured = _within(options, timing)
    if measured:
        size = min(max(measured), limit)
        if options.p99_ms:
            return size, (
                f"max_batch_size {size} is the largest measured batch within the limit: p99 "
                f"{measured[max(measured)]:.3g} ms of {options.p99_ms:g} ms"
            )
        return size, f"max_batch_size {size} is the largest batch that was measured"
    if limit == 2**31 - 1:
        return 1, "nothing was measured and no range of the batch is known: max_batch_size is 1"
    return (
        limit,
        f"nothing was measured: max_batch_size {limit} is the largest batch it was built for",
    )


def _within(options: Any, timing: Timing | None) -> dict[int, float]:
    """The measured batches within the latency limit, with their p99 in ms."""
    measured = {one.batch: one.p99_ms.value for one in timing.batches} if timing else {}
    if not options.p99_ms or not measured:
        return measured
    within = {batch: p99 for batch, p99 in measured.items() if p99 <= options.p99_ms}
    if not within:
        quickest = min(measured, key=lambda batch: measured[batch])
        raise PackageError(
            f"no measured batch has its p99 within {options.p99_ms:g} ms: the quickest is batch "
            f"{quickest} with {measured[quickest]:.3g} ms",
            "raise p99_ms, or choose another target",
        )
    return within


def override(config: Any, asked: dict[str, Any], reasons: dict[str, str]) -> None:
    """Write what was asked over the defaults, and hold the whole against the server's rules."""
    if not asked:
        return
    before = [[io.name for io in many] for many in (config.input, config.output)]
    fill(config, asked)
    if [[io.name for io in many] for many in (config.input, config.output)] != before:
        raise PackageError(
            "config gives other inputs or outputs than the model has: "
            + "; ".join(", ".join(names) for names in before),
            "give all of them, by these names and in this order",
        )
    for field in asked:
        for name in [n for n in reasons if n.partition(".")[0] == field]:
            if name == field or name.partition(".")[2] in (asked[field] or {}):
                del reasons[name]
        reasons[field] = "asked for in config"
    refused = [one for one in check_config(config) if one.error]
    if refused:
        raise PackageError(
            "a server would refuse the configuration that was asked for: " + refused[0].message,
            refused[0].remedy,
        )


def schedule(
    config: Any,
    device: Device,
    options: Any,
    timing: Timing | None,
    notes: list[str],
    reasons: dict[str, str],
) -> None:
    """Instances, and how requests are gathered."""
    group = config.instance_group.add(count=options.instance_count)
    kinds = messages().ModelInstanceGroup
    if device.kind == "cuda":
        group.kind = kinds.KIND_GPU
        group.gpus.append(device.index or 0)
    else:
        group.kind = kinds.KIND_CPU
    alone = "it was measured as one, alone" if timing else "nothing was measured"
    count = "asked for" if options.instance_count != 1 else alone
    where = f"measured on {device}" if timing else f"for {device}, as its target says"
    reasons["instance_group"] = f"{where}; count {options.instance_count}: {count}"
    asked = options.preferred_batch_sizes
    if not options.dynamic_batching or config.max_batch_size < 2:
        if asked:
            notes.append("preferred_batch_sizes are not written: nothing is gathered")
        return
    above = [size for size in asked if size > config.max_batch_size]
    if above:
        raise PackageError(
            f"a preferred batch size of {above[0]} is above max_batch_size {config.max_batch_size}",
            "lower it, or raise max_batch_size",
        )
    config.dynamic_batching.SetInParent()
    reasons["dynamic_batching"] = "requests can share a batch: it is the first axis of all tensors"
    why = "asked for"
    best = timing.best_batch if timing else None
    if not asked and best and 1 < best < config.max_batch_size:
        asked = (best,)
        why = f"preferred batch size {best}: beyond it no throughput was gained"
        notes.append(why)
    if asked:
        config.dynamic_batching.preferred_batch_size.extend(asked)
        reasons["dynamic_batching.preferred_batch_size"] = why
    delay, why = _delay(config.max_batch_size, options, timing)
    config.dynamic_batching.max_queue_delay_microseconds = delay
    reasons["dynamic_batching.max_queue_delay_microseconds"] = why


def _delay(largest: int, options: Any, timing: Timing | None) -> tuple[int, str]:
    """How long a request may wait for company, in microseconds, and why."""
    if options.max_queue_delay_us:
        return options.max_queue_delay_us, "asked for"
    if not options.p99_ms or timing is None:
        return 0, "no latency limit was given, so nothing waits: batches form while others run"
    within = [p99 for batch, p99 in _within(options, timing).items() if batch <= largest]
    longest = max(within, default=0.0)
    # It may come just after a batch has left: it waits for that one, and then for its own. Waiting
    # longer than a batch takes doesn't pay: others gather while it runs anyway.
    left = max(0.0, options.p99_ms - 2 * longest)
    if left > longest:
        return int(longest * 1000), (
            f"as long as the largest batch takes (p99 {longest:.3g} ms), which the limit of "
            f"{options.p99_ms:g} ms allows"
        )
    return int(left * 1000), (
        f"the limit of {options.p99_ms:g} ms less two batches with a p99 of {longest:.3g} ms: the "
        "one that runs, and its own"
    )
