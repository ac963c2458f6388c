"""A packed environment for Triton's Python backend: an interpreter, and the packages that a model needs.

What the backend asks for (its README, "Creating Custom Execution Environments", and its launcher):
an archive that ``EXECUTION_ENV_PATH`` names, with ``bin/activate``, which it sources before it
starts its stub, and ``lib``, where the stub finds its libpython. The stub is of one Python version,
and this environment must be of the same. Nothing here is installed or brought from anywhere: what
lies in an interpreter's own environment is copied, so the server gets the versions that were measured.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PackageError

ARCHIVE = "environment.tar.gz"
PARAMETER = "EXECUTION_ENV_PATH"
HERE = "$$TRITON_MODEL_DIRECTORY"  # what the backend puts the model's folder in for
ACTIVATE = "bin/activate"
_SCRIPT = """# Triton's Python backend sources this, and then starts its stub, which takes the python3 found first.
_environment="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PATH="$_environment/bin:$PATH"
unset PYTHONHOME PYTHONPATH _environment
"""
_LEFT_OUT = {
    "__pycache__", "site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo",
    "ensurepip", "lib2to3",
}  # fmt: skip
_ASK = r"""
import importlib.metadata, json, re, sys, sysconfig
found = {}
for one in importlib.metadata.distributions():
    name = re.sub(r"[-_.]+", "-", one.metadata["Name"] or "").lower()
    if name and name not in found:
        found[name] = {
            "version": one.version,
            "requires": one.requires or [],
            "home": str(one.locate_file("")),
            "files": None if one.files is None else [str(file) for file in one.files],
        }
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "stdlib": sysconfig.get_path("stdlib"),
    "python": getattr(sys, "_base_executable", None) or sys.executable,
    "library": [sysconfig.get_config_var(k) or "" for k in ("LIBDIR", "INSTSONAME")],
    "shared": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
    "distributions": found,
}))
"""


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed: Python's version, the distributions with theirs, what a user should know."""

    python: str
    distributions: tuple[str, ...]
    notes: tuple[str, ...]


def pack(path: Path, requirements: Sequence[str], python: str = "") -> Packed:
    """Write the archive. ``requirements``: as in requirements.txt; what they require comes along.

    ``python``: the interpreter whose environment they are taken from; by default this one.

    Raises:
        PackageError: the interpreter can't be asked, or its environment lacks something.
    """
    asked = _asked(python or sys.executable)
    there: dict[str, Any] = asked["distributions"]
    wanted, notes = _closure(requirements, there, asked["version"], python or sys.executable)
    with (
        open(path, "wb") as raw,
        gzip.GzipFile("", "wb", 3, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        # First, so that whoever looks for it need not read on.
        _add_bytes(archive, ACTIVATE, _SCRIPT.encode())
        _add(archive, "bin/python3", Path(asked["python"]).resolve())
        lib = f"lib/python{asked['version']}"
        for name, file in _standard(Path(asked["stdlib"])):
            _add(archive, f"{lib}/{name}", file)
        if asked["shared"]:
            library = Path(*asked["library"])
            _add(archive, f"lib/{library.name}", library.resolve())
        for name in wanted:
            for inside, file in _files(name, there[name]):
                _add(archive, f"{lib}/site-packages/{inside}", file)
    notes.append(
        f"the packed environment is of Python {asked['version']}: Triton's stub must be of that version "
        "(NVIDIA's containers have 3.12 from 24.11 on), or a triton_python_backend_stub of it be put "
        "beside config.pbtxt"
    )
    listed = tuple(f"{name}=={there[name]['version']}" for name in wanted)
    if any(re.match(r"numpy==[2-9]", one) for one in listed):
        notes.append("servers before 24.12 give empty answers under the numpy 2 that is packed")
    return Packed(asked["version"], listed, tuple(notes))


def stamped(python: str) -> str:
    """The interpreter with a mark of what is installed for it, so that a change of that shows."""
    said = json.dumps(_asked(python), sort_keys=True)
    return f"{python}#{hashlib.sha256(said.encode()).hexdigest()}"


def packed(
    config: Any, folder: Path, requirements: Sequence[str], python: str, notes: list[str]
) -> dict[str, Path]:
    """Pack into ``folder``, and name the archive in ``config``; the file to put beside it.

    ``python``: as `stamped` gives it.
    """
    made = pack(folder / ARCHIVE, requirements, python.partition("#")[0])
    config.parameters[PARAMETER].string_value = f"{HERE}/{ARCHIVE}"
    size = (folder / ARCHIVE).stat().st_size
    notes.append(f"{ARCHIVE} ({size / 1e6:.0f} MB) holds {', '.join(made.distributions)}")
    notes += made.notes
    return {ARCHIVE: folder / ARCHIVE}


def _asked(python: str) -> dict[str, Any]:
    try:
        said = subprocess.run(
            [python, "-c", _ASK], capture_output=True, text=True, check=True, timeout=120
        )
        return dict(json.loads(said.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise PackageError(
            f"no environment can be packed from {python}: {error}", "give a Python 3 interpreter"
        ) from error


def _closure(
    requirements: Sequence[str], there: dict[str, Any], version: str, python: str
) -> tuple[list[str], list[str]]:
    """The distributions that are needed, and where they are not those that were asked for."""
    from packaging.requirements import Requirement

    found: dict[str, set[str]] = {}  # with the extras that are asked of it
    notes = []
    todo = [(Requirement(one), "") for one in requirements]
    marked = {"python_version": version}
    while todo:
        one, asked_by = todo.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name not in there:
            need = f", which {asked_by} needs" if asked_by else ""
            raise PackageError(
                f"{python} has no {one}{need}, so it can't be packed", f"install {one} there"
            )
        if not one.specifier.contains(there[name]["version"], prereleases=True):
            notes.append(f"packed is {name} {there[name]['version']}, where {one} is asked for")
        extras = {"", *one.extras} - found.get(name, set())
        found.setdefault(name, set()).update(extras)
        for line in there[name]["requires"] if extras else ():
            more = Requirement(line)
            if more.marker is None and "" not in extras:
                continue
            if more.marker is None or any(
                more.marker.evaluate({**marked, "extra": extra}) for extra in extras
            ):
                todo.append((more, name))
    return sorted(found), list(dict.fromkeys(notes))


def _standard(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of the standard library, without its tests and what has a window."""
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        parts = inside.parts
        if _LEFT_OUT & set(parts) or parts[0].startswith("config-") or not file.is_file():
            continue
        yield inside.as_posix(), file


def _files(name: str, one: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """The files of a distribution, as they lie below ``site-packages``."""
    listed = one["files"]
    if listed is None or any("__editable__" in file for file in listed):
        raise PackageError(
            f"{name} is installed without a list of its files, or as a link to its sources",
            f"install it plainly: pip install {name}",
        )
    for inside in sorted(listed):
        file = Path(one["home"], inside)
        outside = inside.startswith(("../", "/"))  # its commands, its manual pages
        if outside or "__pycache__" in inside or not file.is_file():
            continue
        yield inside, file


def _add(archive: tarfile.TarFile, name: str, file: Path) -> None:
    """A file, by content: links would lead out of the archive, times and owners differ by machine."""
    said = tarfile.TarInfo(name)
    said.size, said.mode = file.stat().st_size, 0o755 if file.stat().st_mode & 0o100 else 0o644
    with open(file, "rb") as data:
        archive.addfile(said, data)


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    said = tarfile.TarInfo(name)
    said.size, said.mode = len(data), 0o755
    archive.addfile(said, io.BytesIO(data))


def activates(path: Path) -> bool:
    """Whether an environment, packed or not, has the script that the backend sources."""
    if path.is_dir():
        return (path / ACTIVATE).is_file()
    try:
        with tarfile.open(path, "r:*") as archive:
            return any(one.name.removeprefix("./") == ACTIVATE for one in archive)
    except (tarfile.TarError, OSError, EOFError):
        return False
