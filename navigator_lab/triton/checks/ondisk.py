"""The files around a configuration: version folders, labels, warm-up samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..labels import count, elements
from .finding import Finding, noted, refused


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
    if any(version >= 2**63 for version in there):
        yield refused(
            f"version directory '{there[-1]}' is larger than a server can count",
            "it would end the whole server: rename it",
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
        elif elements(io) not in (None, have := count(path)):
            yield noted(
                f"'{io.label_filename}' has {have} labels for the {elements(io)} elements of output "
                f"'{io.name}'",
                "a server answers an empty text where there is none",
            )
