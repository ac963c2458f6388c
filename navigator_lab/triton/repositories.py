"""A model repository to look at and to change: what is in it, how two differ, edits, additions.

In a local folder, or behind an fsspec URL. What a server would refuse is `checks`' business, and is
asked before anything is written.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PackageError, unknown
from . import repository as disk
from .checks import Finding, check
from .checks.complete import complete
from .checks.finding import Meant
from .modelconfig import ModelConfig
from .objectstore import Objects, is_url, local
from .placing import place
from .repository import CONFIG


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as it lies in a repository. ``problem``: why its configuration can't be read."""

    name: str
    versions: tuple[int, ...]
    backend: str
    max_batch_size: int
    size_bytes: int
    problem: str = ""


class Repository:
    """The models of a repository, by name. ``options`` are fsspec's, for a URL.

    ``repository["model"]`` is its configuration; nothing is kept, each look is a fresh one.
    """

    def __init__(self, where: str | Path, **options: Any) -> None:
        self._objects = Objects(str(where), options) if is_url(where) else None
        self.where: str | Path = where if self._objects else local(where)
        if self._objects is None and not Path(self.where).is_dir():
            raise PackageError(
                f"there is no model repository {self.where}",
                "package a target into it, or make the folder",
            )

    @property
    def models(self) -> list[Entry]:
        """What is in it, by name."""
        return [self._entry(name) for name in self]

    def __iter__(self) -> Iterator[str]:
        if self._objects:
            return iter(self._objects.models())
        folders = sorted(Path(self.where).iterdir())
        return iter([one.name for one in folders if one.is_dir() and not one.name.startswith(".")])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(iter(self))

    def __getitem__(self, name: str) -> ModelConfig:
        """A model's configuration.

        Raises:
            PackageError: it has none, or one that can't be parsed.
        """
        self._known(name)
        if self._objects is None:
            return ModelConfig(disk.read(Path(self.where) / name))
        if CONFIG not in self._objects.files(name):
            raise PackageError(f"{self.where}/{name} holds no {CONFIG}", "write one")
        return ModelConfig(self._objects.text(name, CONFIG))

    def files(self, name: str) -> dict[str, int]:
        """The files of a model by relative path, with their sizes in bytes."""
        self._known(name)
        if self._objects:
            return self._objects.files(name)
        folder = Path(self.where) / name
        return {
            str(one.relative_to(folder)): one.stat().st_size
            for one in sorted(folder.rglob("*"))
            if one.is_file()
        }

    def versions(self, name: str) -> list[int]:
        """The versions of a model, from the oldest on."""
        self._known(name)
        if self._objects is None:
            return disk.versions(Path(self.where) / name)
        first = {file.split("/")[0] for file in self._objects.files(name) if "/" in file}
        return sorted(int(one) for one in first if one.isdigit() and one[0] != "0")

    def differences(self, other: Any) -> dict[str, list[str]]:
        """Where another repository (or its path) differs, by model: one line a field or a file."""
        other = other if isinstance(other, Repository) else Repository(other)
        mine, theirs = set(self), set(other)
        found = {name: ["is there -> is not there"] for name in sorted(mine - theirs)}
        found |= {name: ["is not there -> is there"] for name in sorted(theirs - mine)}
        for name in sorted(mine & theirs):
            said = self._config_differences(name, other)
            before, after = self.files(name), other.files(name)
            for file in sorted({*before, *after} - {CONFIG}):
                if before.get(file) != after.get(file):
                    said.append(f"{file}: {_size(before.get(file))} -> {_size(after.get(file))}")
            if said:
                found[name] = said
        return dict(sorted(found.items()))

    def _config_differences(self, name: str, other: Repository) -> list[str]:
        try:
            return self[name].differences(other[name])
        except PackageError as error:
            same = self._text(name) == other._text(name)
            return [] if same else [f"{CONFIG}: {error.message}"]

    def _text(self, name: str) -> str:
        if CONFIG not in self.files(name):
            return ""
        if self._objects:
            return self._objects.text(name, CONFIG)
        return (Path(self.where) / name / CONFIG).read_text(encoding="utf-8", errors="replace")

    def edit(self, name: str, /, **fields: Any) -> ModelConfig:
        """Change fields of a model's configuration, as `ModelConfig.edit` does; the new one.

        Raises:
            PackageError: a server would refuse it, in its words; nothing was written.
        """
        made = self[name].edit(**fields)
        if made.name not in ("", name):
            raise PackageError(
                f"{name!r} can't be called {made.name!r} by an edit: its folder has the name",
                "add it under the new name",
            )
        refused = [one for one in made.check() if one.error]
        if refused:
            raise PackageError(
                f"a server would refuse {name!r} then: {refused[0].message}", refused[0].remedy
            )
        if self._objects:
            self._objects.write_text(name, CONFIG, made.text)
        else:
            made.save(Path(self.where) / name)
        return made

    def add(self, folder: str | Path, *, overwrite: bool = False) -> str:
        """Copy a finished model's folder into it: a new model, or a version beside the others.

        Raises:
            PackageError: the version exists, or the configuration differs; nothing was changed.
        """
        if self._objects:
            return self._objects.publish(Path(folder), overwrite=overwrite)
        return str(disk.publish(Path(folder), Path(self.where), overwrite=overwrite))

    def put(
        self, config: ModelConfig, source: str | Path, *, version: int = 1, overwrite: bool = False
    ) -> str:
        """Add a model that you have: a ``.plan`` of TensorRT, a SavedModel's folder, any file.

        It gets the name that the configuration's backend looks for. Rules and errors are those of
        `add`, and what a server would refuse is refused.
        """
        with tempfile.TemporaryDirectory(prefix="navigator-lab-put-") as made:
            return self.add(place(config, source, Path(made), version), overwrite=overwrite)

    def check(self, **how: Any) -> list[Finding]:
        """What a server would refuse: see `navigator_lab.triton.check`."""
        with self.here() as folder:
            return check(folder, **how)

    @contextlib.contextmanager
    def here(self) -> Iterator[Path]:
        """The repository as a local folder: itself, or a copy for as long as it is needed."""
        if self._objects is None:
            yield Path(self.where)
        else:
            with self._objects.fetched() as folder:
                yield folder

    def _known(self, name: str) -> None:
        if name not in self:
            raise unknown(f"model of {self.where}", name, list(self))

    def _entry(self, name: str) -> Entry:
        versions, size = tuple(self.versions(name)), sum(self.files(name).values())
        try:
            config = self[name]
        except PackageError as error:
            return Entry(name, versions, "", 0, size, error.message)
        nowhere = Path("/nonexistent") / name
        folder = Path(self.where) / name if self._objects is None else nowhere
        whole, _ = complete(config.message, folder, Meant())
        backend = whole.backend or whole.platform
        return Entry(name, versions, backend, config.max_batch_size, size)

    def __repr__(self) -> str:
        lines = [f"{self.where}"]
        for one in self.models:
            versions = ", ".join(map(str, one.versions)) or "none"
            what = one.problem or f"{one.backend}, max_batch_size {one.max_batch_size}"
            lines.append(f"  {one.name}: {what}; versions {versions}; {_size(one.size_bytes)}")
        return "\n".join(lines) if len(lines) > 1 else f"{lines[0]}\n  no models"


def _size(size: int | None) -> str:
    if size is None:
        return "not there"
    return f"{size} bytes" if size < 10_000 else f"{size / 1e6:.2f} MB"
