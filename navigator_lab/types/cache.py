"""Where things are kept that are found out or fetched once for a user, beside every workspace."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``NAVIGATOR_LAB_CACHE``, or the user's cache."""
    given = os.environ.get("NAVIGATOR_LAB_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "navigator_lab"
