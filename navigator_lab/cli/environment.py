"""Commands about environments: env create, env list, env remove."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError
from .words import as_json, command, listed

if TYPE_CHECKING:
    from .words import Commands


def declare(commands: Commands) -> None:
    """The command env and its own three."""
    whole = commands.add_parser(
        "env", help="interpreters for what can't live beside the rest, as TF-TRT"
    )
    own = whole.add_subparsers(required=True, metavar="COMMAND")
    one = command(own, "create", _create, "make a virtual environment, or register an interpreter")
    one.add_argument("name", help="as tf-trt, whose packages are known")
    one.add_argument("--packages", type=listed, default=[], metavar="A,B", help="as pip takes them")
    one.add_argument("--from", dest="base", metavar="PYTHON", help="what it is made from")
    one.add_argument("--python", metavar="PYTHON", help="register this one; nothing is made")
    command(own, "list", _list, "all of them, and what each has")
    one = command(own, "remove", _remove, "forget one, and delete what was made for it")
    one.add_argument("name")


def _create(asked: argparse.Namespace) -> int:
    from ..environments import create, environment

    if asked.python:
        made = environment(asked.name, asked.python)
    else:
        made = create(
            asked.name, asked.packages, asked.base, lambda text: print(text, file=sys.stderr)
        )
    if asked.json:
        as_json({"name": made.name, "python": made.python})
    else:
        print(f"{made.name}: {made.python}")
    return 0


def _list(asked: argparse.Namespace) -> int:
    from ..environments import registered

    every: dict[str, Any] = {}
    for name, one in registered().items():
        try:
            every[name] = {"python": one.python, "versions": one.versions, "problem": ""}
        except NavigatorError as error:
            every[name] = {"python": one.python, "versions": {}, "problem": str(error)}
    if asked.json:
        as_json(every)
        return 0
    for name, said in every.items():
        print(f"{name}  {said['python']}")
        shown = [f"{package} {version}" for package, version in sorted(said["versions"].items())]
        print(f"  {said['problem'] or ', '.join(shown)}")
    if not every:
        print("none yet: navigator-lab env create NAME")
    return 0


def _remove(asked: argparse.Namespace) -> int:
    from ..environments import remove

    remove(asked.name)
    print(f"{asked.name} is gone")
    return 0
