"""What the engine says while it works. The only thing a screen needs to hear.

Every event has a ``step``: the label of the step, unique in a run.
"""

from __future__ import annotations

from dataclasses import dataclass

from .outcome import Outcome


@dataclass(frozen=True, slots=True)
class Planned:
    """A run begins: its steps in order, each with what is known of it beforehand."""

    run: str
    steps: tuple[str, ...]
    at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Started:
    """A step is under way in a worker."""

    step: str
    why: tuple[str, ...]  # which facts changed since last time
    at: float


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a step is."""

    step: str
    text: str
    share: float | None = None  # of the step, 0 to 1
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A step is settled: run, recalled from the store, skipped or cancelled."""

    step: str
    outcome: Outcome
    at: float
    key: str = ""
    log: str = ""  # the path of what it printed, relative to the workspace


Event = Planned | Started | Progressed | Finished
