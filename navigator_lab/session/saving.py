"""A run on disk: in its workspace after every run, and as one ``.nav`` file to carry away.

A ``.nav`` is a zip of JSON, raw latencies and logs: no code, no pickle, no model. It opens on a
machine without GPU or frameworks. What comes from such a file is treated as hostile.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import stat
import tempfile
import weakref
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ..errors import PackageError
from ..types.codec import canonical, decode, encode
from ..types.measure import Tolerance
from ..types.outcome import Done
from ..types.request import Request
from ..types.run import Run, Settled
from .explored import Explored, Tolerances

FORMAT_VERSION = 1
_MAX_BYTES = 2 << 30  # of all members together, unpacked
_MAX_RATIO = 200  # of one member, unpacked ÷ packed
_MAX_MEMBERS = 50_000
E = TypeVar("E", bound=Explored)
_CARRIED = ("latency_ns.npz",)  # files of products that a loaded run can use


def write_run(
    folder: Path,
    run: Run,
    request: Request | None,
    tolerance: Tolerances,
    under_way: Mapping[str, Any] | None = None,
) -> None:
    """A run as ``run.json`` in its folder, replaced whole. ``under_way``: see `following`."""
    folder.mkdir(parents=True, exist_ok=True)
    data = _data(run, request, tolerance)
    if under_way is not None:
        data["under_way"] = under_way
    fresh = folder / "run.json.new"
    fresh.write_bytes(canonical(data))
    os.replace(fresh, folder / "run.json")


def _data(run: Run, request: Request | None, tolerance: Tolerances) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "run": encode(run),
        "request": None if request is None else str(request),
        "until": None if request is None else request.until,
        "tolerance": encode(dict(tolerance) if isinstance(tolerance, dict) else tolerance),
    }


def last_run(workspace: Path) -> Explored:
    """The newest run of a workspace, as it was left.

    Raises:
        PackageError: there is none.
    """
    found = sorted((workspace / "runs").glob("*/run.json"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise PackageError(
            f"there is no run in the workspace {workspace}", "navigator-lab run … makes one"
        )
    return read_run(found[-1], workspace, Explored)


def read_run(file: Path, workspace: Path, cls: type[E]) -> E:
    """A ``run.json`` of a workspace.

    Raises:
        PackageError: it is damaged or of a newer version.
    """
    return _read(file.read_bytes(), workspace, str(file), cls)


def save(run: Run, folder: Path, root: Path, path: Path, tolerance: Tolerances) -> Path:
    """A run as one file; what was there is replaced only when all is written."""
    path = path.expanduser()
    if not path.parent.is_dir():
        raise PackageError(f"there is no folder {path.parent}", "make it first")
    fresh = path.with_name(f".{path.name}.new")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("run.json", canonical(_data(run, None, tolerance)))
            if (folder / "journal.jsonl").is_file():
                file.write(folder / "journal.jsonl", "journal.jsonl")
            written = set()
            for step in (s for t in run.targets for s in t.steps):
                for source, name in _members(step, root):
                    if name not in written and source.is_file():
                        file.write(source, name)
                        written.add(name)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise PackageError(f"{path} can't be written: {error}") from error
    return path


def _members(step: Settled, root: Path) -> list[tuple[Path, str]]:
    found = [(root / step.log, step.log)] if step.log else []
    if isinstance(step.outcome, Done):
        product = step.outcome.product
        for name in _CARRIED:
            found.append((product.path / name, f"products/{product.digest}/{name}"))
    return found


class Loaded(Explored):
    """A run that was read from a ``.nav`` file: results, choices and logs, nothing to run."""

    def own(self, folder: Path) -> None:
        """Where it was unpacked: removed when this object goes, or the process ends."""
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


def load(path: str | Path) -> Explored:
    """A saved run. Needs no framework, no GPU and no workspace.

    Raises:
        PackageError: it is no such file, is damaged, of a newer version, or hostile: paths that
            are absolute or lead out, links, or far more data than its size allows.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise PackageError(f"there is no file {path}")
    root = Path(tempfile.mkdtemp(prefix="navigator-lab-"))
    try:
        with zipfile.ZipFile(path) as file:
            _check(file, path)
            for member in file.infolist():
                if not member.is_dir():
                    target = root.joinpath(*PurePosixPath(member.filename).parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with file.open(member) as source, target.open("wb") as sink:
                        _copy(source, sink, member.file_size, path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        shutil.rmtree(root, ignore_errors=True)
        raise PackageError(f"{path} is no saved run, or is damaged: {error}") from error
    except PackageError:
        shutil.rmtree(root, ignore_errors=True)
        raise
    try:
        if not (root / "run.json").is_file():
            raise PackageError(
                f"{path} holds no run.json, so it is no saved run of navigator_lab",
                "a .nav file of Triton Model Navigator is another thing of the same name",
            )
        made = _read((root / "run.json").read_bytes(), root, str(path), Loaded, root)
    except PackageError:
        shutil.rmtree(root, ignore_errors=True)
        raise
    made.own(root)
    return made


def _check(file: zipfile.ZipFile, path: Path) -> None:
    members = file.infolist()
    if len(members) > _MAX_MEMBERS:
        raise PackageError(f"{path} holds {len(members)} files; at most {_MAX_MEMBERS} can be")
    if sum(m.file_size for m in members) > _MAX_BYTES:
        raise PackageError(f"{path} would unpack to more than {_MAX_BYTES >> 30} GiB; refused")
    for member in members:
        name = member.filename
        parts = PurePosixPath(name).parts
        bad = name.startswith(("/", "\\")) or ".." in parts or "\\" in name or ":" in name
        if bad or "\0" in name or not parts:
            raise PackageError(f"{path} holds a file whose path leads elsewhere: {name!r}; refused")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise PackageError(f"{path} holds a link: {name!r}; refused")
        if member.file_size > (1 << 20) and member.file_size > _MAX_RATIO * max(
            member.compress_size, 1
        ):
            raise PackageError(
                f"{path}: {name!r} would unpack to {member.file_size} bytes from "
                f"{member.compress_size}; refused"
            )


def _copy(source: Any, sink: Any, size: int, path: Path) -> None:
    left = size
    while chunk := source.read(1 << 20):
        left -= len(chunk)
        if left < 0:
            raise PackageError(f"{path} holds more data than it says; refused")
        sink.write(chunk)


def _read(data: bytes, root: Path, path: str, cls: type[E], moved: Path | None = None) -> E:
    try:
        said = json.loads(data)
        version = said["format_version"]
        if version > FORMAT_VERSION:
            raise PackageError(
                f"{path} is of format version {version}, newer than {FORMAT_VERSION}",
                "upgrade navigator-lab",
            )
        run = decode(Run, said["run"])
        tolerance = said.get("tolerance")
        if isinstance(tolerance, dict) and tolerance.get("is") == "Tolerance":
            tolerance = decode(Tolerance, tolerance)
        elif tolerance is not None:
            tolerance = {k: decode(Tolerance, v) for k, v in tolerance.items()}
        if moved is not None:
            run = _moved(run, moved)
        return cls(run, root, tolerance)
    except PackageError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PackageError(f"{path} is damaged: {error}") from error


def _moved(run: Run, root: Path) -> Run:
    """The run with its products where they were unpacked, whatever paths the file names."""

    def settled(step: Settled) -> Settled:
        log = step.log if re.fullmatch(r"steps/[0-9a-f]{2}/[0-9a-f]{64}/log\.txt", step.log) else ""
        outcome = step.outcome
        if isinstance(outcome, Done):
            digest = outcome.product.digest
            if not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ValueError(f"{digest!r:.80} is no digest")
            product = dataclasses.replace(outcome.product, path=root / "products" / digest)
            outcome = dataclasses.replace(outcome, product=product)
        return dataclasses.replace(step, log=log, outcome=outcome)

    targets = tuple(
        dataclasses.replace(t, steps=tuple(settled(s) for s in t.steps)) for t in run.targets
    )
    return dataclasses.replace(run, targets=targets)
