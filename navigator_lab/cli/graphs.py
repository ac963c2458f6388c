"""Commands that look into what was built: graph and drift."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from .kept import opened
from .words import as_json, command, existing

if TYPE_CHECKING:
    from .words import Commands


def declare(commands: Commands) -> None:
    """The commands graph and drift, with their arguments."""
    one = command(commands, "graph", _graph, "a target's graph by blocks: operators, bytes, FLOPs")
    one.add_argument("target", help="as onnx:fp16@ort-cpu; one of the last run")
    one.add_argument("--against", metavar="TARGET", help="tell what differs from this one")
    one.add_argument("--batch", type=int, default=1, help="that bytes and FLOPs are of (default 1)")
    one.add_argument("--depth", type=int, metavar="N", help="levels of the model's modules")
    one = command(commands, "drift", _drift, "error layer by layer, and where it starts")
    one.add_argument("target", help="as onnx:int8@ort-cpu; one of the last run")
    one.add_argument("--against", metavar="TARGET", help="default: the same in fp32")
    one.add_argument("--samples", type=int, default=4, help="so many are run (default 4)")


def _graph(asked: argparse.Namespace) -> int:
    from ..session.graphs import graph
    from ..session.saving import last_run

    root = existing(asked.workspace)
    run = last_run(root).run_data
    with opened(root) as engine:
        found = graph(engine, run, asked.target, asked.against, asked.batch, asked.depth)
    return _said(found, asked.json)


def _drift(asked: argparse.Namespace) -> int:
    from ..session.graphs import drift, reference_of
    from ..session.saving import last_run

    root = existing(asked.workspace)
    run = last_run(root).run_data
    against = asked.against or reference_of(asked.target)
    with opened(root) as engine:
        found = drift(engine, run, asked.target, against, asked.samples)
    return _said(found, asked.json)


def _said(found: Any, json: bool) -> int:
    if json:
        as_json(dataclasses.asdict(found))
    else:
        print(found)
    return 0
