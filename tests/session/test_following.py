"""A run of another process, followed while it goes and after its end; a process that is gone."""

from __future__ import annotations

import time

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.errors import PackageError, RequestError
from navigator_lab.testing import Affine
from navigator_lab.types.event import Finished

FP16, BASE = "toy:fp16@toy-cpu", "python:fp32@python-cpu"
PLUGINS = ["navigator_lab.testing"]
X = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)


def until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never was")


def test_it_is_followed_to_its_end(elsewhere, tmp_path):
    process, id = elsewhere
    seen = nav.attach(id, tmp_path / "navigator_workspace")
    heard = []
    seen.listeners.append(heard.append)
    until(lambda: not seen.job.done and seen.board.running)
    assert [str(t) for t in seen.targets] == [FP16, BASE]
    assert seen.request.until == "profile"
    assert not seen.results[FP16].batches
    assert "running in another kernel" in repr(seen.job)
    with pytest.raises(TimeoutError):
        seen.job.wait(0.1)
    with pytest.raises(RequestError, match="another kernel's"):
        seen.cancel()
    with pytest.raises(PackageError, match="another kernel's"):
        seen.package(FP16, tmp_path / "repository")
    (tmp_path / "hold").unlink()
    rows = seen.job.wait(120)
    assert rows[FP16].batches
    assert rows[FP16].passed
    assert any(isinstance(e, Finished) and e.step == f"profile {FP16}" for e in heard)
    process.wait(60)
    again = nav.attach(id, tmp_path / "navigator_workspace")
    assert again.job.done
    assert again.board.settled == len(again.board.steps) > 4
    assert again.results.to_dicts() == rows.to_dicts()
    assert again.choose().target in (FP16, BASE)


def test_a_process_that_is_killed_ends_its_run_and_what_it_finished_stays(elsewhere, tmp_path):
    process, id = elsewhere
    seen = nav.attach(id, tmp_path / "navigator_workspace")
    until(lambda: seen.poll() or seen.board.count("done"))
    done = seen.board.count("done")
    process.kill()
    process.wait()
    until(lambda: seen.job.done)
    with pytest.raises(RequestError, match="is gone") as error:
        seen.job.wait()
    assert "not done again" in error.value.remedy
    assert seen.board.count("done") >= done


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(RequestError, match="no run in the workspace"):
        nav.attach("x", tmp_path)
    with nav.explore(Affine(), X, workspace=tmp_path, plugins=PLUGINS) as lab:
        lab.run(targets=[BASE], until="correctness")
        for wrong in (lab.id[:-1], f"../runs/{lab.id}", "/etc", ""):
            with pytest.raises(RequestError, match="unknown run"):
                nav.attach(wrong, tmp_path)
        assert nav.attach(lab.id, tmp_path).results[0].passed


def test_a_run_that_was_judged_again_while_it_goes_is_still_under_way(tmp_path):
    with nav.explore(Affine(), X, workspace=tmp_path, plugins=PLUGINS) as lab:
        lab.run(targets=[BASE], until="correctness")
        job = lab.start(targets=[FP16], max_batch=1, seconds=0.5)
        lab.run(tolerance=nav.Tolerance(relative=1.0))
        seen = nav.attach(lab.id, tmp_path)
        assert not seen.job.done or job.done
        job.wait()
        assert seen.job.wait(30)[FP16].batches
        assert seen.results[BASE].passed  # of the run before
