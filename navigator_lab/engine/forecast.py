"""What a run would do: each step fresh, stale (and why), failed last time or unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..types.outcome import Product
from ..types.step import Given, Step, in_order
from .keys import difference, key
from .store import Store
from .surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known of a step before it runs."""

    step: str
    state: str  # "fresh", "stale", "unknown" (its inputs are not settled yet), "failed"
    why: tuple[str, ...] = ()
    seconds: float | None = None  # expected, from earlier runs; None if nothing like it ran yet
    bytes: int | None = None


def forecast(goals: Iterable[Step], store: Store, around: Surroundings) -> list[Forecast]:
    """What a run of these goals would do. Runs nothing."""
    settled: dict[Step, Product] = {}
    made = []
    for step in in_order(goals):
        inputs = _inputs(step, settled, store)
        cost = store.cost(str(step), step.action)
        seconds, size = cost or (None, None)
        if inputs is None:
            made.append(Forecast(str(step), "unknown", (), seconds, size))
            continue
        known = around.facts(step, inputs)
        if known is None:
            made.append(Forecast(str(step), "failed", ("it is not available here",)))
        elif found := store.recall(key(known)):
            settled[step] = found[1]
            made.append(Forecast(str(step), "fresh", (), 0.0, 0))
        elif store.failed(key(known)):
            made.append(Forecast(str(step), "failed", ("failed last time",), 0.0, 0))
        else:
            last = store.last(str(step))
            why = difference(last[0] if last else None, known)
            made.append(Forecast(str(step), "stale", why, seconds, size))
    return made


def _inputs(step: Step, settled: Mapping[Step, Product], store: Store) -> dict[str, Product] | None:
    found = {}
    for name, needed in step.inputs:
        product = store.product(needed.digest) if isinstance(needed, Given) else settled.get(needed)
        if product is None:
            return None
        found[name] = product
    return found
