"""Names of tensors as names of Python parameters, which tracers call their inputs after."""

from __future__ import annotations

import keyword
from collections.abc import Iterable


def identifiers(names: Iterable[str]) -> list[str]:
    """For each name an identifier; they differ by more than case, which TensorFlow doesn't see."""
    made: list[str] = []
    for name in names:
        safe = "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
        reserved = keyword.iskeyword(safe) or safe in ("self", "forward")
        if not safe[:1].isalpha() or reserved:
            safe = f"input_{safe}"
        while safe.lower() in [one.lower() for one in made]:
            safe += "_"
        made.append(safe)
    return made
