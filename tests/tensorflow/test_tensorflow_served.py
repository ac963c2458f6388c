"""TensorFlow's models on a real Triton server: packaged, loaded, and their samples sent."""

import re

import numpy as np
import pytest
from tensorflow_held import LOOSE, arrays

import navigator_lab as nav

WORDS = np.array(["lab", "größe", "", "server"])


def shown(lab, target, feeds=None, **asked):
    """What went wrong when the samples were sent, and what the served model answers to more."""
    lab.run(targets=[target], until="correctness", progress=False, **asked)
    with lab.serve(target, max_batch_size=8) as served:
        wrong = [one.said for one in served.replay.exchanges if not one.passed]
        return wrong, served.infer(feeds) if feeds else {}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("digits", "keras:fp32@keras-cpu"),
        pytest.param("two_inputs", "savedmodel:fp32@savedmodel-cpu", marks=pytest.mark.slow),
        ("two_inputs", "tflite:int8@tflite-cpu"),
        pytest.param("lstm", "savedmodel:fp32@savedmodel-cpu", marks=pytest.mark.slow),
        ("lstm", "onnx:fp32@ort-cpu"),
    ],
)
def test_a_keras_model_is_served(name, target, models, tmp_path):
    with nav.explore(models / f"{name}.keras", models / f"{name}.npz", workspace=tmp_path) as lab:
        feeds = {n: a[:6] for n, a in arrays(models / f"{name}.npz").items()}
        wrong, got = shown(lab, target, feeds)
        assert wrong == []
        tolerance = 0.2 if "int8" in target else 1e-3
        for output, right in arrays(models / f"{name}_answers.npz").items():
            np.testing.assert_allclose(
                got[output], right[:6], atol=tolerance * np.abs(right).max(), rtol=0
            )


def test_text_is_served(models, tmp_path):
    with nav.explore(models / "texts", WORDS, workspace=tmp_path, signature="classify") as lab:
        wrong, _ = shown(lab, "savedmodel:fp32@savedmodel-cpu")
        assert wrong == []


@pytest.mark.parametrize("file", ["nmp", "nmp.tflite"])
def test_what_others_ship_is_served(file, shipped, sound, tmp_path):
    kind = "tflite" if file.endswith("tflite") else "savedmodel"
    with nav.explore(shipped / file, sound, workspace=tmp_path) as lab:
        wrong, _ = shown(lab, f"{kind}:fp32@{kind}-cpu", tolerance=LOOSE)
        assert wrong == []


def test_the_package_says_that_triton_has_no_such_backend(models, tmp_path):
    given = models / "two_inputs.keras", models / "two_inputs.npz"
    with nav.explore(*given, workspace=tmp_path / "w") as lab:
        target = "savedmodel:fp32@savedmodel-cpu"
        lab.run(targets=[target], until="correctness", progress=False)
        made = lab.config(target)
        folder = lab.package(target, tmp_path / "repository")
    notes = " ".join(made.notes)
    assert "25.02" in notes
    assert "onnx" in notes.lower()
    version = folder / "1"
    held = {p.relative_to(version).as_posix() for p in version.rglob("*") if p.is_file()}
    assert "artefact/model.savedmodel/saved_model.pb" in held
    text = (folder / "config.pbtxt").read_text()
    assert re.findall(r"dims: (\d+)", text.partition("output")[0])[:3] == ["8", "8", "3"]
