"""What a run would do, before it does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from .numbers import bytes_, seconds


class ForecastLike(Protocol):
    """What the engine knows of a step beforehand."""

    @property
    def step(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def why(self) -> tuple[str, ...]: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def bytes(self) -> int | None: ...


class Preview(Sequence[Any]):
    """A forecast a step; ``str`` sums them up: ``9 targets · 14 steps to run, 22 cached``."""

    def __init__(self, forecasts: Sequence[ForecastLike], targets: int) -> None:
        self.forecasts = tuple(forecasts)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.forecasts)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.forecasts)

    def __getitem__(self, index: Any) -> Any:
        return self.forecasts[index]

    @property
    def to_run(self) -> list[Any]:
        """The steps that would run, as far as can be told."""
        return [f for f in self.forecasts if f.state in ("stale", "unknown")]

    @property
    def seconds(self) -> float | None:
        """About how long it takes; None if a step of its kind has never run."""
        known = [f.seconds for f in self.to_run]
        return None if None in known else sum(s for s in known if s is not None)

    @property
    def bytes(self) -> int | None:
        """About how much it writes; None if not known."""
        known = [f.bytes for f in self.to_run]
        return None if None in known else sum(b for b in known if b is not None)

    def __str__(self) -> str:
        cached = sum(1 for f in self.forecasts if f.state == "fresh")
        targets = f"{self.targets} target{'' if self.targets == 1 else 's'}"
        steps = f"{len(self.to_run)} step{'' if len(self.to_run) == 1 else 's'}"
        said = f"{targets} · {steps} to run, {cached} cached"
        failed = sum(1 for f in self.forecasts if f.state == "failed")
        if failed:
            said += f", {failed} failed last time"
        if self.to_run:
            time = self.seconds
            said += " · time not known yet" if time is None else f" · about {seconds(time)}"
            size = self.bytes
            said += "" if size is None else f" · {bytes_(size)}"
        return said

    def __repr__(self) -> str:
        width = max((len(f.step) for f in self.forecasts), default=0)
        lines = [f"{f.state:<8} {f.step:<{width}}  {'; '.join(f.why)}" for f in self.forecasts]
        return "\n".join([*(line.rstrip() for line in lines), str(self)])
