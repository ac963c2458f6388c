"""Model repositories behind a URL (``s3://``, ``gs://``, ``memory://``…), through fsspec.

An object store has no rename, so nothing there is added at once. The order of writing makes up for
it: what a server would open last is written last, the configuration after all else, and a version's
model file after the rest of the version.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import PackageError
from . import config as configs
from .additions import beside, same_file, taken
from .native import DEFAULT_FILES
from .repository import CONFIG, checked_name, read, versions


def is_url(where: Any) -> bool:
    """True where ``where`` is a URL of something that is no local folder."""
    text = str(where)
    return isinstance(where, str) and "://" in text and not text.startswith(("file://", "local://"))


def local(where: str | Path) -> Path:
    """A local folder, also where it is given as ``file://…``."""
    text = str(where)
    for scheme in ("file://", "local://"):
        if text.startswith(scheme):
            return Path(text.removeprefix(scheme))
    return Path(where)


class Objects:
    """One repository behind a URL. ``options`` are fsspec's for that kind of store."""

    def __init__(self, url: str, options: dict[str, Any] | None = None) -> None:
        self.url = url.rstrip("/")
        protocol = url.partition("://")[0]
        try:
            import fsspec
        except ImportError as error:
            raise PackageError(
                f"{url} can't be opened: fsspec is not installed", "pip install fsspec"
            ) from error
        try:
            self.fs, root = fsspec.core.url_to_fs(self.url, **(options or {}))
        except ImportError as error:
            raise PackageError(
                f"{url} can't be opened: {error}", f"install what fsspec needs for {protocol}://"
            ) from error
        except ValueError as error:
            raise PackageError(f"{url} can't be opened: {error}", "check the URL") from error
        self.root = str(root).rstrip("/")

    def models(self) -> list[str]:
        """The names of the models."""
        with self._said("listed"):
            if not self.fs.exists(self.root):
                return []
            found = self.fs.ls(self.root, detail=True)
        return sorted(
            posixpath.basename(one["name"].rstrip("/"))
            for one in found
            if one["type"] == "directory"
        )

    def files(self, name: str) -> dict[str, int]:
        """The files of a model by relative path, with their sizes."""
        base = f"{self.root}/{name}"
        with self._said("listed"):
            if not self.fs.exists(base):
                return {}
            found = self.fs.find(base, detail=True)
        begin = len(base.lstrip("/")) + 1
        return {
            path.lstrip("/")[begin:]: int(one.get("size") or 0)
            for path, one in sorted(found.items())
        }

    def text(self, name: str, file: str) -> str:
        """One small file of a model."""
        with self._said("read"):
            return str(self.fs.cat_file(f"{self.root}/{name}/{file}").decode("utf-8"))

    def write_text(self, name: str, file: str, text: str) -> None:
        """Write one small file; a store puts an object whole or not at all."""
        with self._said("written"):
            self.fs.pipe_file(f"{self.root}/{name}/{file}", text.encode())

    @contextmanager
    def fetched(self) -> Iterator[Path]:
        """A copy of the whole repository in a local folder, for as long as it is needed."""
        with tempfile.TemporaryDirectory(prefix="navigator-lab-repository-") as made:
            folder = Path(made) / "repository"
            folder.mkdir()
            for name in self.models():
                for file in self.files(name):
                    target = folder / name / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with self._said("read"):
                        self.fs.get_file(f"{self.root}/{name}/{file}", str(target))
            yield folder

    def publish(self, folder: Path, *, overwrite: bool = False) -> str:
        """Copy a finished model folder into the store, under `repository.publish`'s rules."""
        name = checked_name(folder.name)
        config = read(folder)
        found = versions(folder)
        if not found:
            raise PackageError(f"{folder} holds no version folder", "put the file in <name>/1/")
        there = self.files(name)
        known = sorted({int(f.split("/")[0]) for f in there if f.split("/")[0].isdigit()})
        if there and not overwrite:
            before = configs.parse(self.text(name, CONFIG)) if CONFIG in there else None
            taken(name, self.url, known, found, before, config)
            for file in set(beside(folder)) & set(there):
                with (
                    self._said("read"),
                    open(folder / file, "rb") as one,
                    self.fs.open(f"{self.root}/{name}/{file}", "rb") as other,
                ):
                    same_file(name, file, one, other)
        here = sorted(
            (str(p.relative_to(folder).as_posix()) for p in folder.rglob("*") if p.is_file()),
            key=lambda file: _turn(
                file, {config.default_model_filename, DEFAULT_FILES.get(config.backend)}
            ),
        )
        with self._said("written"):
            for file in here:
                if not overwrite and file in there:
                    continue  # it is the same, or warm-up data
                self.fs.put_file(str(folder / file), f"{self.root}/{name}/{file}")
            for file in there:
                if file.split("/")[0] in map(str, found) and file not in here:
                    self.fs.rm_file(f"{self.root}/{name}/{file}")
        return f"{self.url}/{name}"

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, UnicodeError) as error:
            # The stores' own errors are OSErrors; credentials and names give ValueErrors.
            raise PackageError(
                f"{self.url} can't be {what}: {error}", "check the URL and its credentials"
            ) from error


def _turn(file: str, model: set[str | None]) -> tuple[int, str]:
    """When a file is written: the parts of a version, its model, what lies beside, the rest."""
    first, _, rest = file.partition("/")
    if file == CONFIG:
        return 3, file
    if first.isdigit():
        return (2 if rest in model else 1), file
    return 0, file
