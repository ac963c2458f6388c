"""What a Triton server would refuse in a repository, said before it does. Starts nothing.

Configurations are checked by themselves, and against the model file where its runtime is installed
here. Ensembles, sequences and the details of other schedulers are not looked into.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PackageError
from .artefact import ports
from .config import dtype_name, messages, type_text
from .native import DEFAULT_FILES, PLATFORMS
from .repository import CONFIG, WARMUP, read, versions

KNOWN = (*DEFAULT_FILES, "tensorrtllm", "vllm", "dali", "fil", "identity", "repeat", "square")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a model. ``error``: the server would not load it."""

    model: str
    message: str
    remedy: str = ""
    error: bool = True


def check(repository: Path) -> list[Finding]:
    """All findings of a repository, model by model.

    Raises:
        PackageError: there is no such folder.
    """
    repository = Path(repository)
    if not repository.is_dir():
        raise PackageError(f"there is no model repository {repository}")
    found: list[Finding] = []
    for folder in sorted(repository.iterdir()):
        if folder.is_dir():
            found += check_model(folder)
    return found


def check_model(folder: Path) -> list[Finding]:
    """The findings of one model's folder."""
    model = folder.name
    if not (folder / CONFIG).exists():
        return [
            Finding(
                model,
                f"has no {CONFIG}; a server can only guess one for some formats",
                "write one",
                error=False,
            )
        ]
    try:
        config = read(folder)
    except PackageError as error:
        return [Finding(model, error.message, error.remedy)]
    found = []
    for item in _all(folder, config):
        one = Finding(model, item) if isinstance(item, str) else item
        found.append(one)
    return found


def _all(folder: Path, config: Any) -> Iterator[str | Finding]:
    if config.name and config.name != folder.name:
        yield f"unexpected directory name '{folder.name}' for model '{config.name}', directory name must equal model name"
    if config.max_batch_size < 0:
        yield f"'max_batch_size' must be a non-negative value, not {config.max_batch_size}"
    yield from _tensors(config)
    yield from _batching(config)
    yield from _instances(config)
    yield from _warmup(folder, config)
    if config.platform == "ensemble" or config.HasField("ensemble_scheduling"):
        return
    there = versions(folder)
    if not there:
        yield "at least one version must be available: there is no version folder (1, 2, …)"
    backend = config.backend or next((b for b, p in PLATFORMS.items() if p == config.platform), "")
    if not backend:
        yield f"must specify 'platform' or 'backend'; platform {config.platform!r} is none that is known"
        return
    if config.platform and PLATFORMS.get(backend, config.platform) != config.platform:
        yield f"unexpected 'platform' and 'backend' pair, got: {config.platform}, {backend}"
    if backend not in KNOWN:
        yield Finding(
            folder.name,
            f"the backend {backend!r} is none of Triton's own",
            f"a server needs it in its backend directory; known are {', '.join(KNOWN)}",
            error=False,
        )
        return
    filename = config.default_model_filename or DEFAULT_FILES.get(backend)
    for version in _served(config, there):
        path = folder / str(version) / (filename or "")
        if not path.exists():
            yield f"unable to find '{version}/{filename}' for the {backend} backend"
        else:
            yield from _file(backend, path, config)


def _served(config: Any, there: list[int]) -> list[int]:
    """The versions that the policy makes the server load."""
    policy = config.version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return there
    if kind == "specific":
        return [v for v in there if v in policy.specific.versions]
    return there[-max(policy.latest.num_versions, 1) :] if kind == "latest" else there[-1:]


def _tensors(config: Any) -> Iterator[str]:
    for kind, tensors in (("input", config.input), ("output", config.output)):
        seen: set[str] = set()
        for io in tensors:
            who = f"model {kind} '{io.name}'"
            if not io.name:
                yield f"model {kind} must specify 'name'"
            elif io.name in seen:
                yield f"{who} is there twice"
            seen.add(io.name)
            if io.data_type == messages().TYPE_INVALID:
                yield f"{who} must specify 'data_type'"
            if not io.dims:
                yield f"{who} must specify 'dims'"
            if any(d < 1 and d != -1 for d in io.dims):
                yield f"{who} dimension must be integer >= 1, or -1, not {list(io.dims)}"
            if io.HasField("reshape"):
                yield from _reshape(io, who, config.max_batch_size)


def _reshape(io: Any, who: str, largest: int) -> Iterator[str]:
    shape = list(io.reshape.shape)
    if not shape and largest == 0:
        yield f"{who} cannot have empty reshape for non-batching model as scalar tensors are not supported"
    if any(d < 1 and d != -1 for d in shape):
        yield f"{who} reshape dimensions must be integer >= 1, or -1, not {shape}"
    elif _runs(io.dims) != _runs(shape):
        yield f"{who} has different size for dims {list(io.dims)} and reshape {shape}"


def _runs(dims: Any) -> list[int]:
    """Elements between the free axes: what a reshape must keep."""
    runs = [1]
    for dim in dims:
        if dim == -1:
            runs.append(1)
        else:
            runs[-1] *= dim
    return runs


def _batching(config: Any) -> Iterator[str]:
    if not config.HasField("dynamic_batching"):
        return
    for size in config.dynamic_batching.preferred_batch_size:
        if size <= 0:
            yield f"dynamic batching preferred size must be positive, not {size}"
        elif size > config.max_batch_size:
            yield (
                f"dynamic batching preferred size must be <= max batch size: {size} is above "
                f"{config.max_batch_size}"
            )


def _instances(config: Any) -> Iterator[str]:
    kinds = messages().ModelInstanceGroup
    for group in config.instance_group:
        if group.kind == kinds.KIND_CPU and group.gpus:
            yield f"instance group {group.name!r} has kind KIND_CPU but specifies one or more GPUs"
        if group.count < 0:
            yield f"instance group {group.name!r} has a count of {group.count}"


def _warmup(folder: Path, config: Any) -> Iterator[str]:
    for setting in config.model_warmup:
        if setting.batch_size == 0:
            continue  # the server skips it
        for name, one in setting.inputs.items():
            who = f"warm-up {setting.name!r}, input '{name}'"
            if any(d < 0 for d in one.dims):
                yield f"{who}: all variable-size dimensions must be specified, not {list(one.dims)}"
                continue
            kind = one.WhichOneof("input_data_type")
            if kind is None:
                yield f"{who}: input_data_type must be set"
            elif kind == "input_data_file":
                yield from _warmup_file(folder / WARMUP / one.input_data_file, one, who)


def _warmup_file(path: Path, one: Any, who: str) -> Iterator[str]:
    if not path.is_file():
        yield f"{who}: the file {WARMUP}/{path.name} does not exist"
        return
    kind = type_text(one.data_type)
    if kind in ("TYPE_STRING", "TYPE_INVALID"):
        return
    digits = "".join(c for c in dtype_name(kind) if c.isdigit())
    needed = math.prod(one.dims) * (int(digits) // 8 if digits else 1)
    if path.stat().st_size < needed:
        yield f"{who}: expects {needed} bytes, but {path.name} only has {path.stat().st_size}"


def _file(backend: str, path: Path, config: Any) -> Iterator[str | Finding]:
    """The configuration against the model file, where its runtime is here."""
    if backend not in ("onnxruntime", "openvino", "pytorch"):
        return
    try:
        found = ports(backend, path)
    except ImportError as error:
        yield Finding(
            config.name, f"{path.name} was not looked into: {error}", "install it", error=False
        )
        return
    except PackageError as error:
        yield error.message
        return
    if found.problem:
        yield f"unable to load {path.name}: {found.problem}"
    if backend == "pytorch":
        for kind, have, said in (("input", found.inputs, config.input),):
            if said and len(have) != len(said):
                yield f"configuration expects {len(said)} {kind}s, model provides {len(have)}"
        return
    for kind, have, said in (
        ("input", found.inputs, config.input),
        ("output", found.outputs, config.output),
    ):
        by_name = {port.name: port for port in have}
        for io in said:
            port = by_name.get(io.name)
            if port is None:
                yield f"unexpected inference {kind} '{io.name}', allowed {kind}s are: {', '.join(by_name)}"
                continue
            # The openvino backend converts to the type that is asked.
            asked = dtype_name(type_text(io.data_type)) if io.data_type else port.dtype
            if asked != port.dtype and backend == "onnxruntime":
                yield (
                    f"configuration expects datatype {type_text(io.data_type)} for {kind} "
                    f"'{io.name}', model provides {port.dtype}"
                )
            if port.dims is not None:
                yield from _dims(kind, io, port.dims, config.max_batch_size)


def _dims(kind: str, io: Any, dims: tuple[int, ...], largest: int) -> Iterator[str]:
    asked = list(io.reshape.shape if io.HasField("reshape") else io.dims)
    if not dims:
        if largest or any(d != 1 for d in asked):
            yield f"scalar tensor '{io.name}' should only provide 1 in a model without batching, not {asked}"
        return
    if largest:
        if dims[0] != -1:
            yield (
                f"tensor '{io.name}': for the model to support batching the first dimension must "
                f"be -1; but shape expected by the model is {list(dims)}"
            )
            return
        asked = [-1, *asked]
    exact = kind == "output"
    if len(asked) != len(dims) or any(
        a != d and (exact or d != -1) for a, d in zip(asked, dims, strict=True)
    ):
        yield (
            f"tensor '{io.name}': the model's shape is {list(dims)} but the configuration specifies "
            f"{asked}"
        )
