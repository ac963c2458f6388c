"""Environments as users make them: another torch, and the last TensorFlow with TF-TRT's converter.

Slow: pip brings hundreds of megabytes. What is seen here is told in docs/environments.md.
"""

import subprocess
import sys

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.cli import main
from navigator_lab.doctor import diagnose

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A place of its own for what is made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAVIGATOR_LAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def older_torch(cache):
    """Torch 2.13, without CUDA."""
    assert main(["env", "create", "torch-2-13", "--packages", "torch==2.13.0"]) == 0
    return nav.environment("torch-2-13")


@pytest.fixture(scope="module")
def tf_trt(cache):
    """TensorFlow 2.17, from the packages that are known for this name."""
    assert main(["env", "create", "tf-trt"]) == 0
    return nav.environment("tf-trt")


def test_a_target_is_built_and_run_by_another_torch(older_torch, tmp_path):
    import torch

    here = torch.__version__.partition("+")[0]
    assert older_torch.versions["torch"].startswith("2.13.0") != here.startswith("2.13.0")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
    x = np.random.default_rng(0).normal(size=(6, 1, 8, 8)).astype(np.float32)
    target = "torchscript:fp32@jit-cpu"
    where = {"torchscript": "torch-2-13", "jit": "torch-2-13"}
    asked = {"targets": [target], "seconds": 0.05, "max_batch": 2, "progress": False}
    with nav.explore(model.eval(), x, workspace=tmp_path / "w", environments=where) as lab:
        row = lab.run(**asked)[target]
        assert (row.status, row.passed) == ("done", True), row.reason
        assert lab.run(**asked)[target].steps_run == 0
    with nav.explore(model.eval(), x, workspace=tmp_path / "w") as lab:
        row = lab.run(**asked)[target]
        assert (row.status, row.passed) == ("done", True), row.reason
        # The same target in this interpreter is another step: its torch enters the key.
        assert "packages.torch: 2.13.0" in str(lab.why(target)), lab.why(target)
    said = {name: state for name, _, state in diagnose().environments}["torch-2-13"]
    assert "runner eager (torch 2.13.0" in said
    assert "onnx" not in said


KERAS = """
import sys
import keras
x = keras.Input((8, 8, 1), name="image")
y = keras.layers.Conv2D(4, 3, activation="relu")(x)
keras.Model(x, keras.layers.Dense(3, name="scores")(keras.layers.Flatten()(y))).save(sys.argv[1])
"""


@pytest.fixture
def keras_model(tmp_path):
    """A Keras file."""
    path = tmp_path / "small.keras"
    subprocess.run([sys.executable, "-c", KERAS, path], check=True, capture_output=True)
    return path


def test_another_tensorflow_runs_what_this_one_saved(tf_trt, keras_model, tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)
    target = "savedmodel:fp32@savedmodel-cpu"
    where = [f"runner savedmodel={tf_trt.python}"]  # only the runner: this TensorFlow saves it
    with nav.explore(keras_model, x, workspace=tmp_path / "w", environments=where) as lab:
        row = lab.run(targets=[target], until="correctness", progress=False)[target]
        assert (row.status, row.passed) == ("done", True), row.reason


def test_tf_trt_goes_as_far_as_tensorrts_libraries(tf_trt, keras_model, tmp_path):
    """The converter is there and runs, and ends where it would load TensorRT 8.6."""
    missing = "TF-TRT was built against 8.6.1, and libnvinfer.so.8 can't be loaded"
    said = {name: state for name, _, state in diagnose().environments}["tf-trt"]
    assert said.startswith("can't do runner tf-trt (tensorflow 2.17.1)")
    assert missing in said
    x = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)
    target = "tf-trt:fp32@tf-trt-cuda:0"
    with nav.explore(keras_model, x, workspace=tmp_path / "w") as lab:
        row = lab.run(targets=[target], until="convert", progress=False)[target]
    assert row.status == "failed"
    assert missing in row.reason
    assert "tensorrt==8.6.1" in row.remedy
