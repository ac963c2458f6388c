"""Who works on what: locks that the system releases when a process dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Claims:
    """One step at a time, over all processes that share a workspace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, key: str) -> int | None:
        """Take a key; None while another process works on it. Give it back by `release`."""
        handle = os.open(self._folder / key[:32], os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return handle

    def release(self, handle: int | None) -> None:
        """Give back what `take` gave."""
        if handle is not None:
            os.close(handle)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other thread or process holds a name, and hold it."""
        handle = os.open(self._folder / name, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
