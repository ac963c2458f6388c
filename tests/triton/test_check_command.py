"""``navigator-lab check``: what it says, and its exit code."""

from __future__ import annotations

import json

import pytest

from navigator_lab.cli import main
from navigator_lab.triton import ModelConfig, check

MODEL = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
IO = {"name": "x", "data_type": "FP32", "dims": [1]}
GOOD = ModelConfig(name="m", backend="python", input=[IO], output=[{**IO, "name": "y"}])


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "r/m/1").mkdir(parents=True)
    (tmp_path / "r/m/1/model.py").write_text(MODEL)
    GOOD.save(tmp_path / "r/m")
    return tmp_path / "r"


def test_a_good_one(repository, capsys):
    assert main(["check", str(repository)]) == 0
    assert capsys.readouterr().out == "a server would take this\n"
    assert repr(check(repository)) == "nothing: a server would take this"


def test_a_bad_one_names_model_finding_and_remedy(repository, capsys):
    GOOD.edit(max_batch_size=-1).save(repository / "m")
    assert main(["check", str(repository)]) == 1
    said = capsys.readouterr().out
    assert "m: refused: 'max_batch_size' must be non-negative value for m" in said
    assert "give 0 for no batching" in said
    assert main(["check", str(repository), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["refused"] is True
    (finding,) = told["findings"]
    assert finding["model"] == "m"
    assert finding["error"] is True
    assert finding["remedy"]
    (one,) = check(repository).refused
    assert str(one).startswith("m: error: 'max_batch_size'")


def test_what_hangs_on_the_server_is_a_note_until_it_is_named(repository, capsys):
    GOOD.edit(instance_group=[{"kind": "GPU", "gpus": [1]}]).save(repository / "m")
    assert main(["check", str(repository)]) == 0
    assert "a server needs 2 GPUs for it" in capsys.readouterr().out
    assert main(["check", str(repository), "--gpus", "0"]) == 1
    assert "specifies invalid or unsupported gpu id 1" in capsys.readouterr().out
    assert main(["check", str(repository), "--gpus", "2"]) == 0


def test_fields_come_with_versions(repository, capsys):
    metric = {"metric_identifier": {"family": "f"}, "histogram_options": {"buckets": [1.0]}}
    GOOD.edit(model_metrics={"metric_control": [metric]}).save(repository / "m")
    assert main(["check", str(repository)]) == 1
    assert 'has no field named "model_metrics"' in capsys.readouterr().out
    assert main(["check", str(repository), "--triton", "2.60"]) == 0


def test_no_repository(tmp_path, repository, capsys):
    assert main(["check", str(tmp_path / "none")]) == 1
    assert "no model repository" in capsys.readouterr().err
    assert main(["check", str(repository / "m")]) == 1
    assert "model's folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def no(:", "is no Python"),
        ("class Model:\n    pass\n", "no attribute 'TritonPythonModel'"),
        ("from other import TritonPythonModel\n", ""),
        ("class A: ...\nTritonPythonModel = A\n", ""),
    ],
)
def test_python_models(repository, source, words):
    (repository / "m/1/model.py").write_text(source)
    found = [one.message for one in check(repository).refused]
    assert bool(found) == bool(words)
    assert all(words in one for one in found)


@pytest.mark.parametrize(
    ("backend", "meant"), [("onnx", "onnxruntime"), ("pythn", "python"), ("query", "")]
)
def test_a_misspelt_backend_is_refused_and_a_foreign_one_noted(backend, meant):
    found = GOOD.edit(backend=backend).check()
    assert [one.error for one in found] == [bool(meant)]
    assert meant in found[0].remedy


def test_hidden_folders_are_noted(repository):
    (repository / ".ipynb_checkpoints").mkdir()
    (found,) = check(repository)
    assert not found.error
    assert found.model == ".ipynb_checkpoints"
