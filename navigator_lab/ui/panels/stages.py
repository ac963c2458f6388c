"""Section 3: a job's board as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def steps(board: Any, began: float) -> dict[str, dict[str, Any]]:
    """Every step by its label; ``from`` and ``to`` are seconds since the job began."""
    made = {}
    for label, one in list(board.steps.items()):
        ran = one.started > 0
        made[label] = {
            "state": one.state,
            "text": one.text if one.state in ("running", "failed") else "",
            "share": one.share,
            "seconds": round(one.seconds, 3),
            "from": round(one.started - began, 3) if ran else None,
            "to": round(one.finished - began, 3) if ran and one.finished else None,
        }
    return made


def job(
    state: str, until: str, targets: Sequence[str], board: Any, began: float, now: float
) -> dict[str, Any]:
    """A run as the section shows it, but for the states of the targets."""
    found = steps(board, began)
    left = board.seconds_left(now) if state == "running" and found else None
    ends = [s["to"] for s in found.values() if s["to"] is not None]
    elapsed = now - began if state == "running" else max(ends, default=0.0)
    return {
        "state": state,
        "until": until,
        "targets": list(targets),
        "steps": found,
        "left": None if left is None else round(left, 1),
        "elapsed": round(elapsed, 2),
        "error": "",
        "remedy": "",
    }
