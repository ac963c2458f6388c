"""``navigator-lab lab``: JupyterLab on a copy of the notebooks. What a user changed is never lost."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from .errors import RequestError, WorkspaceError

FOLDER = "navigator_notebooks"
FIRST = "quickstart.ipynb"
_KEPT = ".navigator_notebooks.json"  # what was copied here, so that a change can be told


@dataclass
class Copied:
    """What became of each notebook: ``fresh``, ``updated``, ``same``, ``changed`` (by the user)."""

    folder: Path
    states: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        words = {
            "fresh": "copied", "updated": "updated: you had not changed it", "same": "as shipped",
            "changed": "kept as you changed it",
        }  # fmt: skip
        lines = [f"  {name:<24} {words[state]}" for name, state in self.states.items()]
        return "\n".join([f"notebooks in {self.folder}", *lines])


def shipped() -> Path:
    """The folder of the notebooks: in the wheel, or beside the package in a source tree.

    Raises:
        WorkspaceError: they are in neither.
    """
    package = Path(__file__).parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / FIRST).is_file():
            return folder
    raise WorkspaceError(
        "the notebooks are not installed beside the package",
        "pip install --force-reinstall navigator-lab",
    )


def copy(folder: Path) -> Copied:
    """Bring the notebooks into a folder; what the user changed there stays as it is.

    Raises:
        WorkspaceError: the folder can't be written.
    """
    source = shipped()
    made = Copied(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = _kept(folder / _KEPT)
        for path in sorted(source.glob("*.ipynb")):
            made.states[path.name] = _bring(path, folder / path.name, kept)
        (folder / _KEPT).write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise WorkspaceError(
            f"the notebooks can't be copied to {folder}: {error}", "name a folder by --dir"
        ) from error
    return made


def _kept(path: Path) -> dict[str, str]:
    """The digests of what was copied last; nothing where that can't be read."""
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else {}


def _bring(source: Path, target: Path, kept: dict[str, str]) -> str:
    data = source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if not target.exists():
        state = "fresh"
    else:
        there = hashlib.sha256(target.read_bytes()).hexdigest()
        if there == digest:
            kept[source.name] = digest
            return "same"
        if there != kept.get(source.name):
            return "changed"
        state = "updated"
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(data)
    os.replace(fresh, target)
    kept[source.name] = digest
    return state


def start(folder: Path, more: Sequence[str] = ()) -> NoReturn:
    """Become JupyterLab with the first notebook open: what ends this process ends the server.

    Raises:
        RequestError: JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise RequestError("JupyterLab is not installed", "pip install 'navigator-lab[notebook]'")
    sys.stdout.flush()
    command = [sys.executable, "-m", "jupyterlab", str(folder / FIRST), *more]
    os.execv(sys.executable, command)  # noqa: S606  # no shell is wanted
