"""``navigator-lab``: the same requests from a shell, a file for each group of commands.

Exit codes: 0 at least one target reached what was asked (each row says its own status) · 1 none
did, or there is nothing to choose · 2 the request itself is wrong · 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from ..errors import InputError, NavigatorError, WorkspaceError
from . import environment, exploring, graphs, kept, machine, triton

GROUPS = (exploring, kept, graphs, triton, environment, machine)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line says; its exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        return int(asked.do(asked))
    except NavigatorError as error:
        _wrong(asked, error)
        return 2 if isinstance(error, InputError | WorkspaceError) else 1
    except KeyboardInterrupt:
        print("interrupted; finished steps are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _wrong(asked: argparse.Namespace, error: NavigatorError) -> None:
    if getattr(asked, "json", False):
        print(json.dumps({"error": type(error).__name__, "reason": error.message,
                          "remedy": error.remedy}))  # fmt: skip
    print(f"error: {error}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="navigator-lab",
        description="From a model to its best deployment on Triton Inference Server.",
    )
    from .. import __version__

    parser.add_argument("--version", action="version", version=f"navigator-lab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.declare(commands)
    return parser
