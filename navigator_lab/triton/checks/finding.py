"""What a check says, and what it must know of the server that is meant."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime import TRITON


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a model. ``error``: the server would not load it."""

    model: str
    message: str
    remedy: str = ""
    error: bool = True

    def __str__(self) -> str:
        """Model, finding and remedy in one line."""
        kind = "error" if self.error else "note"
        return f"{self.model}: {kind}: {self.message}" + (
            f" ({self.remedy})" if self.remedy else ""
        )


@dataclass(frozen=True, slots=True)
class Meant:
    """The server that a repository is for.

    ``gpus``: how many it has; None: not known, so what hangs on it is a note. ``files``: whether
    model files are missed and looked into.
    """

    gpus: int | None = None
    triton: str = TRITON
    files: bool = True

    def older_than(self, version: str) -> bool:
        """True where that version's novelties are unknown to the server."""
        return _numbers(self.triton) < _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def refused(message: str, remedy: str = "") -> Finding:
    """What makes a server refuse the model; the model's name is put in by who collects."""
    return Finding("", message, remedy)


def noted(message: str, remedy: str = "") -> Finding:
    """What a user should know, though the server may take it."""
    return Finding("", message, remedy, error=False)


class Findings(list[Finding]):
    """All that a check found: a list, shown a line each."""

    @property
    def refused(self) -> list[Finding]:
        """Those for which a server would not load the model."""
        return [one for one in self if one.error]

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "nothing: a server would take this"
