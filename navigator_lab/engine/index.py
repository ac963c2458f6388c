"""The index of a workspace: one SQLite file (WAL), which two processes may share.

What its tables mean is the store's; here is how they are opened, asked and found damaged.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

from ..errors import WorkspaceError

VERSION = 1
_SCHEMA = """
create table if not exists meta (name text primary key, value text) without rowid;
create table if not exists records (
    key text primary key, address text, facts text, product text, seconds real, at real
) without rowid;
create index if not exists records_address on records (address, at);
create table if not exists products (
    digest text primary key, value text, files text, bytes integer, used real
) without rowid;
create table if not exists failures (
    key text primary key, address text, facts text, failure text, seconds real, at real
) without rowid;
create table if not exists outside (
    kind text, path text, size integer, mtime_ns integer, inode integer, said text,
    primary key (kind, path, size, mtime_ns, inode)
) without rowid;
"""


class Index:
    """The opened file. Statements of all threads go one after the other.

    Raises:
        WorkspaceError: it is damaged, can't be written, or is from a newer version.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(
                self.root / "store.sqlite",
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.executescript(_SCHEMA)
            self._db.execute("insert or ignore into meta values ('version', ?)", (str(VERSION),))
            found = self._db.execute("select value from meta where name = 'version'").fetchone()
        except sqlite3.DatabaseError as error:
            raise WorkspaceError(
                f"the index of the workspace {self.root} is damaged: {error}",
                f"delete {self.root} (everything in it can be made again) or use another workspace",
            ) from error
        if int(found[0]) > VERSION:
            self._db.close()
            raise WorkspaceError(
                f"the workspace {self.root} is of version {found[0]}, newer than {VERSION}",
                "upgrade navigator-lab, or use another workspace",
            )

    def close(self) -> None:
        """Let go of the index."""
        with self._lock:
            self._db.close()

    def do(self, statement: str, *values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Execute a statement, once for each tuple of values, and fetch everything it finds.

        Nothing stays open outside the lock: a half-read select of one thread would pin the snapshot
        of the connection, and a write of another thread after a foreign one would then fail at once.
        """
        with self._lock:
            try:
                if len(values) < 2:
                    return self._db.execute(statement, *values).fetchall()
                with self._db:
                    self._db.execute("begin immediate")
                    self._db.executemany(statement, values)
                return []
            except sqlite3.OperationalError as error:
                raise WorkspaceError(
                    f"the index of the workspace {self.root} can't be used: {error}",
                    "free some disk space, check the permissions, or use another workspace",
                ) from error
            except sqlite3.DatabaseError as error:
                raise WorkspaceError(
                    f"the index of the workspace {self.root} is damaged: {error}",
                    f"delete {self.root} (everything in it can be made again)",
                ) from error

    def one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        return next(iter(self.do(statement, values)), None)
