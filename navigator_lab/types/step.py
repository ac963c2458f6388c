"""A step is a value: which action, about what, with which options, on which inputs.

A plan is a tuple of goal steps; the graph is what is reachable from them. Equal steps are one
step, so shared work is shared without bookkeeping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .target import Target, Variant


@dataclass(frozen=True, slots=True)
class Given:
    """A leaf: something the store already holds, known by its digest."""

    name: str
    digest: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Gate:
    """A step that must be done first. With ``field``, that field of its value must be true too."""

    step: Step
    field: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """``inputs`` enter the key by content; ``gates`` are order and permission and never do.

    ``uses`` names the runners it rests on: their code and packages are its own, and
    ``run_options`` (of the runner's options class, or None) is how they are opened.
    ``label`` is its address for people and for "last time".
    """

    action: str
    about: Variant | Target | None = None
    options: Any = None
    inputs: tuple[tuple[str, Step | Given], ...] = ()
    uses: tuple[str, ...] = ()
    run_options: Any = None
    gates: tuple[Gate, ...] = field(default=(), compare=False)
    label: str = field(default="", compare=False)
    _hash: int = field(default=0, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # A deep graph would otherwise be hashed again from its leaves at every look-up.
        object.__setattr__(
            self,
            "_hash",
            hash((self.action, self.about, self.options, self.inputs, self.uses, self.run_options)),
        )

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return self.label or (f"{self.action} {self.about}" if self.about else self.action)


def in_order(goals: Iterable[Step]) -> Iterator[Step]:
    """Every step that the goals rest on (gates too), each once, inputs first."""
    seen: set[Step] = set()
    stack: list[tuple[Step, bool]] = [(goal, False) for goal in reversed(tuple(goals))]
    while stack:
        step, open_ = stack.pop()
        if open_:
            yield step
            continue
        if step in seen:
            continue
        seen.add(step)
        stack.append((step, True))
        needed = [s for _, s in step.inputs if isinstance(s, Step)]
        needed += [gate.step for gate in step.gates]
        stack.extend((s, False) for s in reversed(needed) if s not in seen)
