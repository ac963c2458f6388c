"""Products by what they are, records by what was asked. Atomic; two processes may share one.

Layout of a workspace::

    store.sqlite            the index (WAL): records, products, failures, facts of files outside
    objects/ab/<digest>/    the files of a product, read-only, never changed once there
    steps/ab/<key>/         job.json and log.txt of a step that ran: what reproduces it
    scratch/                where actions write; moved into objects when done
    claims/                 locks on keys in work, released by the system when a process dies
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import WorkspaceError
from ..types.codec import canonical, decode, digest, encode
from ..types.outcome import Failure, Product
from .claims import Claims
from .index import Index

_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Record:
    """That a step with this key made that product, and how long it took."""

    key: str
    product: str
    seconds: float
    at: float


class Store:
    """A workspace on disk.

    Raises:
        WorkspaceError: it is read-only, full, damaged, or from a newer version.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.claims = Claims(self.root / "claims")
        try:
            for room in ("objects", "scratch", "claims", "steps"):
                (self.root / room).mkdir(parents=True, exist_ok=True)
            probe = self.root / "scratch" / f".{uuid.uuid4().hex}"
            probe.write_bytes(b"x")
            probe.unlink()
        except OSError as error:
            raise _unusable(self.root, error) from error
        self._index = Index(self.root)
        self._sweep()

    def _sweep(self) -> None:
        """Leftovers of processes that died: scratch older than a day."""
        old = time.time() - 86_400
        for entry in (self.root / "scratch").iterdir():
            with contextlib.suppress(OSError):
                if entry.stat().st_mtime < old:
                    shutil.rmtree(entry, ignore_errors=True)

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    # products

    def scratch(self) -> Path:
        """A new empty folder on the workspace's own disk."""
        folder = self.root / "scratch" / uuid.uuid4().hex
        try:
            folder.mkdir()
        except OSError as error:
            raise _unusable(self.root, error) from error
        return folder

    def keep(self, folder: Path, value: Any, identity: str = "") -> Product:
        """Move a scratch folder in, under ``identity`` or the digest of its files and its value.

        Raises:
            WorkspaceError: the folder holds a link that leads out of it, or the disk is full.
        """
        value = encode(value)
        found: dict[str, tuple[int, int, str]] = {}
        try:
            for path in sorted(folder.rglob("*")):
                if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
                    raise WorkspaceError(f"{path.name} is a link out of the product")
                if path.is_file():
                    path.chmod(0o444)
                    state = path.stat()
                    name = path.relative_to(folder).as_posix()
                    found[name] = (state.st_size, state.st_mtime_ns, hash_file(path))
            content = {"files": {n: h for n, (_, _, h) in found.items()}, "value": value}
            name = identity or digest(content)
            home = self._home(name)
            size = sum(s for s, _, _ in found.values())
            # Between the move and the line in the index it looks damaged to whoever makes the same.
            with self.claims.alone("keep"):
                if home.is_dir():
                    if (kept := self.product(name)) is not None:
                        shutil.rmtree(folder, ignore_errors=True)
                        return kept
                    shutil.rmtree(home, ignore_errors=True)
                home.parent.mkdir(exist_ok=True)
                os.replace(folder, home)
                self._index.do(
                    "insert or replace into products values (?, ?, ?, ?, ?)",
                    (name, canonical(value).decode(), json.dumps(found), size, time.time()),
                )
        except OSError as error:
            raise _unusable(self.root, error) from error
        return Product(name, home, value, {n: s for n, (s, _, _) in found.items()})

    def product(self, name: str) -> Product | None:
        """A product by its digest; None if it isn't there or is damaged (then it is forgotten)."""
        row = self._index.one("select value, files from products where digest = ?", name)
        if row is None:
            return None
        home, files = self._home(name), json.loads(row[1])
        for file, (size, mtime_ns, sealed) in files.items():
            if not _as_kept(home / file, size, mtime_ns, sealed):
                self._forget(name)
                return None
        if not files and not home.is_dir():
            with contextlib.suppress(OSError):
                home.mkdir(parents=True)
        return Product(name, home, json.loads(row[0]), {n: s for n, (s, _, _) in files.items()})

    def _home(self, name: str) -> Path:
        return self.root / "objects" / name[:2] / name

    def _forget(self, name: str) -> None:
        self._index.do("delete from products where digest = ?", (name,))
        shutil.rmtree(self._home(name), ignore_errors=True)

    # records

    def recall(self, key: str) -> tuple[Record, Product] | None:
        """What the step with this key made; None if it never ran or its product is gone."""
        row = self._index.one("select product, seconds, at from records where key = ?", key)
        if row is None:
            return None
        product = self.product(row[0])
        return None if product is None else (Record(key, row[0], row[1], row[2]), product)

    def remember(
        self, key: str, address: str, facts: dict[str, Any], product: Product, seconds: float
    ) -> None:
        """That a step made a product."""
        self._index.do(
            "insert or replace into records values (?, ?, ?, ?, ?, ?)",
            (key, address, canonical(facts).decode(), product.digest, seconds, time.time()),
        )
        self._index.do("delete from failures where key = ?", (key,))

    def last(self, address: str) -> tuple[dict[str, Any], str] | None:
        """The facts and product digest of the last time that this place in a plan was filled."""
        row = self._index.one(
            "select facts, product from records where address = ? order by at desc limit 1", address
        )
        return None if row is None else (json.loads(row[0]), row[1])

    def cost(self, address: str, action: str) -> tuple[float, int] | None:
        """Seconds and bytes to expect: of this address last time, else the mean of its action."""
        asked = "select seconds, bytes from records join products on product = digest where "
        row = self._index.one(asked + "address = ? order by at desc limit 1", address)
        if row is None:
            row = self._index.one(
                "select avg(seconds), avg(bytes) from records join products on product = digest"
                " where facts like ?",
                f'%"action":{json.dumps(action)}%',
            )
        return None if row is None or row[0] is None else (float(row[0]), int(row[1]))

    # failures: events, not truth

    def failed(self, key: str) -> tuple[Failure, float] | None:
        """How the step with this key failed last time, if that would happen again."""
        row = self._index.one("select failure, seconds from failures where key = ?", key)
        return None if row is None else (decode(Failure, json.loads(row[0])), row[1])

    def remember_failure(
        self, key: str, address: str, facts: dict[str, Any], failure: Failure, seconds: float
    ) -> None:
        """That a step failed in a way that the same facts would bring about again."""
        self._index.do(
            "insert or replace into failures values (?, ?, ?, ?, ?, ?)",
            (key, address, canonical(facts).decode(), canonical(failure).decode(), seconds,
             time.time()),
        )  # fmt: skip

    # what is known of files outside, as long as they don't change

    def get(self, path: Path, kind: str = "sha256") -> str | None:
        """What was noted of a file (by default its sha256), if it has not changed since."""
        state = path.stat()
        row = self._index.one(
            "select said from outside where kind = ? and path = ? and size = ? and mtime_ns = ?"
            " and inode = ?",
            kind, str(path.absolute()), state.st_size, state.st_mtime_ns, state.st_ino,
        )  # fmt: skip
        return None if row is None else str(row[0])

    def put(self, path: Path, said: str, kind: str = "sha256") -> None:
        """Note something of a file as it is now."""
        state = path.stat()
        if time.time_ns() - state.st_mtime_ns < 2_000_000_000:
            return  # too young: a second write within the clock's grain would go unseen
        self._index.do(
            "insert or replace into outside values (?, ?, ?, ?, ?, ?)",
            (kind, str(path.absolute()), state.st_size, state.st_mtime_ns, state.st_ino, said),
        )

    # steps

    def step_folder(self, key: str) -> Path:
        """Where a step's job and log lie."""
        folder = self.root / "steps" / key[:2] / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self.root, error) from error
        return folder

    # keeping it small

    def size_bytes(self) -> int:
        """Bytes of all products."""
        return int(self._index.do("select coalesce(sum(bytes), 0) from products")[0][0])

    def used(self, digests: set[str]) -> None:
        """These products were of use just now; `trim` takes the longest unused first."""
        now = time.time()
        if digests:
            self._index.do(
                "update products set used = ? where digest = ?", *((now, d) for d in digests)
            )

    def trim(self, max_bytes: int, keep: frozenset[str] = frozenset()) -> tuple[int, int]:
        """Drop the products longest unused until at most ``max_bytes`` remain.

        Returns:
            how many products and how many bytes were dropped.
        """
        if max_bytes < 0:
            raise ValueError(f"max_bytes is {max_bytes}; it can't be negative")
        total, dropped, freed = self.size_bytes(), 0, 0
        rows = self._index.do("select digest, bytes from products order by used")
        for name, size in rows:
            if total <= max_bytes:
                break
            if name in keep or size == 0:
                continue
            self._forget(name)
            total, dropped, freed = total - size, dropped + 1, freed + size
        return dropped, freed


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes."""
    seal = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            seal.update(chunk)
    return seal.hexdigest()


def _as_kept(path: Path, size: int, mtime_ns: int, sealed: str) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False
    if state.st_size != size:
        return False
    # A changed time means touched, copied or edited: only the content can tell.
    return state.st_mtime_ns == mtime_ns or hash_file(path) == sealed


def _unusable(root: Path, error: OSError) -> WorkspaceError:
    if isinstance(error, WorkspaceError):
        return error
    if error.errno == errno.ENOSPC:
        return WorkspaceError(
            f"the disk of the workspace {root} is full",
            "free some space (navigator-lab trim), or use another workspace",
        )
    return WorkspaceError(
        f"the workspace {root} can't be written: {error.strerror or error}",
        "check its permissions, or name another folder as workspace",
    )
