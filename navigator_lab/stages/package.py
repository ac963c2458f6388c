"""The Triton package of a target: its model's folder, ready to be put into a repository.

Native where Triton has a backend that computes what was measured; else the Python backend with
the runner that was measured. What can't be expressed is said in the notes. Nothing is put into
the user's repository here: that is `navigator_lab.triton.repository.publish`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..errors import PackageError
from ..triton import native, tensors
from ..triton.carry import artefact_files, carry
from ..triton.config import messages, to_text
from ..triton.repository import checked_name, checked_version, write
from ..types import samples as stored
from ..types.measure import Timing
from ..types.outcome import Product
from ..types.plugin import At, action, option
from ..types.signature import BATCH, Signature


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """What the package is to be. Zero and empty mean: what was measured says it."""

    name: str = option("model", "the model's name in the repository")
    version: int = option(1, "the version's number")
    max_batch_size: int = option(
        -1, "largest batch that Triton makes; 0: none; -1: the largest that was measured"
    )
    dynamic_batching: bool = option(True, "let Triton gather requests into batches")
    preferred_batch_sizes: tuple[int, ...] = option(
        (), "sizes that the batcher sends off at once; empty: the best that was measured"
    )
    max_queue_delay_us: int = option(0, "how long a request may wait for company", unit="µs")
    instance_count: int = option(1, "instances of the model on each device")
    warmup: bool = option(True, "send real samples through the model before it is called ready")
    backend: str = option(
        "", "python: serve with the measured runner although Triton has a backend of its own",
        choices=("", "python"),
    )  # fmt: skip
    platform: bool = option(False, "write the older 'platform' line instead of 'backend'")


@dataclass(frozen=True, slots=True)
class Package:
    """Value of ``package``: what lies in the folder ``name``."""

    name: str
    version: int
    backend: str
    config: str  # the text of config.pbtxt
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


@action("package", options=PackageOptions, needs=("tritonclient", "protobuf"))
def package(at: At, model: Product, samples: Product, timing: Product | None = None) -> Package:
    """Write the Triton package of a target."""
    options = at.options or PackageOptions()
    name, version = checked_name(options.name), checked_version(options.version)
    _check(options)
    signature = samples.read(Signature)
    format = at.formats[at.about.format]
    found = native.fit(at.about, format, model, signature)
    notes = list(found.notes)
    if options.backend == "python" and found.backend != "python":
        found = replace(found, backend="python", refused="")
        notes = ["the Python backend was asked for"]

    largest, why = _largest(options, signature, found, timing)
    notes += [why] if why else []
    config = messages().ModelConfig(name=name, max_batch_size=largest)
    _name_backend(config, found, options, notes)
    made = at.out / name
    scratch = at.out / ".made"
    scratch.mkdir()
    try:
        if found.backend == "python":
            carried = carry(at.about, at.runners[at.about.runner], model, signature, scratch)
            files, more = carried.files, carried.notes
            notes += [found.refused] if found.refused else []
            notes += more
        else:
            files = native.files(format, model, artefact_files(model))
        notes += tensors.describe(config, signature, found)
        native.tune(config, at.about, found, notes)
        _schedule(config, at, options, timing, notes)
        warm = (
            tensors.warmup(config, signature, stored.read(samples.path)) if options.warmup else {}
        )
        write(made, version, files, config, warm)
    finally:
        for one in scratch.iterdir():
            one.unlink()
        scratch.rmdir()
    listed = sorted(str(p.relative_to(made)) for p in made.rglob("*") if p.is_file())
    return Package(
        name, version, found.backend, to_text(config), tuple(listed), tuple(dict.fromkeys(notes))
    )


def _check(options: PackageOptions) -> None:
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


def _largest(
    options: PackageOptions, signature: Signature, found: native.Fit, timing: Product | None
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
    if asked >= 0:
        if asked > limit:
            raise PackageError(
                f"max_batch_size={asked}, but the model was built for batches up to {limit}",
                "build it with a larger maximum of the batch axis, or ask for less",
            )
        return asked, ""
    measured = [b.batch for b in timing.read(Timing).batches] if timing else []
    if measured:
        return min(
            max(measured), limit
        ), f"max_batch_size {min(max(measured), limit)} is the largest batch that was measured"
    if limit == 2**31 - 1:
        return 1, "nothing was measured and no range of the batch is known: max_batch_size is 1"
    return (
        limit,
        f"nothing was measured: max_batch_size {limit} is the largest batch it was built for",
    )


def _name_backend(
    config: Any, found: native.Fit, options: PackageOptions, notes: list[str]
) -> None:
    if not options.platform:
        config.backend = found.backend
    elif found.backend in native.PLATFORMS:
        config.platform = native.PLATFORMS[found.backend]
    else:
        config.backend = found.backend
        notes.append(f"Triton has no platform name for {found.backend}: 'backend' is written")
    if found.filename:
        config.default_model_filename = found.filename


def _schedule(
    config: Any, at: At, options: PackageOptions, timing: Product | None, notes: list[str]
) -> None:
    """Instances, and how requests are gathered."""
    device = at.about.device
    group = config.instance_group.add(count=options.instance_count)
    kinds = messages().ModelInstanceGroup
    if device.kind == "cuda":
        group.kind = kinds.KIND_GPU
        group.gpus.append(device.index or 0)
    else:
        group.kind = kinds.KIND_CPU
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
    best = timing.read(Timing).best_batch if timing else None
    if not asked and best and 1 < best < config.max_batch_size:
        asked = (best,)
        notes.append(f"preferred batch size {best}: beyond it no throughput was gained")
    config.dynamic_batching.preferred_batch_size.extend(asked)
    config.dynamic_batching.max_queue_delay_microseconds = options.max_queue_delay_us
