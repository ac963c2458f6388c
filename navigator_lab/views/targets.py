"""The targets of a catalog as a table: what can be run here, and why the rest can't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..types.plugin import Unavailable
from ..types.target import Target


@dataclass(frozen=True, slots=True)
class TargetState:
    """One target: the variants on the way to it, and why it can't be had here, if so."""

    target: Target
    unavailable: Unavailable | None
    way: tuple[str, ...] = ()

    @property
    def available(self) -> bool:
        return self.unavailable is None

    @property
    def reason(self) -> str:
        return "" if self.unavailable is None else self.unavailable.reason

    @property
    def remedy(self) -> str:
        return "" if self.unavailable is None else self.unavailable.remedy

    def __str__(self) -> str:
        return str(self.target)


class Targets(Sequence[TargetState]):
    """Every target of the catalog. ``broken`` are plug-ins that could not be loaded."""

    def __init__(self, states: Sequence[TargetState], broken: dict[str, str]) -> None:
        self.states = tuple(states)
        self.broken = broken

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[TargetState]:
        return iter(self.states)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            for state in self.states:
                if str(state) == index:
                    return state
            raise KeyError(index)
        return self.states[index]

    @property
    def available(self) -> list[str]:
        """The text forms of those that can be run here."""
        return [str(s) for s in self.states if s.available]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Plain data: a dict a target."""
        return [
            {
                "target": str(s),
                "format": s.target.format,
                "precision": str(s.target.precision),
                "runner": s.target.runner,
                "device": str(s.target.device),
                "available": s.available,
                "reason": s.reason,
                "remedy": s.remedy,
                "way": list(s.way),
            }
            for s in self.states
        ]

    def _lines(self) -> list[tuple[str, str, str]]:
        return [
            ("✓" if s.available else "–", str(s), "" if s.available else _why(s))
            for s in self.states
        ] + [
            ("✗", name, f"plug-in could not be loaded: {why}") for name, why in self.broken.items()
        ]

    def __repr__(self) -> str:
        width = max((len(str(s)) for s in self.states), default=0)
        lines = [f"{mark} {name:<{width}}  {why}".rstrip() for mark, name, why in self._lines()]
        return "\n".join([*lines, f"{len(self.available)} of {len(self)} targets can run here"])

    def _repr_html_(self) -> str:
        left = '<td style="text-align:left">'
        body = "".join(
            f"<tr><td>{mark}</td>{left}<code>{escape(name)}</code></td>{left}{escape(why)}</td></tr>"
            for mark, name, why in self._lines()
        )
        return f"<table><tbody>{body}</tbody></table>"


def _why(state: TargetState) -> str:
    return f"{state.reason}{f' → {state.remedy}' if state.remedy else ''}"
