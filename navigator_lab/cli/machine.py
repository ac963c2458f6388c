"""Commands about this machine: doctor, lab."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .words import as_json, command

if TYPE_CHECKING:
    from .words import Commands

NOTEBOOKS = "navigator_notebooks"


def declare(commands: Commands) -> None:
    """The commands doctor and lab, with their arguments."""
    one = command(
        commands, "doctor", _doctor, "what this machine can do, and the line that adds the rest"
    )
    one = command(
        commands, "lab", _lab, "JupyterLab on a copy of the notebooks: start with quickstart"
    )
    one.add_argument("--dir", type=Path, default=Path(NOTEBOOKS), metavar="DIR",
                     help=f"where the copy goes (default: ./{NOTEBOOKS})")  # fmt: skip
    one.add_argument("--copy-only", action="store_true", help="don't start JupyterLab")
    one.add_argument("--no-browser", action="store_true", help="don't open a browser")
    one.add_argument("--port", type=int, help="of the server")
    one.add_argument("jupyter", nargs="*", help="after --: more for JupyterLab, as --allow-root")


def _doctor(asked: argparse.Namespace) -> int:
    from ..doctor import diagnose

    found = diagnose()
    if asked.json:
        as_json(found.to_dict())
    else:
        print(found)
    return 0


def _lab(asked: argparse.Namespace) -> int:
    from ..lab import copy, start

    copied = copy(asked.dir.absolute())
    if asked.json:
        as_json({"folder": str(copied.folder), "notebooks": copied.states})
    else:
        print(copied)
    if asked.copy_only:
        return 0
    more = ["--no-browser"] if asked.no_browser else []
    if asked.port is not None:
        more.append(f"--port={asked.port}")
    return start(copied.folder, [*more, *asked.jupyter])
