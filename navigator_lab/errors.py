"""What can be wrong, drawn:

NavigatorError            has ``remedy``: what to do about it
├── InputError            what the user gave
│   ├── ModelError        no model, not capturable, truncated, lacks its data
│   ├── SamplesError      none, NaN, refused by the model, names that don't match
│   ├── RequestError      an unknown format, precision, runner, target or option
│   └── TrustError        a file that could run code when opened, without trust=True
├── WorkspaceError        read-only, full, damaged, or from a newer version
├── PackageError          a saved run or a Triton repository that can't be written or read
└── NothingToChoose       no target satisfies the limits

What goes wrong inside a step is no exception but an outcome: `navigator_lab.types.outcome`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NavigatorError(Exception):
    """Root of the tree. ``str`` gives the fact, then the remedy."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  remedy: {self.remedy}" if self.remedy else self.message


class InputError(NavigatorError, ValueError):
    """Something that the user gave is wrong."""


class ModelError(InputError):
    """What was given is no model, or can't be captured."""


class SamplesError(InputError):
    """The samples are missing, broken, or don't fit the model."""


class RequestError(InputError):
    """A name or an option in a request that means nothing."""


class TrustError(InputError):
    """Opening this file could run code that it carries."""


class WorkspaceError(NavigatorError, OSError):
    """The workspace can't be used."""


class PackageError(NavigatorError):
    """A saved run or a Triton repository can't be written or read."""


class NothingToChoose(NavigatorError, LookupError):
    """No target satisfies what was asked."""


def unknown(kind: str, value: object, valid: Iterable[str]) -> RequestError:
    """The error for a name that means nothing: it names the valid ones and suggests the nearest."""
    names = [str(v) for v in valid]
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(names[:40]) + (f", … ({len(names)} in all)" if len(names) > 40 else "")
    return RequestError(f"unknown {kind} {str(value)!r}", f"{hint}it is one of: {shown}")
