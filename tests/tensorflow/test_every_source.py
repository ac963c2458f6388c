"""One contract for models of every kind: the same calls, the same answers, the same shape of result.

Each goes the whole way to a real Triton server, and is held to its tolerance there.
"""

import numpy as np
import pytest
from tensorflow_held import LOOSE, WORDS, arrays

import navigator_lab as nav
from navigator_lab.testing import Affine

X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


def of_torch(given):
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU()).eval(), X, {}


def of_onnx(given):
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


def scaled(x, scale):
    return Affine(5, 3)(x) * scale[:, None]


def of_python(given):
    return scaled, {"x": X, "scale": X[:, 0]}, {}  # an input with no axis but the batch


def a_trained_keras_model(given):
    return given["models"] / "digits.keras", given["models"] / "digits.npz", {}


def a_savedmodel_of_others(given):
    return given["shipped"] / "nmp", given["sound"], {}


def a_keras_model_of_two_inputs(given):
    return given["models"] / "two_inputs.keras", given["models"] / "two_inputs.npz", {}


def a_tflite_file_of_two_inputs(given):
    return given["models"] / "two_inputs.tflite", given["models"] / "two_inputs.npz", {}


def a_recurrent_model(given):
    return given["models"] / "lstm.keras", given["models"] / "lstm.npz", {}


def text(given):
    return given["models"] / "texts", WORDS, {"signature": "classify"}


def a_named_signature(given):
    return given["models"] / "texts", X, {"signature": "embed"}


def a_frozen_graph(given):
    x = arrays(given["models"] / "two_inputs.npz")
    return given["models"] / "frozen.pb", {"image": x["image"], "meta": x["meta"]}, {}


SAVEDMODEL = "savedmodel:fp32@savedmodel-cpu"
SOURCES = [
    (of_torch, "torch:fp32@eager-cpu"),
    (of_onnx, "onnx:fp32@ort-cpu"),
    (of_python, "python:fp32@python-cpu"),
    (a_trained_keras_model, "keras:fp32@keras-cpu"),
    (a_savedmodel_of_others, SAVEDMODEL),
    (a_keras_model_of_two_inputs, "onnx:fp32@ort-cpu"),
    (a_tflite_file_of_two_inputs, "tflite:fp32@tflite-cpu"),
    (a_recurrent_model, "onnx:fp32@ort-cpu"),
    (text, SAVEDMODEL),
    pytest.param(a_named_signature, SAVEDMODEL, marks=pytest.mark.slow),
    pytest.param(a_frozen_graph, "graphdef:fp32@graphdef-cpu", marks=pytest.mark.slow),
]


def close(outputs, reference):
    """The user's own metric: numbers are near, text is the same."""
    pairs = [(a[n], b[n]) for a, b in zip(outputs, reference, strict=True) for n in b]
    return all(
        a.tolist() == b.tolist() if b.dtype.kind in "OSU" else np.abs(a - b).max() < 2e-3
        for a, b in pairs
    )


@pytest.mark.parametrize(("source", "target"), SOURCES)
def test_a_model_goes_the_whole_way(
    source, target, models, shipped, sound, server, workspace, tmp_path
):
    model, samples, how = source({"models": models, "shipped": shipped, "sound": sound})
    asked = {"targets": [target], "verify": close, "seconds": 0.02, "max_batch": 2,
             "min_calls": 3, "tolerance": LOOSE, "progress": False}  # fmt: skip
    name = source.__name__
    with nav.explore(model, samples, workspace=workspace, name=name, **how) as lab:
        assert lab.signature.batch_first
        row = lab.run(**asked)[target]
        assert (row.status, row.passed, row.verified) == ("done", True, True), row.reason
        assert row.throughput[1] > 0
        assert row.sqnr_db is not None or source is text
        again = lab.run(**asked)[target]
        assert again.steps_run == 0
        assert str(lab.choose().target) == target
        folder = lab.package(target, tmp_path / "repository")
        assert (folder / "config.pbtxt").is_file()
        replay = lab.replay(target, tmp_path / "repository", url=server.http, grpc=server.grpc)
        assert replay.passed, replay
        notes = " ".join(lab.config(target).notes)
        assert ("25.02" in notes) == target.startswith(("savedmodel", "graphdef")), notes
        saved = lab.save(tmp_path / "run.nav")
    assert nav.load(saved).results[target].passed
