"""The files around a configuration: version folders, labels, warm-up samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..repository import WARMUP
from .finding import Finding, noted, refused
from .sequences import INITIAL, bytes_of

_NO_VERSIONS = {WARMUP, INITIAL, "configs"}


def served(config: Any, folder: Path) -> list[int]:
    """The versions that the policy makes the server load, from the oldest on."""
    there = _versions(folder)
    policy = config.version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "specific":
        return [v for v in there if v in policy.specific.versions]
    if kind == "latest":
        count = policy.latest.num_versions
        return there[-count:] if count else []
    return there


def _versions(folder: Path) -> list[int]:
    found = set()
    for one in folder.iterdir() if folder.is_dir() else ():
        name = one.name
        plain = name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")
        if plain and one.is_dir():
            found.add(int(name))
    return sorted(found)


def version_folders(config: Any, folder: Path) -> Iterator[Finding]:
    """Whether there is a version to load; what is taken for none."""
    there = _versions(folder)
    if not served(config, folder):
        policy = config.version_policy
        kind = policy.WhichOneof("policy_choice") or "all"
        asked = f"{kind} {list(policy.specific.versions)}" if kind == "specific" else kind
        yield refused(
            "at least one version must be available under the version policy of model "
            f"'{config.name}'",
            f"version folders: {', '.join(map(str, there)) or 'none'}; the policy asks for {asked}"
            if there
            else "make a version folder (1, 2, …) with the model's file in it",
        )
    elif config.version_policy.HasField("specific"):
        for version in config.version_policy.specific.versions:
            if version not in there:
                yield noted(
                    f"version {version} is specified for model '{config.name}', but the version "
                    "directory is not present",
                    "add it, or remove it from version_policy",
                )
    for one in sorted(folder.iterdir()) if folder.is_dir() else ():
        if one.is_dir() and one.name.startswith("0") and one.name.isdigit() and one.name != "0":
            yield noted(
                f"ignore version directory '{one.name}' which contains leading zeros in its "
                "directory name",
                f"rename it to {int(one.name)}",
            )


def labels(config: Any, folder: Path) -> Iterator[Finding]:
    """Label files must be there, inside the model's folder."""
    for io in config.output:
        if not io.label_filename:
            continue
        path = folder / io.label_filename
        if not path.is_file():
            yield refused(
                f"failed to open text file for read {path}: No such file or directory",
                f"output '{io.name}' names it in label_filename: put it beside config.pbtxt",
            )
        elif not path.resolve().is_relative_to(folder.resolve()):
            yield noted(
                f"label file path '{path}' for output '{io.name}' in model '{config.name}' is "
                "outside model directory",
                "newer servers refuse it: put it beside config.pbtxt",
            )


def warmup(config: Any, folder: Path) -> Iterator[Finding]:
    """Warm-up samples: sizes, files, and whether they are the model's inputs."""
    inputs = {io.name: io for io in config.input}
    for setting in config.model_warmup:
        if setting.batch_size == 0:
            continue  # the server skips it
        if setting.batch_size > max(config.max_batch_size, 1):
            yield noted(
                f"warm-up {setting.name!r} has a batch of {setting.batch_size}, the model takes "
                f"{max(config.max_batch_size, 1)}",
                "lower it",
            )
        for name, one in sorted(setting.inputs.items()):
            yield from _sample(name, one, folder)
            if inputs and name not in inputs:
                yield noted(
                    f"warm-up {setting.name!r} sends '{name}', which is no input of the model",
                    f"inputs are {', '.join(inputs)}; controls may be sent too",
                )
            elif name in inputs and inputs[name].data_type != one.data_type:
                yield noted(
                    f"warm-up {setting.name!r} sends '{name}' in another type than the model takes",
                    "give both the same data_type",
                )
        for name in inputs:
            if name not in setting.inputs and not inputs[name].optional:
                yield noted(f"warm-up {setting.name!r} lacks input '{name}'", "add it")


def _sample(name: str, one: Any, folder: Path) -> Iterator[Finding]:
    if any(d < 0 for d in one.dims):
        yield refused(
            f"warmup setting expects all variable-size dimensions are specified for input '{name}'",
            f"its dims are {list(one.dims)}: give the sample's own",
        )
        return
    kind = one.WhichOneof("input_data_type")
    if kind is None:
        yield refused(
            f"warmup setting expects input '{name}' to have input_data_type set",
            "give zero_data, random_data or input_data_file",
        )
    elif kind == "input_data_file":
        path = folder / WARMUP / one.input_data_file
        if not path.is_file():
            yield refused(
                f"failed to open text file for read {path}: No such file or directory",
                f"put it into {WARMUP}/ beside config.pbtxt",
            )
            return
        needed = bytes_of(one.data_type, one.dims)
        if needed is not None and path.stat().st_size < needed:
            yield refused(
                f"warmup setting expects {needed} bytes, but the data provided from "
                f"{one.input_data_file}only has {path.stat().st_size} bytes",
                f"input '{name}': write one sample without a batch axis",
            )
