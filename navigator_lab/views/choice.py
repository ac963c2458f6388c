"""A choice in words: what won, why, what came next, and what was left out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .numbers import interval, significant


def told(choice: Any) -> str:
    """The choice as a few lines of text."""
    where = "" if choice.batch is None else f", batch {choice.batch}"
    value = significant(choice.value)
    if choice.interval is not None:
        value = interval(choice.interval.value, choice.interval.low, choice.interval.high)
    lines = [f"{choice.target}{where}: best {choice.objective}, {value}"]
    lines += [f"  {reason}" for reason in choice.reasons]
    reasons: Counter[str] = Counter(why for _, why in choice.left_out)
    first = {why: target for target, why in reversed(choice.left_out)}
    for why, count in reasons.most_common():
        who = first[why] if count == 1 else f"{first[why]} and {count - 1} more"
        lines.append(f"  left out: {who}: {' '.join(why.split())[:160]}")
    return "\n".join(lines)
