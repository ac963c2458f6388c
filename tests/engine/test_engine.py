"""The engine with real workers, and a plug-in that does everything wrong."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from navigator_lab.catalog import Catalog
from navigator_lab.engine.engine import Engine
from navigator_lab.engine.floor import Limits
from navigator_lab.engine.host import host, version_in
from navigator_lab.engine.store import Store
from navigator_lab.types.event import Finished, Planned, Progressed, Started
from navigator_lab.types.outcome import Cancelled, Done, Failed, Skipped
from navigator_lab.types.step import Gate, Step

HOSTILE = str(Path(__file__).with_name("hostile.py"))


@pytest.fixture
def engine(tmp_path):
    store = Store(tmp_path / "workspace")
    made = Engine(
        Catalog.installed([HOSTILE]), store, host(), version_in,
        limits=Limits(slots=2, together=3, memory_bytes=700 << 20),
    )  # fmt: skip
    made.events = []
    made.listeners.append(made.events.append)
    yield made
    made.close()
    store.close()


def one(name, **more):
    return Step(f"hostile: {name}", label=name, **more)


def settle(engine, *steps, **more):
    outcomes = engine.run(steps, **more)
    return [outcomes[s] for s in steps]


def test_a_step_runs_once_and_says_why(engine):
    (first,) = settle(engine, one("fine"))
    assert isinstance(first, Done)
    assert (first.product.path / "made.txt").read_text() == "made"
    kinds = [type(e) for e in engine.events]
    assert kinds == [Planned, Started, Progressed, Finished]
    assert engine.events[1].why == ("never run",)
    engine.events.clear()
    (again,) = settle(engine, one("fine"))
    assert again.cached
    assert [type(e) for e in engine.events] == [Planned, Finished]


def test_what_a_step_prints_is_its_log(engine):
    settle(engine, one("fine"))
    log = engine.store.root / engine.events[-1].log
    assert "this goes to the log" in log.read_text()


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("segfault", "WorkerDied", "SIGSEGV"),
        ("exits", "WorkerDied", "exit code 7"),
        ("hangs", "TimedOut", "within 1 s"),
        ("eats", "MemoryLimit", "0.7 GiB"),
        ("garbage", "Garbage", "not json"),
        ("link", "WorkspaceError", "link"),
        ("raises", "ValueError", "43"),
        ("unsayable", "TypeError", "JSON"),
    ],
)
def test_what_misbehaves_costs_its_own_step(engine, name, kind, word):
    bad, good = settle(engine, one(name), one("fine"))
    assert isinstance(bad, Failed)
    assert bad.failure.kind == kind
    assert word in bad.failure.message
    assert isinstance(good, Done)


def test_what_a_worker_leaves_behind_neither_hides_its_end_nor_lives_on(engine):
    begun = time.monotonic()
    (bad,) = settle(engine, one("forks"))
    assert "exit code 9" in bad.failure.message
    assert time.monotonic() - begun < 30  # not the step's whole time
    log = (engine.store.root / engine.events[-1].log).read_text()
    child = int(log.split("child ")[1].split()[0])
    until = time.monotonic() + 5
    while psutil.pid_exists(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


def test_a_missing_package_is_a_reason(engine):
    (outcome,) = settle(engine, one("lacks"))
    assert outcome == Skipped(
        "a-package-that-nobody-made is not installed", "pip install a-package-that-nobody-made"
    )


def test_what_rests_on_a_failure_is_skipped_with_its_reason(engine):
    bad = one("raises")
    gated = one("fine", gates=(Gate(bad),))
    (outcome,) = settle(engine, gated)
    assert outcome == Skipped("raises failed: the answer is 43", "ask another question")


def test_a_lasting_failure_is_recalled_until_asked_again(engine):
    settle(engine, one("raises"))
    (again,) = settle(engine, one("raises"))
    assert again.recalled
    (anew,) = settle(engine, one("raises"), retry_failed=True)
    assert not anew.recalled


def test_a_passing_failure_is_tried_again(engine):
    settle(engine, one("hangs"))
    (again,) = settle(engine, one("hangs"))
    assert not again.recalled


def test_cancel_ends_within_a_second(engine):
    began = threading.Event()
    engine.listeners.append(lambda e: began.set() if isinstance(e, Started) else None)
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.extend(settle(engine, one("sleeps"))))
    thread.start()
    assert began.wait(20)
    asked = time.monotonic()
    engine.cancel()
    thread.join(10)
    assert isinstance(outcomes[0], Cancelled)
    assert time.monotonic() - asked < 1.0
    (after,) = settle(engine, one("fine"))
    assert isinstance(after, Done)


def test_measured_steps_take_turns_and_never_overlap(engine):
    steps = [Step("hostile: turns", label=f"turns {i}", options=i) for i in range(3)]
    outcomes = settle(engine, *steps)
    spans = [(b, e, i) for i, o in enumerate(outcomes) for b, e in o.product.value["spans"]]
    spans.sort()
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    order = [i for _, _, i in spans]
    # Interleaved in rounds: nobody has all of its turns before somebody else had one.
    assert all(set(order[:5]) != {i} for i in range(3))


def test_a_step_is_reproduced_by_one_line(engine):
    settle(engine, one("raises"), one("fine"))
    jobs = {e.step: engine.store.root / Path(e.log).with_name("job.json")
            for e in engine.events if isinstance(e, Finished)}  # fmt: skip
    line = [sys.executable, "-m", "navigator_lab.engine.worker", "--job"]
    bad = subprocess.run([*line, jobs["raises"]], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "the answer is 43" in bad.stderr
    assert "hostile.py" in bad.stderr
    good = subprocess.run([*line, jobs["fine"]], capture_output=True, text=True, check=False)
    assert good.returncode == 0
    assert '"pid": 0' in good.stdout


KILLED = """
import sys, time
from pathlib import Path
from navigator_lab.catalog import Catalog
from navigator_lab.engine.engine import Engine
from navigator_lab.engine.host import host, version_in
from navigator_lab.engine.store import Store
from navigator_lab.types.event import Finished, Progressed
from navigator_lab.types.step import Step
engine = Engine(Catalog.installed([sys.argv[1]]), Store(Path(sys.argv[2])), host(), version_in)
engine.listeners.append(lambda e: print(type(e).__name__, e.step, flush=True)
                        if isinstance(e, (Progressed, Finished)) else None)
engine.run([Step("hostile: fine", label="fine"), Step("hostile: sleeps", label="sleeps")])
"""


def test_kill_9_of_the_kernel_loses_no_finished_step_and_leaves_no_worker(engine, tmp_path):
    root = engine.store.root
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, HOSTILE, str(root)], stdout=subprocess.PIPE, text=True
    )
    seen = set()
    for line in child.stdout:
        seen.add(line.strip())
        if {"Finished fine", "Progressed sleeps"} <= seen:
            break
    workers = psutil.Process(child.pid).children(recursive=True)
    assert len(workers) >= 2  # one forked another
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=5)
    for worker in alive:
        with contextlib.suppress(psutil.Error):
            worker.kill()
    assert not alive
    (outcome,) = settle(engine, one("fine"))
    assert outcome.cached


def test_two_engines_on_one_workspace_do_a_step_once(engine, tmp_path):
    other_store = Store(engine.store.root)
    other = Engine(engine.catalog, other_store, host(), version_in)
    started = []
    for e in (engine, other):
        e.listeners.append(lambda event: started.append(event) if isinstance(event, Started) else 0)
    made = []
    threads = [
        threading.Thread(target=lambda e=e: made.extend(settle(e, one("fine"))))
        for e in (engine, other)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    other.close()
    other_store.close()
    assert len(started) == 1
    assert len({m.product.digest for m in made}) == 1


def test_preview_tells_what_would_run(engine):
    steps = [one("fine"), one("raises", gates=(Gate(one("fine")),))]
    assert [f.state for f in engine.preview(steps)] == ["stale", "stale"]
    settle(engine, *steps)
    after = engine.preview(steps)
    assert [f.state for f in after] == ["fresh", "failed"]
    changed = engine.preview([one("fine", options=("a", 1))])
    assert changed[0].state == "stale"
    assert changed[0].why == ("options: none -> ['a', 1]",)
    assert changed[0].seconds is not None
