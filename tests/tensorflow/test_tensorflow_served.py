"""What else of TensorFlow's is served by a real Triton: the broad variants, and how it is laid out."""

import re

import numpy as np
import pytest
from tensorflow_held import LOOSE, arrays

import navigator_lab as nav


def shown(lab, target, server, feeds=None, **asked):
    """What went wrong when the samples were sent, and what the served model answers to more."""
    lab.run(targets=[target], until="correctness", progress=False, **asked)
    there = {"url": server.http, "grpc": server.grpc}
    with lab.serve(target, max_batch_size=8, **there) as served:
        wrong = [one.said for one in served.replay.exchanges if not one.passed]
        return wrong, served.infer(feeds) if feeds else {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("digits", "savedmodel:fp32@savedmodel-cpu"),
        ("two_inputs", "savedmodel:fp32@savedmodel-cpu"),
        ("two_inputs", "keras:fp32@tf-function-cpu"),
        ("two_inputs", "tflite:int8@tflite-cpu"),
        ("lstm", "savedmodel:fp32@savedmodel-cpu"),
    ],
)
def test_a_keras_model_is_served(name, target, models, server, workspace):
    with nav.explore(models / f"{name}.keras", models / f"{name}.npz", workspace=workspace) as lab:
        feeds = {n: a[:6] for n, a in arrays(models / f"{name}.npz").items()}
        wrong, got = shown(lab, target, server, feeds)
        assert wrong == []
        tolerance = 0.2 if "int8" in target else 1e-3
        for output, right in arrays(models / f"{name}_answers.npz").items():
            np.testing.assert_allclose(
                got[output], right[:6], atol=tolerance * np.abs(right).max(), rtol=0
            )


@pytest.mark.slow
def test_the_tflite_file_that_others_ship_is_served(shipped, sound, server, workspace):
    with nav.explore(shipped / "nmp.tflite", sound, workspace=workspace) as lab:
        wrong, _ = shown(lab, "tflite:fp32@tflite-cpu", server, tolerance=LOOSE)
        assert wrong == []


def test_channels_last_come_to_triton_as_they_are(models, workspace, tmp_path):
    given = models / "digits.keras", models / "digits.npz"
    with nav.explore(*given, workspace=workspace) as lab:
        target = "keras:fp32@keras-cpu"
        lab.run(targets=[target], until="correctness", progress=False)
        folder = lab.package(target, tmp_path / "repository")
    version = folder / "1"
    held = {p.relative_to(version).as_posix() for p in version.rglob("*") if p.is_file()}
    assert "artefact/model.keras" in held
    text = (folder / "config.pbtxt").read_text()
    assert re.findall(r"dims: (\d+)", text.partition("output")[0]) == ["8", "8", "1"]
