"""What an action made, and what became of a step. Never a bare status: a reason travels with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .codec import decode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Product:
    """What an action made: files under ``path`` and a small ``value`` (plain JSON data).

    Content only: how long it took belongs to the outcome. ``files`` gives each file's size in bytes.
    """

    digest: str
    path: Path
    value: Any = None
    files: dict[str, int] = field(default_factory=dict)

    def read(self, cls: type[T]) -> T:
        """The value as the dataclass it was written from."""
        made: T = decode(cls, self.value)
        return made

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer, in a sentence, and what can be done about it.

    ``kind`` is the class of the error, or one of ``WorkerDied``, ``TimedOut``, ``OutOfMemory``,
    ``MemoryLimit``. ``lasting`` is False for what may go better another time.
    """

    kind: str
    message: str
    remedy: str = ""
    trace: str = ""
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """There is a product: made now, or ``cached`` from the store."""

    product: Product
    seconds: float  # of the run that made it, which may have been another day's
    cached: bool = False
    reason: str = ""  # "from the store" or why it ran


@dataclass(frozen=True, slots=True)
class Failed:
    """The action gave no answer."""

    failure: Failure
    seconds: float = 0.0
    recalled: bool = False  # failed last time with the same facts; not tried again

    @property
    def reason(self) -> str:
        return self.failure.message


@dataclass(frozen=True, slots=True)
class Skipped:
    """It was not tried, and why."""

    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was stopped, or not begun, because the user said so."""

    reason: str = "cancelled by the user"
    remedy: str = "run it again: finished steps are kept"


Outcome = Done | Failed | Skipped | Cancelled
