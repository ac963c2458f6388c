"""A Triton model repository on disk: models are added to it, whole or not at all.

``<repository>/<name>/{config.pbtxt, <version>/<file>, warmup/<file>}``. What is added is made ready
beside the repository and moved in by one rename, so that a server that polls never sees half of
it. (A repository that is a file system of its own gets its staging folder inside, as a rename
can't cross file systems; a polling server may then log one complaint about that folder.)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import PackageError
from . import config as configs
from .additions import CONFIG, WARMUP, beside, same_file, taken

_FOLDER = 0o755  # the server is often another user than the one that exports


def checked_name(name: str) -> str:
    """``name``, if it can be a model's name and a folder's.

    Raises:
        PackageError: it is empty, too long, or would leave the repository.
    """
    problem = ""
    if not name or name.strip() != name:
        problem = "is empty or begins or ends with a blank"
    elif "/" in name or "\\" in name:
        problem = "holds a slash"
    elif name.startswith("."):
        problem = "begins with a dot"
    elif any(ord(c) < 32 or ord(c) == 127 for c in name):
        problem = "holds a control character"
    elif len(name.encode("utf-8", "surrogatepass")) > 200:
        problem = "is longer than 200 bytes"
    if problem:
        raise PackageError(
            f"{name[:60]!r} can't be a model's name: it {problem}",
            "give a plain name of letters, digits, '_', '-' and '.'",
        )
    return name


def checked_version(version: int) -> int:
    """``version``, if Triton takes it: a whole number from 1 on."""
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**63:
        raise PackageError(f"{version!r} is no model version", "give a whole number: 1, 2, 3, …")
    return version


def _checked_file(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or any(p in ("..", ".", "") for p in name.split("/")):
        raise PackageError(
            f"{name!r} can't be a file of a model: it must be a relative path without '..'"
        )
    return path


def versions(folder: Path) -> list[int]:
    """The versions that lie in a model's folder, as Triton sees them: no leading zero."""
    found = []
    for one in folder.iterdir() if folder.is_dir() else ():
        name = one.name
        if one.is_dir() and name.isascii() and name.isdigit() and not name.startswith("0"):
            found.append(int(name))
    return sorted(found)


def read(folder: Path) -> Any:
    """The ``ModelConfig`` of a model's folder.

    Raises:
        PackageError: there is none, or it can't be parsed.
    """
    path = folder / CONFIG
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PackageError(f"{folder} holds no {CONFIG}", "it is no model folder") from None
    except (OSError, UnicodeError) as error:
        raise PackageError(f"{path} can't be read: {error}") from None
    return configs.parse(text, str(path))


def write(
    folder: Path,
    version: int,
    files: Mapping[str, Path],
    config: Any,
    warmup: Mapping[str, bytes] | None = None,
    beside: Mapping[str, bytes | Path] | None = None,
) -> None:
    """One model's folder with one version, in an empty or new ``folder``.

    ``files`` are the files of the version folder by their relative path; they are copied. ``beside``
    are those that lie beside ``config.pbtxt``.
    """
    place = folder / str(checked_version(version))
    place.mkdir(parents=True)
    for name, source in files.items():
        target = place / _checked_file(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for name, data in (warmup or {}).items():
        target = folder / WARMUP / _checked_file(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    for name, content in (beside or {}).items():
        if isinstance(content, Path):
            shutil.copyfile(content, folder / _checked_file(name))
        else:
            (folder / _checked_file(name)).write_bytes(content)
    (folder / CONFIG).write_text(configs.to_text(config), encoding="utf-8")


def add(
    repository: Path,
    name: str,
    version: int,
    files: Mapping[str, Path],
    config: Any,
    *,
    warmup: Mapping[str, bytes] | None = None,
    overwrite: bool = False,
) -> Path:
    """Add a version of a model; gives the model's folder. See `publish` for the rules."""
    checked_name(name)
    with _staging(Path(repository)) as staging:
        write(staging / name, version, files, config, warmup)
        return publish(staging / name, repository, overwrite=overwrite)


def publish(folder: Path, repository: Path, *, overwrite: bool = False) -> Path:
    """Copy a finished model folder, as `write` makes it, into a repository.

    A model that is new is added whole. Where the model exists with the same configuration, the
    version is added beside the others. An existing version is replaced, and a configuration
    changed, only with ``overwrite``; other versions stay.

    Raises:
        PackageError: the version exists, or the configuration differs; nothing was changed.
    """
    folder, repository = Path(folder), Path(repository)
    name = checked_name(folder.name)
    config = read(folder)
    if config.name and config.name != name:
        raise PackageError(
            f"the folder {name!r} holds a configuration of {config.name!r}",
            "Triton asks for the same name: rename one of them",
        )
    found = versions(folder)
    if not found:
        raise PackageError(f"{folder} holds no version folder", "put the model's file in <name>/1/")
    target = repository / name
    with _staging(repository) as staging:
        new = staging / name
        try:
            shutil.copytree(folder, new)
            _sync(new)
            if not _exists(target):
                os.rename(new, target)
            elif not overwrite:
                _add_beside(new, target, config, found)
            else:
                _replace(new, target, found)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise PackageError(
                    f"{target} appeared while it was being added; nothing was changed",
                    "look at it, then add again with another version or overwrite=True",
                ) from error
            raise PackageError(
                f"{target} can't be written: {error.strerror or error}",
                "check the path, its permissions and the space left",
            ) from error
    return target


def _add_beside(new: Path, target: Path, config: Any, found: list[int]) -> None:
    both = [v for v in found if _exists(target / str(v))]
    known = sorted({*versions(target), *both})
    taken(target.name, str(target.parent), known, found, None if both else read(target), config)
    # Same configuration, so the files that it names are there already, or were removed.
    missing = [name for name in beside(new) if not (target / name).exists()]
    for name in beside(new):
        if name not in missing:
            with open(new / name, "rb") as here, open(target / name, "rb") as there:
                same_file(target.name, name, here, there)
    for name in missing:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.rename(new / name, target / name)
    for version in found:
        os.rename(new / str(version), target / str(version))


def _replace(new: Path, target: Path, found: list[int]) -> None:
    """Swap the whole model folder for one that has the new version and the untouched old ones."""
    for version in versions(target):
        if version not in found:
            shutil.copytree(target / str(version), new / str(version), copy_function=_link)
    _exchange(new, target)


def _link(source: str, target: str) -> str:
    """A second name for the same file, or a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders at once; where the system can't, one after the other."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    at_fdcwd, exchange = -100, 2
    if rename is not None:
        if rename(at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other), exchange) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(code, os.strerror(code))
    aside = one.with_name(one.name + ".old")
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except OSError:
        os.rename(aside, other)
        raise


@contextlib.contextmanager
def _staging(repository: Path) -> Iterator[Path]:
    """A folder on the repository's file system that a server doesn't look into."""
    try:
        repository.mkdir(parents=True, exist_ok=True)
        parent = repository.resolve().parent
        same = parent.stat().st_dev == repository.stat().st_dev and os.access(parent, os.W_OK)
        made = tempfile.mkdtemp(
            prefix=f".{repository.resolve().name[:60]}.staging-",
            dir=parent if same else repository,
        )
    except OSError as error:
        raise PackageError(
            f"no model can be added to {repository}: {error.strerror or error}",
            "give a folder that can be written",
        ) from error
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Bring the files to the disk, so that a crash after the rename leaves no empty ones."""
    for one in folder.rglob("*"):
        if one.is_file():
            os.chmod(one, 0o644)
            with open(one, "rb") as file:
                os.fsync(file.fileno())
        elif one.is_dir():
            os.chmod(one, _FOLDER)
    os.chmod(folder, _FOLDER)


def _exists(path: Path) -> bool:
    return os.path.lexists(path)
