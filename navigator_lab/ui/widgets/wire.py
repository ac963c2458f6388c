"""What goes to the browser: of plain data that was sent before, only what changed since.

A change is ``["=", value]`` (all of it is new) or ``["~", {key: change}, [keys that are gone]]`` of a
dict, or ``["~", {index: change}, length]`` of a list. It says what is, never how it moved, so that
made on top of itself it changes nothing. `js/wire.js` applies it.
"""

from __future__ import annotations

import json
from typing import Any

Change = list[Any]
SMALL = 2000  # bytes: below this the whole is sent, which needs no memory of what was


def change(old: Any, new: Any) -> Change | None:
    """What makes ``new`` of ``old``; None if they are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        inner = {
            key: ["=", value] if key not in old else change(old[key], value)
            for key, value in new.items()
        }
        gone: Any = [key for key in old if key not in new]
        same = not gone
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        inner = {
            str(i): ["=", value] if i >= len(old) else change(old[i], value)
            for i, value in enumerate(new)
        }
        gone, same = len(new), len(old) == len(new)
    else:
        # 1, 1.0 and True are equal to Python, and other things to a browser.
        return None if type(old) is type(new) and old == new else ["=", new]
    inner = {key: one for key, one in inner.items() if one is not None}
    if not inner and same:
        return None
    return ["~", inner, gone]


def size(value: Any) -> int:
    """Bytes on the wire."""
    return len(json.dumps(value, separators=(",", ":"), default=str))


def worth(change: Change, new: Any) -> bool:
    """Whether the change is so much smaller than the whole that it is sent instead."""
    whole = size(new)
    return whole > SMALL and size(change) < whole / 2
