"""What an addition to a repository may not do unasked: overwrite a version, or change what all share.

The rules alone, for folders (`repository`) and object stores (`objectstore`) alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from ..errors import PackageError
from . import config as configs

CONFIG = "config.pbtxt"
WARMUP = "warmup"


def beside(folder: Path) -> list[str]:
    """The files of a model's folder that belong to no version, but for its configuration."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(n for n in names if n != CONFIG and not n.partition("/")[0].isdigit())


def same_file(name: str, file: str, here: IO[bytes], there: IO[bytes]) -> None:
    """Refuse to overwrite what all versions share: labels, an environment. Warm-up data may differ.

    Raises:
        PackageError: it is another one.
    """
    if file.startswith(f"{WARMUP}/"):
        return
    while chunk := here.read(1 << 20):
        if chunk != there.read(len(chunk)):
            break
    else:
        if not there.read(1):
            return
    raise PackageError(
        f"{name!r} has another {file} already, which all of its versions share",
        "give the same as before, another name, or overwrite=True",
    )


def taken(
    name: str, where: str, there: list[int], found: list[int], before: Any, config: Any
) -> None:
    """Refuse to overwrite: a version that exists, or a configuration that differs.

    ``there`` and ``before`` are what the repository has, ``found`` and ``config`` what is added.

    Raises:
        PackageError: it would overwrite; the way out is named.
    """
    both = [version for version in found if version in there]
    if both:
        raise PackageError(
            f"{name!r} has version {both[0]} already in {where}",
            f"give version={max(there) + 1}, or overwrite=True to replace it",
        )
    differing = configs.differences(before, config) if before is not None else []
    if differing:
        shown = "; ".join(differing[:5]) + (" …" if len(differing) > 5 else "")
        raise PackageError(
            f"{name!r} exists in {where} with another configuration: {shown}",
            "give another name, the same options as before, or overwrite=True",
        )
