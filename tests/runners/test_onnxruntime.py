"""The ort runner: types that numpy lacks, strings, rank 0, what can't be served, and no fallback."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest

from navigator_lab.errors import ModelError, NavigatorError
from navigator_lab.runners.onnxruntime import OrtOptions, ort
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Opening, Target
from navigator_lab.types.signature import Signature

CPU = "onnx:fp32@ort-cpu"


def run(folder, text, feeds, target=CPU, **facts):
    """The outputs of a graph in ONNX's text form; its signature is not known yet."""
    onnx.save(onnx.parser.parse_model(text), folder / "model.onnx")
    opening = Opening(Target.parse(target), Signature(()), **facts)
    with ort.action.fn(Product("x", folder), opening) as running:
        return running.get(running.run(running.put(feeds)))


def test_kinds_of_tensors_come_back_untouched(tmp_path):
    text = """
    <ir_version: 9, opset_import: ["": 17]>
    g (double[N] d, float16[N] h, bool[N] b, string[N] s, int64 k)
      => (double[N] d2, float16[N] h2, bool[N] b2, string[N] s2, int64 k2, double total)
    {
      d2 = Add (d, d)
      h2 = Add (h, h)
      b2 = Not (b)
      s2 = Identity (s)
      k2 = Add (k, k)
      total = ReduceSum <keepdims: int = 0> (d)
    }
    """
    feeds = {
        "d": np.array([1.0, 2.5]),
        "h": np.array([1.0, 2.5], np.float16),
        "b": np.array([True, False]),
        "s": np.array(["a", "b"], dtype=object),
        "k": np.array(21),
    }
    got = run(tmp_path, text, feeds)
    assert list(got) == ["d2", "h2", "b2", "s2", "k2", "total"]
    assert got["d2"].dtype == np.float64
    assert got["h2"].tolist() == [2.0, 5.0]
    assert got["h2"].dtype == np.float16
    assert got["b2"].tolist() == [False, True]
    assert got["s2"].tolist() == ["a", "b"]
    assert got["k2"].shape == ()
    assert int(got["k2"]) == 42
    assert got["total"].shape == ()
    assert float(got["total"]) == 3.5


def test_bfloat16_in_and_out(tmp_path):
    text = """
    <ir_version: 9, opset_import: ["": 17]>
    g (bfloat16[N, 2] x, float[N, 2] y) => (bfloat16[N, 2] z)
    {
      wide = Cast <to: int = 1> (x)
      sum = Add (wide, y)
      z = Cast <to: int = 16> (sum)
    }
    """
    x = np.array([[1, 2], [3, 4.5]], ml_dtypes.bfloat16)
    got = run(tmp_path, text, {"x": x, "y": np.ones((2, 2), np.float32)})["z"]
    assert got.dtype == ml_dtypes.bfloat16
    assert got.tolist() == [[2, 3], [4, 5.5]]


def test_a_weight_among_the_inputs_need_not_be_fed(tmp_path):
    text = """
    <ir_version: 3, opset_import: ["": 7]>
    g (float[N] x, float[1] k = {3.0}) => (float[N] y) { y = Mul (x, k) }
    """
    assert run(tmp_path, text, {"x": np.float32([2])})["y"].tolist() == [6.0]


def test_sequences_are_refused_by_name(tmp_path):
    text = """
    <ir_version: 9, opset_import: ["": 17]>
    g (float[N] x) => (seq(float[N]) parts) { parts = SequenceConstruct (x, x) }
    """
    with pytest.raises(
        ModelError, match=r"output 'parts' of the graph is a seq\(tensor\(float\)\)"
    ):
        run(tmp_path, text, {"x": np.float32([2])})


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is here"
)
def test_cuda_is_never_replaced_by_the_cpu(tmp_path):
    text = """
    <ir_version: 9, opset_import: ["": 17]>
    g (float[N] x) => (float[N] y) { y = Neg (x) }
    """
    with pytest.raises(NavigatorError, match="no CUDAExecutionProvider") as caught:
        run(tmp_path, text, {"x": np.float32([2])}, target="onnx:fp32@ort-cuda:0")
    assert "pip install onnxruntime-gpu" in caught.value.remedy


def test_options_and_reference_give_the_same_answer(tmp_path):
    text = """
    <ir_version: 9, opset_import: ["": 17]>
    g (float[N, 4] x) => (float[N, 4] y) { a = Relu (x) y = Softmax (a) }
    """
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)}
    right = run(tmp_path, text, feeds, reference=True, threads=1)["y"]
    options = OrtOptions(optimization="basic", threads=1, execution="parallel", inter_threads=2)
    assert np.allclose(run(tmp_path, text, feeds, options=options)["y"], right)


def test_a_newer_operator_set_is_explained(tmp_path):
    node = onnx.helper.make_node("Neg", ["x"], ["y"])
    x = onnx.helper.make_tensor_value_info("x", 1, ["n"])
    y = onnx.helper.make_tensor_value_info("y", 1, ["n"])
    body = onnx.helper.make_graph([node], "g", [x], [y])
    made = onnx.helper.make_model(
        body, opset_imports=[onnx.helper.make_opsetid("", 99)], ir_version=9
    )
    onnx.save(made, tmp_path / "model.onnx")
    opening = Opening(Target.parse(CPU), Signature(()))
    with (
        pytest.raises(Exception, match=r"(?i)opset") as caught,
        ort.action.fn(Product("x", tmp_path), opening),
    ):
        pass
    assert "lower opset" in ort.action.explain(caught.value)
