"""All events folded: the state of a run, which a screen draws, and how long it may still take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..types.event import Event, Finished, Planned, Progressed, Started
from ..types.outcome import Cancelled, Done, Failed, Skipped


@dataclass
class StepState:
    """One step as a screen shows it. ``state``: waiting, running, done, cached, failed, skipped,
    cancelled."""

    state: str = "waiting"
    text: str = ""
    share: float | None = None
    started: float = 0.0
    finished: float = 0.0
    seconds: float = 0.0


@dataclass
class Board:
    """Call it with every event. ``expected`` are seconds by step, from earlier runs."""

    run: str = ""
    steps: dict[str, StepState] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(run, steps, _):
                self.run, self.steps = run, {step: StepState() for step in steps}
            case Started(step, why, at):
                state = self._of(step)
                state.state, state.text, state.started = "running", "; ".join(why), at
            case Progressed(step, text, share, _):
                state = self._of(step)
                state.text, state.share = text, share
            case Finished(step, outcome, at, _, _):
                state = self._of(step)
                state.finished, state.share = at, None
                match outcome:
                    case Done(_, seconds, cached, reason):
                        state.state, state.text = "cached" if cached else "done", reason
                        state.seconds = 0.0 if cached else seconds
                    case Failed(failure, seconds, _):
                        state.state, state.text, state.seconds = "failed", failure.message, seconds
                    case Skipped(reason):
                        state.state, state.text = "skipped", reason
                    case Cancelled(reason):
                        state.state, state.text = "cancelled", reason

    def _of(self, step: str) -> StepState:
        return self.steps.setdefault(step, StepState())

    def count(self, *states: str) -> int:
        """How many steps are in one of these states."""
        return sum(1 for s in self.steps.values() if s.state in states)

    @property
    def running(self) -> list[str]:
        """The steps under way, in the order in which they began."""
        active = [(s.started, name) for name, s in self.steps.items() if s.state == "running"]
        return [name for _, name in sorted(active)]

    @property
    def settled(self) -> int:
        return len(self.steps) - self.count("waiting", "running")

    def seconds_left(self, now: float) -> float | None:
        """About how long it still takes: what earlier runs and this one say of such steps.

        None until one step of every kind that is left has run once.
        """
        by_kind: dict[str, list[float]] = {}
        for name, state in self.steps.items():
            if state.state == "done":
                by_kind.setdefault(_kind(name), []).append(state.seconds)
        left = 0.0
        for name, state in self.steps.items():
            if state.state not in ("waiting", "running"):
                continue
            expected = self.expected.get(name)
            if expected is None:
                known = by_kind.get(_kind(name))
                if not known:
                    return None
                expected = sum(known) / len(known)
            spent = now - state.started if state.state == "running" else 0.0
            left += max(expected - spent, 0.0)
        return left


def _kind(step: str) -> str:
    return step.partition(" ")[0]
