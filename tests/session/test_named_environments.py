"""Environments by name: registered or made, wanted by a runner, listed, removed."""

import json
import sys

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.cli import main
from navigator_lab.doctor import diagnose
from navigator_lab.engine.host import host
from navigator_lab.environments import create, interpreters, registered
from navigator_lab.errors import RequestError
from navigator_lab.testing import Affine
from navigator_lab.types.target import Precision, Variant

PLUGIN = '''
import sys
from contextlib import contextmanager
from navigator_lab.types.plugin import Plain, runner

@runner("wanting", "toy", precisions=("fp32",), needs=("numpy", "only-there<2"), environment="there")
@contextmanager
def wanting(model, opening):
    """Says where it runs."""
    import numpy as np
    print("prefix", sys.prefix)
    with np.load(model.path / "toy.npz") as file:
        weight, bias = file["weight"], file["bias"]
    yield Plain(lambda feeds: {"output": feeds["x"] @ weight + bias})
'''


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A place of its own for what is registered."""
    monkeypatch.setenv("NAVIGATOR_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_runner_says_which_environment_it_wants(cache, other, tmp_path, capsys):
    (tmp_path / "wanting.py").write_text(PLUGIN)
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    given = {"workspace": tmp_path / "w",
             "plugins": ["navigator_lab.testing", tmp_path / "wanting.py"]}  # fmt: skip
    target = "toy:fp32@wanting-cpu"

    def row():
        with nav.explore(Affine(), x, **given) as lab:
            found = lab.run(targets=[target], until="correctness", progress=False)[target]
            return found, lab[target].log("infer") if found.status == "done" else ""

    found, _ = row()
    assert found.reason == "only-there below 2 is not installed"
    assert found.remedy == "navigator-lab env create there"
    assert main(["env", "create", "there", "--python", str(other)]) == 0
    found, log = row()
    assert (found.status, found.passed) == ("done", True), found.reason
    assert f"prefix {other.parents[1]}" in log
    assert nav.environment("there").versions["only-there"] == "1.2.3"

    capsys.readouterr()
    assert main(["env", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["there"]["versions"]["only-there"] == "1.2.3"
    said = diagnose(("navigator_lab.testing", str(tmp_path / "wanting.py")))
    (state,) = [one for one in said.environments if one[0] == "there"]
    assert state[1] == str(other)
    assert state[2].startswith("can do runner wanting (numpy ")
    assert state[2].endswith("only-there 1.2.3)")

    assert main(["env", "remove", "there"]) == 0
    assert other.exists()  # it was not made by us
    assert row()[0].status == "skipped"
    assert main(["env", "remove", "there"]) == 2
    assert "unknown environment 'there'" in capsys.readouterr().err


def test_an_environment_is_meant_by_its_name(cache, other, tmp_path):
    assert interpreters({}) == {}
    nav.environment("there", other)
    assert interpreters({"jit": "there"}) == {"there": str(other), "jit": str(other)}
    assert interpreters(["jit=there", f"ort={sys.executable}"])["ort"] == sys.executable
    with pytest.raises(RequestError, match="'jit' doesn't say where"):
        interpreters(["jit"])
    with pytest.raises(RequestError, match="nowhere for 'jit'") as caught:
        interpreters({"jit": "nowhere"})
    assert "(there)" in caught.value.remedy


def test_what_is_no_environment_is_refused(cache, tmp_path):
    with pytest.raises(RequestError, match="can't be run"):
        nav.environment("x", tmp_path / "python")
    with pytest.raises(RequestError, match="no name"):
        nav.environment("../x", sys.executable)
    with pytest.raises(RequestError, match="what is to be in"):
        create("empty")
    assert registered() == {}


def test_an_environment_is_made_with_its_own_versions(cache, capsys):
    """Another version of a package than ours; our code by a link, so it is always this very one."""
    assert main(["env", "create", "older", "--packages", "packaging==24.0"]) == 0
    made = nav.environment("older")
    assert made.versions["packaging"] == "24.0"
    assert "torch" not in made.versions
    assert main(["env", "remove", "older"]) == 0
    assert not (cache / "environments" / "older").exists()


def test_tf_trt_is_a_row_with_its_reason(cache):
    from navigator_lab.catalog import Catalog

    catalog = Catalog.installed()

    def targets(versions):
        found = catalog.targets(
            Variant("savedmodel", Precision.FP32), host(), lambda name, _: versions.get(name)
        )
        return {str(t): why for t, _, why in found if t.format == "tf-trt"}

    rows = targets({"tensorflow": "2.21.0"})
    assert set(rows) == {f"tf-trt:{p}@tf-trt-cuda:0" for p in ("fp32", "fp16", "int8")}
    action = catalog.runners["tf-trt"].action
    why = catalog.unavailable(action, host(), lambda name, _: {"tensorflow": "2.21.0"}.get(name))
    assert why.reason == "it needs tensorflow below 2.18, and tensorflow 2.21.0 is installed"
    assert why.remedy == "navigator-lab env create tf-trt"
    assert catalog.unavailable(action, host(), lambda *_: "2.17.1") is None
