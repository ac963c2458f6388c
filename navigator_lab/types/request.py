"""What a user wants done: a frozen value that prints as the line of Python that asks for it."""

from __future__ import annotations

from dataclasses import dataclass, fields

STAGES = ("export", "convert", "correctness", "profile", "verify")


@dataclass(frozen=True, slots=True)
class Load:
    """How targets are timed.

    ``batches`` empty: powers of two up to ``max_batch`` or the largest that still gains throughput.
    Measuring a batch stops when the 95 % interval of its median (with ``p99``, also of its p99) is
    within ``width`` (a share of the value) or ``seconds`` are spent on it.
    """

    batches: tuple[int, ...] = ()
    max_batch: int = 32
    width: float = 0.02
    p99: bool = False
    p99_width: float = 0.1
    seconds: float = 0.5  # budget of one batch size of one target
    min_calls: int = 20
    max_calls: int = 20_000


@dataclass(frozen=True, slots=True)
class Request:
    """Which targets, and how far. Empty means: all there are.

    ``options`` are (action name, options as a dataclass) pairs.
    """

    formats: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    runners: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    until: str = "profile"
    load: Load = Load()
    options: tuple[tuple[str, object], ...] = ()
    batch: int = 4  # the larger batch that answers are compared at

    def __str__(self) -> str:
        said = []
        for one in fields(self):
            value = getattr(self, one.name)
            if value == one.default:
                continue
            if one.name == "options":
                value = dict(value)
            elif isinstance(value, tuple):
                value = list(value)
            said.append(f"{one.name}={value!r}")
        return f"lab.run({', '.join(said)})"
