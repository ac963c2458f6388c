"""A worker in another interpreter: its own packages, its own versions in the key."""

import subprocess
import sys

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.errors import RequestError
from navigator_lab.testing import Affine

PLUGIN = '''
import sys
from contextlib import contextmanager
from navigator_lab.types.plugin import Plain, runner

@runner("elsewhere", "toy", precisions=("fp32",), needs=("numpy", "only-there"))
@contextmanager
def elsewhere(model, opening):
    """Says where it runs."""
    import numpy as np
    print("prefix", sys.prefix)
    with np.load(model.path / "toy.npz") as file:
        weight, bias = file["weight"], file["bias"]
    yield Plain(lambda feeds: {"output": feeds["x"] @ weight + bias})
'''


def test_a_runner_lives_in_an_environment_of_its_own(other, tmp_path):
    (tmp_path / "elsewhere.py").write_text(PLUGIN)
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    given = {"workspace": tmp_path / "w",
             "plugins": ["navigator_lab.testing", tmp_path / "elsewhere.py"]}  # fmt: skip
    asked = {"formats": ["toy"], "precisions": ["fp32"], "until": "correctness"}
    with nav.explore(Affine(), x, **given) as lab:
        row = lab.run(**asked)["toy:fp32@elsewhere-cpu"]
        assert (row.status, row.reason) == ("skipped", "only-there is not installed")
    with nav.explore(Affine(), x, **given, environments={"elsewhere": other}) as lab:
        results = lab.run(**asked)
        row = results["toy:fp32@elsewhere-cpu"]
        assert (row.status, row.passed) == ("done", True), row.reason
        assert results["toy:fp32@toy-cpu"].passed
        log = lab["toy:fp32@elsewhere-cpu"].log("infer")
        assert f"prefix {other.parents[1]}" in log


def test_an_interpreter_without_navigator_lab_is_refused(tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    with pytest.raises(RequestError, match="can't be used for workers"):
        nav.explore(
            Affine(), np.ones((3, 4), np.float32), workspace=tmp_path / "w",
            plugins=["navigator_lab.testing"], environments={"python": bare / "bin" / "python"},
        )  # fmt: skip


TWO = '''
import os, sys
from contextlib import contextmanager
from navigator_lab.types.plugin import Plain, runner

def opened(model, opening):
    """Says which process it is in, and what else was there."""
    import numpy as np
    sys.modules.setdefault(f"been_{opening.target.runner}", sys)
    been = [name for name in ("been_alone", "been_among") if name in sys.modules]
    print("process", os.getpid(), *been)
    with np.load(model.path / "toy.npz") as file:
        weight, bias = file["weight"], file["bias"]
    yield Plain(lambda feeds: {"output": feeds["x"] @ weight + bias})

given = {"precisions": ("fp32",), "needs": ("numpy",)}
alone = runner("alone", "toy", apart="alone", **given)(contextmanager(opened))
among = runner("among", "toy", **given)(contextmanager(opened))
'''


def test_what_crashes_others_shares_workers_with_its_like_only(tmp_path):
    (tmp_path / "two.py").write_text(TWO)
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    with nav.explore(
        Affine(), x, workspace=tmp_path / "w", slots=1,
        plugins=["navigator_lab.testing", tmp_path / "two.py"],
    ) as lab:  # fmt: skip
        lab.run(formats=["toy"], precisions=["fp32"], seconds=0.02, max_batch=1, min_calls=3)
        logs = {
            name: [lab[f"toy:fp32@{name}-cpu"].log(stage) for stage in ("infer", "profile")]
            for name in ("alone", "among")
        }
    said = {name: [line.split() for log in each for line in log.splitlines() if "process" in line]
            for name, each in logs.items()}  # fmt: skip
    for name, lines in said.items():
        assert len(lines) == 2
        assert all(line[2:] == [f"been_{name}"] for line in lines), lines
