"""fp16 and bf16 graphs: types at the border stay, what is sensitive stays, the rest is 16 bits."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_bench import Bench, onnx_format, signature, spec, worst

from navigator_lab.errors import ModelError
from navigator_lab.formats.onnx.half import HalfOptions
from navigator_lab.formats.onnx.retype import convert
from navigator_lab.runners.onnxruntime import OrtOptions


def tensor(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def model(nodes, inputs, outputs, weights=(), opset=17):
    body = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        list(weights),
    )
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def mixed():
    """A product, a sum that is sensitive, a branch with a body, an int64 output."""
    rng = np.random.default_rng(0)

    def body(name, op):
        out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
        nodes = [helper.make_node(op, ["h", "h"], [f"{name}_y"])]
        return helper.make_graph(nodes, name, [], [out])

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["h"]),
        helper.make_node("ReduceSum", ["h"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node(
            "If", ["positive"], ["y"], then_branch=body("t", "Add"), else_branch=body("e", "Mul")
        ),
        helper.make_node("ArgMax", ["h"], ["best"], axis=1, keepdims=0),
    ]
    return model(
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 8])],
        [
            ("y", TensorProto.FLOAT, ["batch", 4]),
            ("total", TensorProto.FLOAT, []),
            ("best", TensorProto.INT64, ["batch"]),
        ],
        [
            tensor("w", rng.standard_normal((8, 4))),
            tensor("b", rng.standard_normal(4)),
            tensor("zero", 0.0),
        ],
    )


def bench(folder, made):
    rng = np.random.default_rng(1)
    samples = [{"x": rng.standard_normal((1, 8)).astype(np.float32)} for _ in range(4)]
    facts = signature(
        [spec("x", "float32", "batch", 8)],
        [
            spec("y", "float32", "batch", 4),
            spec("total", "float32"),
            spec("best", "int64", "batch"),
        ],
        call=None,
        batch=(1, 2, 8),
    )
    return Bench(folder, facts, samples, made)


def test_fp16_keeps_the_border_and_follows_into_branches(tmp_path):
    it = bench(tmp_path, mixed())
    name, value = it.build(onnx_format.to_half, "onnx:fp16")
    made = onnx.load(tmp_path / name / "model.onnx")
    assert [o.type.tensor_type.elem_type for o in made.graph.output] == [1, 1, 7]
    stored = {t.name: t.data_type for t in made.graph.initializer}
    assert TensorProto.FLOAT not in [kind for one, kind in stored.items() if one != "zero"]
    sums = [n for n in made.graph.node if n.op_type == "ReduceSum"]
    assert sums[0].input[0] == "h"  # the sum reads fp32
    inside = next(n for n in made.graph.node if n.op_type == "If").attribute[0].g
    assert inside.node[0].input[0].startswith("h/half")
    assert value.converted == 5  # two in the main graph, one in each branch, the arg max
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert 0 < worst(it.run(name, "onnx:fp16@ort-cpu"), right) < 5e-3


def test_what_is_kept_is_an_option(tmp_path):
    it = bench(tmp_path, mixed())
    options = HalfOptions(keep="MatMul,ArgMax,ReduceSum,Greater")
    name, _ = it.build(onnx_format.to_half, "onnx:fp16", options=options)
    made = onnx.load(tmp_path / name / "model.onnx")
    product = next(n for n in made.graph.node if n.op_type == "MatMul")
    assert list(product.input) == ["x", "w"]


def test_bf16_rounds_after_each_operator_on_a_cpu_without_its_kernels(tmp_path):
    it = bench(tmp_path, mixed())
    name, value = it.build(onnx_format.to_half, "onnx:bf16")
    assert value.opset == 22
    assert "the error is that of bf16" in value.notes[0]
    made = onnx.load(tmp_path / name / "model.onnx")
    weights = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    assert weights["w/half"].dtype == ml_dtypes.bfloat16
    w, b = (weights[n].astype(np.float32) for n in ("w/half", "b/half"))

    def low(array):
        return array.astype(ml_dtypes.bfloat16).astype(np.float32)

    for feeds, got in zip(it.feeds(), it.run(name, "onnx:bf16@ort-cpu"), strict=True):
        h = low(low(low(feeds["x"]) @ w) + b)
        assert got["total"] == pytest.approx(h.sum(), rel=1e-5)
        assert np.array_equal(got["y"], low(h + h if h.sum() > 0 else h * h))


def test_fp16_can_round_as_a_gpu_does(tmp_path):
    """ONNX Runtime's CPU provider computes such a chain in fp32: an overflow inside doesn't show."""
    chain = [
        helper.make_node("Mul", ["x", "big"], ["a"]),
        helper.make_node("Mul", ["a", "big"], ["b"]),
        helper.make_node("Mul", ["b", "small"], ["y"]),
    ]
    made = model(
        chain,
        [("x", TensorProto.FLOAT, ["batch", 2])],
        [("y", TensorProto.FLOAT, ["batch", 2])],
        [tensor("big", [1e3]), tensor("small", [1e-6])],
    )
    facts = signature(
        [spec("x", "float32", "batch", 2)],
        [spec("y", "float32", "batch", 2)],
        call=None,
        batch=(1, 2, 8),
    )
    it = Bench(tmp_path, facts, [{"x": np.float32([[1, 2]])}], made)
    name, _ = it.build(onnx_format.to_half, "onnx:fp16", options=HalfOptions(check_ranges=False))
    options = OrtOptions(exact_half=True)
    exact = it.run(name, "onnx:fp16@ort-cpu", options=options)[0]["y"]
    assert np.isinf(exact).all()
    name, value = it.build(onnx_format.to_half, "onnx:fp16", to="checked")
    assert len(value.kept) == 2
    assert np.allclose(
        it.run(name, "onnx:fp16@ort-cpu", options=options)[0]["y"], [[1, 2]], rtol=2e-3
    )


def test_constants_beyond_fp16_are_the_nearest_that_it_holds():
    made = model(
        [
            helper.make_node("Mul", ["x", "big"], ["m"]),
            helper.make_node("Add", ["m", "tiny"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["n"])],
        [("y", TensorProto.FLOAT, ["n"])],
        [tensor("big", [-1e9]), tensor("tiny", [1e-12])],
    )
    assert convert(made, TensorProto.FLOAT16) == 2
    kept = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    assert kept["big/half"] == np.finfo(np.float16).min
    assert kept["tiny/half"] > 0
    onnx.checker.check_model(made, full_check=True)


def test_a_mask_of_the_most_negative_number_stays_finite_in_bf16():
    """Rounded to nearest it is -inf, and 0 * -inf is NaN in every row that is not masked."""
    big = np.float32(np.finfo(np.float32).min)
    graph = model(
        [
            helper.make_node("Mul", ["x", "most"], ["m"]),
            helper.make_node("Add", ["m", "low"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["batch", 2])],
        [("y", TensorProto.FLOAT, ["batch", 2])],
        [tensor("most", big), tensor("low", [-np.inf, 1.0])],
    )
    convert(graph, TensorProto.BFLOAT16)
    kept = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in graph.graph.initializer}
    assert any(np.isfinite(v).all() and (v < -3.3e38).all() for v in kept.values()), kept
    assert any(np.isneginf(v).any() for v in kept.values()), kept  # one that was meant stays


def test_recurrent_graphs_in_fp16_load(tmp_path):
    """ONNX Runtime 1.31 segfaults while it optimises these; our runner must not."""
    rng = np.random.default_rng(0)
    made = model(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            helper.make_node("LSTM", ["t", "w", "r"], ["o", "", "c"], hidden_size=4),
            helper.make_node("Squeeze", ["o", "one"], ["s"]),
            helper.make_node("Transpose", ["s"], ["y"], perm=[1, 0, 2]),
        ],
        [("x", TensorProto.FLOAT, ["batch", 5, 3])],
        [("y", TensorProto.FLOAT, ["batch", 5, 4]), ("c", TensorProto.FLOAT, [1, "batch", 4])],
        [
            tensor("w", rng.standard_normal((1, 16, 3))),
            tensor("r", rng.standard_normal((1, 16, 4))),
            tensor("one", [1], np.int64),
        ],
    )
    facts = signature(
        [spec("x", "float32", "batch", 5, 3)],
        [spec("y", "float32", "batch", 5, 4), spec("c", "float32", 1, "batch", 4)],
        call=None,
        batch=(1, 2, 8),
    )
    samples = [{"x": rng.standard_normal((1, 5, 3)).astype(np.float32)} for _ in range(3)]
    it = Bench(tmp_path, facts, samples, made)
    name, _ = it.build(onnx_format.to_half, "onnx:fp16")
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert worst(it.run(name, "onnx:fp16@ort-cpu"), right) < 5e-3


def test_a_graph_without_fp32_is_refused(tmp_path):
    made = model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [("x", TensorProto.DOUBLE, ["batch", 3])],
        [("y", TensorProto.DOUBLE, ["batch", 3])],
    )
    facts = signature(
        [spec("x", "float64", "batch", 3)],
        [spec("y", "float64", "batch", 3)],
        call=None,
        batch=(1, 2, 8),
    )
    it = Bench(tmp_path, facts, [{"x": np.ones((1, 3))}], made)
    with pytest.raises(ModelError, match="takes fp32 and can compute in fp16"):
        it.build(onnx_format.to_half, "onnx:fp16")


def test_local_functions_and_overridable_weights():
    """A weight that callers may override stays an input of its own type; functions are inlined."""
    made = onnx.parser.parse_model(
        """
        <ir_version: 9, opset_import: ["": 17, "own": 1]>
        g (float[N, 2] x, float[2] k = {2.0, 3.0}) => (float[N, 2] y) { y = own.scale (x, k) }
        <domain: "own", opset_import: ["": 17]>
        scale (a, b) => (c) { c = Mul (a, b) }
        """
    )
    feeds = {"x": np.float32([[1, 2]])}
    right = onnxruntime.InferenceSession(made.SerializeToString()).run(None, feeds)[0]
    assert convert(made, TensorProto.FLOAT16) == 1
    onnx.checker.check_model(made, full_check=True)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    assert np.allclose(session.run(None, feeds)[0], right)
    changed = session.run(None, {**feeds, "k": np.float32([1, 1])})[0]
    assert np.allclose(changed, feeds["x"])


def large():
    """A product whose weight is beyond fp16, one whose value is, a sum that is too small, and fine ones."""
    nodes = [
        helper.make_node("Mul", ["x", "big"], ["a"], "weight_beyond"),
        helper.make_node("Mul", ["a", "small"], ["b"], "reads_beyond"),
        helper.make_node("MatMul", ["b", "w"], ["c"], "fine"),
        helper.make_node("Mul", ["c", "c"], ["d"], "squares"),
        helper.make_node("Mul", ["d", "small"], ["e"]),  # a node that has no name
        helper.make_node("Mul", ["c", "small"], ["f"], "vanishes"),
        helper.make_node("Tanh", ["c"], ["y"], "also_fine"),
        helper.make_node("Add", ["e", "f"], ["z"], "last"),
    ]
    return model(
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 8])],
        [("y", TensorProto.FLOAT, ["batch", 8]), ("z", TensorProto.FLOAT, ["batch", 8])],
        [
            tensor("big", [1e6]),
            tensor("small", [1e-8]),
            tensor("w", 5e4 * np.eye(8)),
        ],
    )


def beyond(folder):
    samples = [{"x": np.full((1, 8), i + 1, np.float32)} for i in range(2)]
    facts = signature(
        [spec("x", "float32", "batch", 8)],
        [spec("y", "float32", "batch", 8), spec("z", "float32", "batch", 8)],
        call=None,
        batch=(1, 2, 8),
    )
    return Bench(folder, facts, samples, large())


def test_what_fp16_cannot_hold_on_the_samples_stays_in_fp32_by_node(tmp_path):
    it = beyond(tmp_path)
    name, value = it.build(onnx_format.to_half, "onnx:fp16")
    # c = x / 100 * 5e4: up to 1000, its square 1e6; f = 1e-5 at most.
    assert set(value.kept) == {"weight_beyond", "reads_beyond", "squares", "Mul_e", "vanishes"}
    assert value.converted == 3
    assert "5 nodes stay in fp32" in value.notes[0]
    assert "squares (1e+06)" in value.notes[0]
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert worst(it.run(name, "onnx:fp16@ort-cpu"), right) < 5e-3


def test_headroom_and_bf16_have_another_range(tmp_path):
    it = beyond(tmp_path)
    _, value = it.build(
        onnx_format.to_half, "onnx:fp16", options=HalfOptions(headroom=100.0), to="roomy"
    )
    assert {"fine", "also_fine"} <= set(value.kept)  # 1000 * 100 is beyond 65504
    _, value = it.build(onnx_format.to_half, "onnx:bf16")
    assert value.kept == ()
    assert value.converted == 8


def test_unchecked_ranges_are_clipped(tmp_path):
    it = beyond(tmp_path)
    name, value = it.build(
        onnx_format.to_half, "onnx:fp16", options=HalfOptions(check_ranges=False)
    )
    assert value.kept == ()
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert worst(it.run(name, "onnx:fp16@ort-cpu"), right) > 0.05  # 1e6 became 65504, 1e-8 6e-8
