"""A tensor in a file of its own, as warm-up samples and first states are: is all of it there?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import dtype_name, type_text
from .finding import Finding, refused


def data_file(
    path: Path, name: str, tensor: Any, setting: str, remedy: str, *, start: str = "", end: str = ""
) -> Iterator[Finding]:
    """Whether the file holds as many bytes as ``tensor`` says by its type and dims.

    ``name``: as the configuration writes it; ``setting``, ``start``, ``end``: the server's words.
    """
    if not path.is_file():
        yield refused(
            f"failed to open text file for read {path}: No such file or directory",
            f"put it into {path.parent.name}/ beside config.pbtxt",
        )
        return
    needed, size = _bytes(tensor.data_type, tensor.dims), path.stat().st_size
    if needed is not None and size < needed:
        yield refused(
            # The blank that is missing is missing in the server's words.
            f"{start}{setting} expects {needed} bytes, but the data provided from {name}only has "
            f"{size} bytes{end}",
            remedy,
        )


def _bytes(data_type: int, dims: Any) -> int | None:
    """How many bytes a tensor has; None where its type doesn't say (text)."""
    kind = type_text(data_type)
    if kind in ("TYPE_STRING", "TYPE_INVALID"):
        return None
    digits = "".join(c for c in dtype_name(kind) if c.isdigit())
    return int(math.prod(dims)) * (int(digits) // 8 if digits else 1)
