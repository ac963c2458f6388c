"""What a target's graph holds, and where it leaves its reference: steps like all others, so cached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..engine.engine import Engine
from ..errors import RequestError
from ..types.graph import Drift, Network
from ..types.options import options_of
from ..types.run import Run
from ..types.step import Given, Step
from ..types.target import Precision, Target
from ..views import drift as drifting
from ..views import graph as graphing
from .packaging import model_of, settled

_READS = {"onnx": "onnx-network"}  # format -> the action that reads its graph
_DRIFTS = {"onnx": "onnx-drift"}


def graph(
    engine: Engine,
    run: Run,
    target: str,
    against: str | None,
    batch: int,
    depth: int | None,
) -> graphing.Info:
    """The graph of a target that was built, by blocks.

    Raises:
        RequestError: a format whose files hold no graph that can be read here.
        PackageError: the target was not built.
    """
    here = _network(engine, run, target, batch)
    there = None if against is None else _network(engine, run, against, batch)
    return graphing.info(here, target, there, against or "", depth)


def drift(engine: Engine, run: Run, target: str, reference: str, samples: int) -> drifting.Info:
    """The error of every layer of a target that was built, as another has it.

    Raises:
        RequestError: their formats hold no graph whose values can be asked for.
        PackageError: one of them was not built.
    """
    one, other = Target.parse(target), Target.parse(reference)
    action = _action(_DRIFTS, one)
    if other.format != one.format:
        raise RequestError(
            f"{target} and {reference} are graphs of two formats", "compare two of one format"
        )
    step = Step(
        action,
        one.variant,
        _options(engine, action, samples=samples),
        (
            ("model", model_of(run, target)),
            ("reference", model_of(run, reference)),
            ("samples", Given("samples", run.samples_digest)),
        ),
        label=f"drift {one.variant}",
    )
    found = settled(engine, step).read(Drift)
    return drifting.info(found, target, reference)


def reference_of(target: str) -> str:
    """What drift is measured against unless said: the same graph in fp32, without settings."""
    return str(replace(Target.parse(target), precision=Precision("fp32"), settings=()))


def _network(engine: Engine, run: Run, text: str, batch: int) -> Network:
    target = Target.parse(text)
    action = _action(_READS, target)
    step = Step(
        action,
        target.variant,
        _options(engine, action, batch=batch),
        (("model", model_of(run, text)), ("samples", Given("samples", run.samples_digest))),
        label=f"graph {target.variant}",
    )
    return settled(engine, step).read(Network)


def _action(known: dict[str, str], target: Target) -> str:
    if target.format not in known:
        raise RequestError(
            f"the graph of {target.format} can't be looked into",
            f"name a target in {', '.join(known)}: most formats are built by way of it",
        )
    return known[target.format]


def _options(engine: Engine, action: str, **given: int) -> Any:
    for name, value in given.items():
        if value < 1:
            raise RequestError(f"{name}={value} can't be", "give a number of 1 or more")
    kind = engine.catalog.actions[action].options
    return None if kind is None else options_of(kind, given)


def built(run: Run, target: Any) -> bool:
    """Whether a run has a target, so that it is built or says why it is not."""
    return any(str(one.target) == str(target) for one in run.targets)
