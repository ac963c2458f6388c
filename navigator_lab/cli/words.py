"""What the groups of commands share: how one is declared, what texts mean, how results are shown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestError, WorkspaceError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

WORKSPACE = "navigator_workspace"


def command(
    commands: Commands, name: str, do: Callable[[argparse.Namespace], int], help: str
) -> argparse.ArgumentParser:
    """A command with the arguments that every command takes."""
    made: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    made.set_defaults(do=do)
    made.add_argument("--json", action="store_true", help="machine-readable output")
    made.add_argument(
        "--workspace", type=Path, default=Path(WORKSPACE), metavar="DIR",
        help=f"the folder that keeps all results (default: ./{WORKSPACE})",
    )  # fmt: skip
    return made


def listed(text: str) -> list[str]:
    """The parts of ``a,b``."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(texts: Sequence[str] | None, kind: type[int] | type[float]) -> list[Any] | None:
    """Texts as numbers; None stays None."""
    try:
        return None if texts is None else [kind(text) for text in texts]
    except ValueError as error:
        raise RequestError(f"{', '.join(texts or ())} are no numbers: {error}") from None


def as_json(data: Any) -> None:
    """Print for a machine."""
    print(json.dumps(data, indent=2, allow_nan=False))


def show(thing: Any) -> None:
    """Print for a person: as wide as the terminal, or 180 columns into a file."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    console.print(thing, highlight=False, markup=False, soft_wrap=False)


def existing(workspace: Path) -> Path:
    """A workspace that must be there, as a whole path."""
    if not workspace.is_dir():
        raise WorkspaceError(
            f"there is no workspace {workspace}", "name it by --workspace, or run something first"
        )
    return workspace.absolute()
