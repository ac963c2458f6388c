"""The store: atomic, checked, shared, trimmed; and what it says when it can't be used."""

import os
import sqlite3
import threading
import time

import pytest

from navigator_lab.engine.store import Store, hash_file
from navigator_lab.errors import WorkspaceError
from navigator_lab.types.outcome import Failure


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "w")
    yield made
    made.close()


def kept(store, text="x", value=None, **more):
    folder = store.scratch()
    (folder / "sub").mkdir()
    (folder / "sub" / "data.bin").write_text(text)
    return store.keep(folder, value, **more)


def test_equal_content_is_one_product(store):
    one, two, other = kept(store), kept(store), kept(store, "y")
    assert one.digest == two.digest != other.digest
    assert kept(store, value={"a": 1}).digest != one.digest
    assert one.files == {"sub/data.bin": 1}
    assert not list((store.root / "scratch").iterdir())


@pytest.mark.parametrize("change", ["edit", "truncate", "delete", "touch"])
def test_a_damaged_product_is_forgotten_and_a_touched_one_is_not(store, change):
    product = kept(store, "0123456789")
    path = product.path / "sub" / "data.bin"
    path.chmod(0o644)
    if change == "edit":
        path.write_text("0123456780")
    elif change == "truncate":
        path.write_text("01234")
    elif change == "delete":
        path.unlink()
    else:
        os.utime(path, (1, 1))
    found = store.product(product.digest)
    assert (found is None) == (change != "touch")
    if found is None:
        assert store.product(kept(store, "0123456789").digest) is not None


def test_a_record_without_its_product_is_no_record(store):
    product = kept(store)
    store.remember("k" * 64, "place", {"a": 1}, product, 1.5)
    record, found = store.recall("k" * 64)
    assert (record.seconds, found.digest) == (1.5, product.digest)
    assert store.last("place") == ({"a": 1}, product.digest)
    assert store.cost("place", "any") == (1.5, 1)
    assert store.trim(0) == (1, 1)
    assert store.recall("k" * 64) is None


def test_trim_takes_the_longest_unused_first(store):
    products = [kept(store, str(i) * 100) for i in range(4)]
    store.used({products[0].digest})
    dropped, freed = store.trim(200)
    assert (dropped, freed) == (2, 200)
    alive = [store.product(p.digest) is not None for p in products]
    assert alive[0]
    assert sum(alive) == 2
    with pytest.raises(ValueError, match="negative"):
        store.trim(-1)


def test_a_failure_is_remembered_until_it_succeeds(store):
    failure = Failure("ValueError", "no", "do", "trace")
    store.remember_failure("k" * 64, "place", {}, failure, 2.0)
    assert store.failed("k" * 64) == (failure, 2.0)
    store.remember("k" * 64, "place", {}, kept(store), 1.0)
    assert store.failed("k" * 64) is None


def test_what_is_known_of_a_file_ends_with_its_change(store, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 1000)
    store.put(path, hash_file(path))
    assert store.get(path) is None  # too young to be sure
    old = time.time() - 60
    os.utime(path, (old, old))
    store.put(path, hash_file(path))
    assert store.get(path) == hash_file(path)
    path.write_bytes(b"b" * 1000)
    assert store.get(path) is None


def test_two_processes_may_not_claim_one_key(store):
    other = Store(store.root)
    held = store.claims.take("k" * 64)
    assert other.claims.take("k" * 64) is None
    store.claims.release(held)
    again = other.claims.take("k" * 64)
    assert again is not None
    other.claims.release(again)
    other.close()


def test_many_threads_and_two_stores_keep_the_same_things(store):
    other, digests, errors = Store(store.root), [], []

    def work(one):
        try:
            for i in range(20):
                product = kept(one, f"same {i}")
                one.remember(f"{i:064d}", f"p{i}", {}, product, 0.1)
                digests.append(product.digest)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(s,)) for s in (store, other, store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert not errors
    assert len(set(digests)) == 20
    assert all(store.recall(f"{i:064d}") for i in range(20))


def test_a_damaged_index_says_so(tmp_path):
    Store(tmp_path / "w").close()
    (tmp_path / "w" / "store.sqlite").write_bytes(b"not a database at all, but long enough " * 99)
    for more in ("-wal", "-shm"):
        (tmp_path / "w" / f"store.sqlite{more}").unlink(missing_ok=True)
    with pytest.raises(WorkspaceError, match="damaged") as caught:
        Store(tmp_path / "w")
    assert "delete" in caught.value.remedy


def test_a_newer_workspace_is_refused(tmp_path):
    Store(tmp_path / "w").close()
    db = sqlite3.connect(tmp_path / "w" / "store.sqlite")
    db.execute("update meta set value = '99' where name = 'version'")
    db.commit()
    db.close()
    with pytest.raises(WorkspaceError, match="newer") as caught:
        Store(tmp_path / "w")
    assert "upgrade" in caught.value.remedy


def test_a_full_disk_is_said(tmp_path, request):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode()}")
    request.addfinalizer(lambda: subprocess.run(["umount", "-l", small], check=True))
    store = Store(small / "w")
    try:
        folders = [store.scratch() for _ in range(40)]

        def fill():
            with (small / "filling").open("wb", buffering=0) as file:
                while file.write(b"x" * (1 << 20)):
                    pass

        def keep():
            for i, folder in enumerate(folders):
                store.keep(folder, "x" * 10_000 + str(i))

        with pytest.raises(OSError, match="No space"):
            fill()
        with pytest.raises(WorkspaceError, match=r"full|can't be used") as caught:
            keep()
        assert caught.value.remedy
    finally:
        store.close()
