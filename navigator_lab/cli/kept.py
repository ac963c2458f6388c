"""Commands on what a workspace keeps: results, why, package, trim."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestError
from .words import as_json, command, existing, show

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from .words import Commands


def declare(commands: Commands) -> None:
    """The commands results, why, package and trim, with their arguments."""
    one = command(commands, "results", _results, "the rows of the last run")
    one = command(commands, "why", _why, "what each step of a target did, and why")
    one.add_argument("target", help="as onnx:int8@ort-cpu")
    one = command(commands, "package", _package, "a target as an entry of a Triton repository")
    one.add_argument("target", help='as onnx:int8@ort-cpu, or "best"')
    one.add_argument("repository", metavar="DIR", help="a folder, or an fsspec URL")
    one.add_argument("--name", help="of the model on the server")
    one.add_argument("--version", type=int, default=1)
    one.add_argument("--overwrite", action="store_true", help="replace a version that is there")
    one.add_argument("--labels", nargs="+", metavar="[OUTPUT=]FILE",
                     help="names of an output's elements, one a line")  # fmt: skip
    one.add_argument("--environment", nargs="?", const=True, metavar="PYTHON", help="pack this "
                     "interpreter and what the model needs along, for the Python backend")  # fmt: skip
    one = command(commands, "trim", _trim, "drop the longest unused products from a workspace")
    one.add_argument(
        "--max", default="10GB", metavar="SIZE", help="as 500MB or 10GB (default 10GB)"
    )


def _results(asked: argparse.Namespace) -> int:
    from ..session.saving import last_run

    results = last_run(existing(asked.workspace)).results
    if asked.json:
        as_json(results.to_dicts())
    else:
        show(results)
    return 0


def _why(asked: argparse.Namespace) -> int:
    from ..session.saving import last_run

    view = last_run(existing(asked.workspace))[asked.target]
    if asked.json:
        steps = [
            {"stage": s.stage, "step": s.label, "outcome": type(s.outcome).__name__.lower(),
             "ran": s.ran, "reason": s.outcome.reason, "reproduce": view.reproduce.get(s.stage)}
            for s in view.steps
        ]  # fmt: skip
        as_json({"target": asked.target, "steps": steps})
    else:
        print(view.why())
        for stage, line in view.reproduce.items():
            print(f"  again: {stage:<12} {line}")
    return 0


def _package(asked: argparse.Namespace) -> int:
    from ..session.packaging import package
    from ..session.saving import last_run

    root = existing(asked.workspace)
    explored = last_run(root)
    target = explored.choose().target if asked.target == "best" else asked.target
    options = {"version": asked.version, "overwrite": asked.overwrite}
    if asked.name:
        options["name"] = asked.name
    if asked.labels:
        options["labels"] = _labels(asked.labels)
    if asked.environment:
        options["environment"] = asked.environment
    with opened(root) as engine:
        folder = package(engine, explored.run_data, target, asked.repository, options)
    if asked.json:
        as_json({"target": target, "package": str(folder)})
    else:
        print(folder)
    return 0


@contextmanager
def opened(root: Path) -> Iterator[Engine]:
    """The engine of a workspace, for one more step."""
    from ..catalog import Catalog
    from ..engine.engine import Engine
    from ..engine.host import host, version_in
    from ..engine.store import Store
    from ..environments import registered

    store = Store(root)
    known = {name: one.python for name, one in registered().items()}
    engine = Engine(Catalog.installed(), store, host(), version_in, environments=known)
    try:
        yield engine
    finally:
        engine.close()
        store.close()


def _labels(parts: list[str]) -> Any:
    """``labels.txt`` as a list, ``logits=labels.txt`` as an output's."""
    made: Any = {}
    for part in parts:
        output, mark, file = part.rpartition("=")
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise RequestError(
                f"{file} can't be read: {error}", "a text, one label a line"
            ) from None
        if mark:
            made[output] = lines
        elif len(parts) > 1:
            raise RequestError(f"{part} doesn't say of which output", f"OUTPUT={part}")
        else:
            return lines
    return made


def _trim(asked: argparse.Namespace) -> int:
    from ..engine.store import Store

    store = Store(existing(asked.workspace))
    try:
        dropped, freed = store.trim(_bytes(asked.max))
        left = store.size_bytes()
    finally:
        store.close()
    if asked.json:
        as_json({"dropped": dropped, "freed_bytes": freed, "left_bytes": left})
    else:
        print(f"dropped {dropped} products, {freed / 1e6:.1f} MB; {left / 1e6:.1f} MB are left")
    return 0


def _bytes(text: str) -> int:
    units = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    number = text.strip().upper().rstrip("BKMGT")
    unit = text.strip().upper()[len(number) :]
    try:
        value = float(number) * units[unit]
    except (ValueError, KeyError):
        raise RequestError(f"{text!r} is no size", "write it as 500MB or 10GB") from None
    if value < 0:
        raise RequestError(f"{text!r} is negative", "write it as 500MB or 10GB")
    return int(value)
