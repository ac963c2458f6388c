"""The Triton package of a target: its model's folder, ready to be put into a repository.

Native where Triton has a backend that computes what was measured; else the Python backend with
the runner that was measured. What can't be expressed is said in the notes. Nothing is put into
the user's repository here: that is `navigator_lab.triton.repository.publish`.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PackageError
from ..triton import native, tensors
from ..triton.carry import artefact_files, carry
from ..triton.config import messages, parse, to_text
from ..triton.rehearsal import rehearse, requests
from ..triton.repository import checked_name, checked_version, write
from ..triton.runtime import STANDINS
from ..types import samples as stored
from ..types.measure import Timing
from ..types.outcome import Product
from ..types.plugin import At, action, option, options_of
from ..types.signature import BATCH, Signature

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]


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


@action("package", options=PackageOptions, needs=("tritonclient", "protobuf"), hardware=True)
def package(at: At, model: Product, samples: Product, timing: Product | None = None) -> Package:
    """Write the Triton package of a target."""
    options = at.options or PackageOptions()
    checked_name(options.name)
    checked_version(options.version)
    _check(options)
    signature = samples.read(Signature)
    feeds = stored.read(samples.path)
    measured = timing.read(Timing) if timing else None
    found = native.fit(at.about, at.formats[at.about.format], model, signature)
    if options.backend == "python" and found.backend != "python":
        found = native.Fit("python", asked="the Python backend was asked for")
    made = _write(at, model, signature, feeds, measured, options, found)
    if found.backend in STANDINS:
        problem = _rehearsed(at, model, signature, feeds, options, found, made)
        said = f"Triton's {found.backend} backend would not compute what was measured: {problem}"
        if problem and options.backend == "native":
            return replace(made, notes=(*made.notes, said))
        if problem:
            shutil.rmtree(at.out / options.name)
            found = native.Fit("python", asked=said)
            made = _write(at, model, signature, feeds, measured, options, found)
    return made


def _write(
    at: At,
    model: Product,
    signature: Signature,
    feeds: list[Arrays],
    timing: Timing | None,
    options: PackageOptions,
    found: native.Fit,
) -> Package:
    """The model's folder, for one way to serve it."""
    notes = list(found.notes)
    largest, why = _largest(options, signature, found, timing)
    notes += [why] if why else []
    config = messages().ModelConfig(name=options.name, max_batch_size=largest)
    _name_backend(config, found, options, notes)
    notes += tensors.describe(config, signature, found)
    native.tune(config, at.about, found, _run_options(at), notes)
    _schedule(config, at, options, timing, notes)
    warm = tensors.warmup(config, signature, feeds) if options.warmup else {}
    folder = at.out / options.name
    with tempfile.TemporaryDirectory(prefix="navigator-lab-package-") as scratch:
        if found.backend == "python":
            runner = at.runners[at.about.runner]
            carried = carry(
                at.about, runner, model, signature, Path(scratch), _run_options(at), found.asked
            )
            files, notes = carried.files, [*notes, *carried.notes]
        else:
            files = native.files(at.formats[at.about.format], model, artefact_files(model))
        write(folder, options.version, files, config, warm)
    listed = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return Package(
        options.name,
        options.version,
        found.backend,
        to_text(config),
        tuple(listed),
        tuple(dict.fromkeys(notes)),
    )


def _run_options(at: At) -> Any:
    """The runner's options as they were measured."""
    return options_of(at.runners[at.about.runner].action.options, at.run_options)


def _rehearsed(
    at: At,
    model: Product,
    signature: Signature,
    feeds: list[Arrays],
    options: PackageOptions,
    found: native.Fit,
    made: Package,
) -> str:
    """Why the native backend would compute something else than was measured, or ""."""
    if at.about.device.kind != "cpu":
        return ""  # its flags are in the configuration; what a GPU computes is seen on a server
    at.say("trying the package as Triton's backend would open it")
    config = parse(made.config)
    largest = config.max_batch_size or (signature.axis(BATCH).max if signature.batched else 0)
    with at.open(model, at.about, signature) as running:

        def direct(one: Arrays) -> Arrays:
            copies = {name: array.copy() for name, array in one.items()}
            got = running.get(running.run(running.put(copies)))
            return {name: array.copy() for name, array in got.items()}

        return rehearse(
            at.out / options.name,
            config,
            found.backend,
            options.version,
            requests(feeds, signature, largest),
            None if signature.stateful else direct,
            found.names,
            at.about.precision,
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
    options: PackageOptions, signature: Signature, found: native.Fit, timing: Timing | None
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
    measured = [b.batch for b in timing.batches] if timing else []
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
    config: Any, at: At, options: PackageOptions, timing: Timing | None, notes: list[str]
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
    best = timing.best_batch if timing else None
    if not asked and best and 1 < best < config.max_batch_size:
        asked = (best,)
        notes.append(f"preferred batch size {best}: beyond it no throughput was gained")
    config.dynamic_batching.preferred_batch_size.extend(asked)
    config.dynamic_batching.max_queue_delay_microseconds = options.max_queue_delay_us
