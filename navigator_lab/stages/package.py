"""The Triton package of a target: its model's folder, ready to be put into a repository.

Native where Triton has a backend that computes what was measured; else the Python backend with
the runner that was measured. What can't be expressed is said in the notes. Nothing is put into
the user's repository here: that is `navigator_lab.triton.repository.publish`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PackageError
from ..triton import defaults, environment, native, tensors
from ..triton.carry import artefact_files, carry
from ..triton.config import messages, parse, to_text
from ..triton.fields import fill
from ..triton.labels import label_files
from ..triton.modelconfig import ModelConfig
from ..triton.rehearsal import rehearse, requests
from ..triton.repository import checked_name, checked_version, write
from ..triton.runtime import STANDINS
from ..types import samples as stored
from ..types.measure import Timing
from ..types.outcome import Product
from ..types.plugin import At, action, option
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
    max_queue_delay_us: int = option(
        0, "how long a request may wait for company; 0: what the latency limit leaves", unit="µs"
    )
    instance_count: int = option(1, "instances of the model on each device")
    warmup: bool = option(True, "send real samples through the model before it is called ready")
    backend: str = option(
        "", "python: serve with the measured runner although Triton has a backend of its own",
        choices=("", "python"),
    )  # fmt: skip
    platform: bool = option(False, "write the older 'platform' line instead of 'backend'")
    p99_ms: float = option(
        0.0, "latency limit that batch sizes and queue delay are chosen by; 0: none", unit="ms"
    )
    labels: str = option(
        "", "names of an output's elements, written as its label file: a list where there is one "
        "output, else a dict of lists, or their JSON text",
    )  # fmt: skip
    environment: str = option(
        "", "pack this interpreter, and of its packages what the runner needs, for the Python "
        "backend; True: the one that was measured with",
    )  # fmt: skip
    config: str = option(
        "", "fields of Triton's ModelConfig that replace the defaults: a dict, or its JSON text"
    )

    def __post_init__(self) -> None:
        if isinstance(self.config, ModelConfig):
            object.__setattr__(self, "config", self.config.to_dict())
        for name in ("config", "labels"):
            given = getattr(self, name)
            if not isinstance(given, str):
                said = json.dumps(given, sort_keys=True, default=_number) if given else ""
                object.__setattr__(self, name, said)
        if isinstance(self.environment, bool) or self.environment is None:
            object.__setattr__(self, "environment", "true" if self.environment else "")
        asked = self.fields()
        self.labelled(())
        # Sizes decide more than their own line: dims, warm-up, what is gathered.
        if "max_batch_size" in asked and self.max_batch_size < 0:
            object.__setattr__(self, "max_batch_size", asked["max_batch_size"])
        for name, instead in (("name", "name=…"), ("platform", "platform=True"),
                              ("backend", 'backend="python"')):  # fmt: skip
            if name in asked and asked[name] != getattr(self, name):
                raise PackageError(
                    f"config says {name} {asked[name]!r}, which is not for the configuration alone",
                    f"give package(…, {instead})",
                )

    def fields(self) -> dict[str, Any]:
        """What ``config`` says, as plain Python."""
        asked = self._json("config")
        fill(messages().ModelConfig(), asked)
        return dict(asked)

    def labelled(self, outputs: Sequence[str]) -> dict[str, list[str]]:
        """What ``labels`` says by output; a mere list is of the only one."""
        said = self._json("labels")
        if isinstance(said, list) and len(outputs) > 1:
            raise PackageError(
                f"labels don't say of which output: {', '.join(outputs)}",
                f"labels={{{outputs[0]!r}: […]}}",
            )
        by_output = dict.fromkeys(outputs, said) if isinstance(said, list) else said
        if not isinstance(by_output, dict) or not all(
            isinstance(one, list) for one in by_output.values()
        ):
            raise PackageError(
                f"labels are no lists: {self.labels}", "labels={'output': ['a', 'b']}"
            )
        return by_output

    def _json(self, name: str) -> Any:
        try:
            return json.loads(getattr(self, name) or "{}")
        except ValueError as error:
            raise PackageError(f"{name} is no JSON: {error}", "give a dict") from error


def _number(value: Any) -> Any:
    """numpy's numbers as Python's; what is none is refused by name."""
    if hasattr(value, "item"):
        return value.item()
    raise PackageError(f"config holds {value!r}", "give numbers, texts, lists and dicts")


@dataclass(frozen=True, slots=True)
class Package:
    """Value of ``package``: what lies in the folder ``name``."""

    name: str
    version: int
    backend: str
    config: str  # the text of config.pbtxt
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()  # a field, and where its value comes from


@action("package", options=PackageOptions, needs=("tritonclient", "protobuf"), hardware=True)
def package(at: At, model: Product, samples: Product, timing: Product | None = None) -> Package:
    """Write the Triton package of a target."""
    options = at.options or PackageOptions()
    checked_name(options.name)
    checked_version(options.version)
    defaults.sane(options)
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
    largest, why = defaults.largest(options, signature, found, timing)
    notes += [why] if why else []
    given = "asked for" if options.max_batch_size >= 0 else "the model has no batch axis"
    reasons = {"max_batch_size": why or given}
    config = messages().ModelConfig(name=options.name, max_batch_size=largest)
    _name_backend(config, found, options, notes)
    notes += tensors.describe(config, signature, found)
    native.tune(config, at.about, found, at.opened_with(at.about), notes)
    defaults.schedule(config, at.about.device, options, timing, notes, reasons)
    for group in config.instance_group:
        group.profile.extend(found.profiles)
    if config.input:
        reasons["input, output"] = "the model's signature and the samples that it was measured on"
    defaults.override(config, options.fields(), reasons)
    called = {spec.name: native.served_name(spec, found) for spec in signature.outputs}
    labels = options.labelled(list(called))
    beside: dict[str, bytes | Path] = dict(
        label_files(config, {called.get(name, name): given for name, given in labels.items()})
    )
    warm = tensors.warmup(config, signature, feeds) if options.warmup else {}
    folder = at.out / options.name
    with tempfile.TemporaryDirectory(prefix="navigator-lab-package-") as scratch:
        if found.backend == "python":
            runner = at.runners[at.about.runner]
            carried = carry(
                at.about,
                runner,
                model,
                signature,
                Path(scratch),
                at.opened_with(at.about),
                found.asked,
            )
            files, notes = carried.files, [*notes, *carried.notes]
            if options.environment:
                at.say("packing the environment")
                beside |= environment.packed(
                    config, Path(scratch), carried.requirements, options.environment, notes
                )
        else:
            if options.environment:
                raise PackageError(
                    f"Triton's {found.backend} backend takes no environment: it is for Python",
                    "leave it out, or give backend='python' too",
                )
            files = native.files(at.formats[at.about.format], model, artefact_files(model))
        write(folder, options.version, files, config, warm, beside)
    if warm:
        reasons["model_warmup"] = "the first sample, alone and at the largest batch"
    listed = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return Package(
        options.name,
        options.version,
        found.backend,
        to_text(config),
        tuple(listed),
        tuple(dict.fromkeys(notes)),
        tuple(reasons.items()),
    )


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
