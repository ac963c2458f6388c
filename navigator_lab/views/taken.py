"""What a view is given: results, an explored run, or several of them to be drawn over each other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import RequestError
from .results import Results


@dataclass(frozen=True, slots=True)
class Taken:
    """One run that is to be drawn. ``explored`` is None where only rows were given."""

    name: str  # unique among those drawn together
    results: Results
    explored: Any = None
    machine: str = ""


def take(given: Any) -> tuple[Taken, ...]:
    """One run, or several, each with a name of its own.

    Raises:
        RequestError: something else was given.
    """
    several = not isinstance(given, Results) and isinstance(given, Iterable)
    runs = [_one(one) for one in (given if several else [given])]
    if not runs:
        raise RequestError("there is nothing to draw", "give results, or a list of sessions")
    return _apart(runs)


def only(given: Any, what: str) -> Taken:
    """The one run that is given, for views that can't show two.

    Raises:
        RequestError: several were given.
    """
    runs = take(given)
    if len(runs) > 1:
        raise RequestError(f"{what} shows one run, {len(runs)} were given", "draw one at a time")
    return runs[0]


def _one(given: Any) -> Taken:
    if isinstance(given, Results):
        return Taken(given.title or "results", given)
    results = getattr(given, "results", None)
    if not isinstance(results, Results):
        raise RequestError(
            f"a view can't show a {type(given).__name__}",
            "give lab, lab.results, nav.load(FILE), or a list of them",
        )
    return Taken(given.name, results, given, given.run_data.host.cpu)


def _apart(runs: list[Taken]) -> tuple[Taken, ...]:
    """Runs of one name are told apart by their machine, then their day, then a number."""
    made: list[Taken] = []
    for run in runs:
        alike = [other for other in runs if other.name == run.name]
        name = run.name
        if len(alike) > 1 and run.explored is not None:
            machines = {other.machine for other in alike}
            when = time.localtime(run.explored.run_data.created)
            day = time.strftime("%Y-%m-%d %H:%M", when)
            name = f"{name}, {run.machine}" if len(machines) == len(alike) else f"{name}, {day}"
        count = sum(1 for other in made if other.name.split(" #")[0] == name)
        if count:
            name = f"{name} #{count + 1}"
        made.append(Taken(name, run.results, run.explored, run.machine))
    return tuple(made)
