"""A choice in words: what won, why, what came next, and what was left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..types.target import Target
from .numbers import interval, significant


def told(choice: Any) -> str:
    """The choice as a few lines of text."""
    where = "" if choice.batch is None else f", batch {choice.batch}"
    value = significant(choice.value)
    if choice.interval is not None:
        value = interval(choice.interval.value, choice.interval.low, choice.interval.high)
    lines = [f"{choice.target}{where}: best {choice.objective}, {value}"]
    lines += [f"  {reason}" for reason in choice.reasons]
    lines += [
        f"  left out: {who}: {' '.join(why.split())[:160]}" for who, why in folded(choice.left_out)
    ]
    return "\n".join(lines)


def folded(left_out: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Targets with the same reason as one line, the most of them first: ``("a and 3 more", why)``.

    Reasons are the same where they differ only in the target's own names; the first's is told.
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for target, why in left_out:
        alike.setdefault(_impersonal(target, why), []).append((target, why))
    return [
        (first if len(all_) == 1 else f"{first} and {len(all_) - 1} more", why)
        for all_ in sorted(alike.values(), key=len, reverse=True)
        for first, why in all_[:1]
    ]


def _impersonal(text: str, why: str) -> str:
    """A reason without the names of the target that it is about."""
    try:
        target = Target.parse(text)
    except ValueError:  # of another version: told as it is
        return why
    own = {text: "it", str(target.variant): "its variant", target.format: "format",
           target.runner: "runner", str(target.precision): "precision"}  # fmt: skip
    named = "|".join(re.escape(name) for name in sorted(own, key=len, reverse=True))
    return re.sub(rf"(?<![\w:-])({named})(?![\w:-])", lambda found: own[found[1]], why)
