"""One contract for models of every kind: the same calls, the same answers, the same shape of result."""

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.testing import Affine
from navigator_lab.triton.pythonmodel import python_model
from navigator_lab.triton.server import serve

X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


def of_torch(models):
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU()).eval(), X, {}


def of_onnx(models):
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(X[:5], "w")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 5]) for n in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    return (
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        X,
        {},
    )


def of_python(models):
    return Affine(5, 3), X, {}


def of_keras(models):
    return models / "two_inputs.keras", models / "two_inputs.npz", {}


def of_savedmodel(models):
    return models / "texts", X, {"signature": "embed"}


def of_tflite(models):
    return models / "two_inputs.tflite", models / "two_inputs.npz", {}


SOURCES = {
    "torch:fp32@eager-cpu": of_torch, "onnx:fp32@ort-cpu": of_onnx,
    "python:fp32@python-cpu": of_python, "keras:fp32@keras-cpu": of_keras,
    "savedmodel:fp32@savedmodel-cpu": of_savedmodel, "tflite:fp32@tflite-cpu": of_tflite,
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One real server, which each model is lent to."""
    root = tmp_path_factory.mktemp("repository")
    given = [{"name": "x", "data_type": "FP32", "dims": [1]}]
    python_model("idle", lambda x: [x], given, [{**given[0], "name": "y"}]).write(root)
    with serve(root) as made:
        yield made


@pytest.mark.parametrize("target", SOURCES)
def test_a_model_goes_the_whole_way(target, models, server, tmp_path):
    model, samples, how = SOURCES[target](models)

    def metric(outputs, reference):
        pairs = zip(outputs, reference, strict=True)
        return max(float(np.abs(a[n] - b[n]).max()) for a, b in pairs for n in b) < 1e-3

    asked = {"targets": [target], "verify": metric, "seconds": 0.02, "max_batch": 2,
             "min_calls": 3, "progress": False}  # fmt: skip
    with nav.explore(model, samples, workspace=tmp_path / "w", name="one", **how) as lab:
        assert lab.run_data.reference == target
        assert lab.signature.batch_first
        row = lab.run(**asked)[target]
        assert (row.status, row.passed, row.verified) == ("done", True, True), row.reason
        assert sorted(row.throughput) == [1, 2]
        assert row.sqnr_db is not None
        again = lab.run(**asked)[target]
        assert again.steps_run == 0
        assert str(lab.choose().target) == target
        folder = lab.package(target, tmp_path / "repository")
        assert (folder / "config.pbtxt").is_file()
        replay = lab.replay(target, tmp_path / "repository", url=server.http, grpc=server.grpc)
        assert replay.passed, replay
        saved = lab.save(tmp_path / "run.nav")
    assert nav.load(saved).results[target].passed
