"""fp8 and weights alone, in standard operators; what stays in fp32 by name, type and ranking."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_bench import Bench, onnx_format, signature, spec, worst
from test_onnx_quantize import bench, network

from navigator_lab.errors import ModelError, SamplesError
from navigator_lab.formats.onnx.narrow import Fp8Options, WeightOptions
from navigator_lab.formats.onnx.quantize import StaticOptions
from navigator_lab.runners.onnxruntime import OrtOptions


def stored(folder, name):
    made = onnx.load(folder / name / "model.onnx")
    return made, Counter(t.data_type for t in made.graph.initializer if len(t.dims) > 1)


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_fp8(tmp_path, method):
    it = bench(tmp_path, network())
    name, value = it.build(onnx_format.to_fp8, "onnx:fp8", options=Fp8Options(method=method))
    assert value.converted == 4  # two weights, and what the two products take
    made, held = stored(tmp_path, name)
    assert held == {TensorProto.FLOAT8E4M3FN: 2}
    assert value.opset >= 19
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert 1e-4 < worst(it.run(name, "onnx:fp8@ort-cpu"), right) < 0.15
    scale = next(t for t in made.graph.initializer if t.name == "x/float8_e4m3fn/scale")
    largest = max(float(np.abs(one["x"]).max()) for one in it.samples)
    if method == "minmax":
        assert float(numpy_helper.to_array(scale)) * 448 == pytest.approx(largest, rel=1e-6)


def test_a_relu_before_fp8_is_not_dropped(tmp_path):
    """ONNX Runtime 1.31 takes the zero of fp8 for the least value there is; our runner must not."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    body = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")],
    )
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    facts = signature([spec("x", "float32", 1, 4)], [spec("y", "float32", 1, 4)], call=None)
    it = Bench(tmp_path, facts, [{"x": np.float32([[-1, 1, -2, 2]])}], made)
    name, _ = it.build(onnx_format.to_fp8, "onnx:fp8")
    assert it.run(name, "onnx:fp8@ort-cpu")[0]["y"].tolist() == [[0, 1, 0, 2]]


def products(n=48):
    """Matrix products: with a weight, with its transpose (Gemm), and of two activations."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("Gemm", ["a", "v", "b"], ["c"], "second", transB=1),
        helper.make_node("Transpose", ["c"], ["t"], "turn", perm=[1, 0]),
        helper.make_node("MatMul", ["c", "t"], ["y"], "both"),
    ]
    weights = {
        "w": rng.standard_normal((n, 64)) / 8,
        "v": rng.standard_normal((32, 64)) / 8,
        "b": rng.standard_normal(32),
    }
    body = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, n])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 3])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def products_bench(folder):
    rng = np.random.default_rng(1)
    samples = [{"x": rng.standard_normal((3, 48)).astype(np.float32)} for _ in range(4)]
    facts = signature([spec("x", "float32", 3, 48)], [spec("y", "float32", 3, 3)], call=None)
    return Bench(folder, facts, samples, products())


@pytest.mark.parametrize(
    ("precision", "options", "kind", "most"),
    [
        ("int8-weights", WeightOptions(), TensorProto.INT8, 0.02),
        ("int8-weights", WeightOptions(block=16), TensorProto.INT8, 0.02),
        ("int4-weights", WeightOptions(), TensorProto.INT4, 0.3),
    ],
)
def test_weights_alone(tmp_path, precision, options, kind, most):
    it = products_bench(tmp_path)
    name, value = it.build(onnx_format.to_weights, f"onnx:{precision}", options=options)
    assert value.converted == 2
    made, held = stored(tmp_path, name)
    assert held[kind] >= 2
    assert not held[TensorProto.FLOAT] or value.opset >= 21  # scales of blocks have two axes
    assert not [n for n in made.graph.node if n.op_type == "QuantizeLinear"]
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert 1e-4 < worst(it.run(name, f"onnx:{precision}@ort-cpu"), right) < most


def test_both_sides_of_a_product_are_an_option(tmp_path):
    it = products_bench(tmp_path)
    _, value = it.build(onnx_format.to_fp8, "onnx:fp8")
    assert value.converted == 4
    options = Fp8Options(const_only=False)
    name, value = it.build(onnx_format.to_fp8, "onnx:fp8", options=options, to="both")
    assert value.converted == 6
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert worst(it.run(name, "onnx:fp8@ort-cpu"), right) < 0.2


@pytest.mark.parametrize(
    ("edge", "variant", "options"),
    [
        (onnx_format.to_fp8, "onnx:fp8", Fp8Options),
        (onnx_format.to_int8, "onnx:int8", StaticOptions),
        (onnx_format.to_weights, "onnx:int8-weights", WeightOptions),
    ],
)
def test_nodes_and_types_stay_in_fp32(tmp_path, edge, variant, options):
    it = products_bench(tmp_path)
    it.build(edge, variant, options=options(keep_nodes="second"), to="by_name")
    made, _ = stored(tmp_path, "by_name")
    assert (
        next(n for n in made.graph.node if "second" in n.name and n.op_type == "Gemm").input[1]
        == "v"
    )
    it.build(edge, variant, options=options(keep="MatMul"), to="by_type")
    made, _ = stored(tmp_path, "by_type")
    assert next(n for n in made.graph.node if n.name == "first").input[1] == "w"
    with pytest.raises(ModelError, match="keep_nodes names absent"):
        it.build(edge, variant, options=options(keep_nodes="absent"), to="wrong")


def test_a_norm_that_is_merged_stays_with_its_convolution(tmp_path):
    """The preparation merges the two: naming either keeps both in fp32."""
    made = network()
    norm = helper.make_node("BatchNormalization", ["c", *["s"] * 4], ["n"], "norm")
    made.graph.node.insert(1, norm)
    made.graph.node[2].input[0] = "n"
    made.graph.node[0].name = "conv"
    made.graph.initializer.append(numpy_helper.from_array(np.ones(8, np.float32), "s"))
    made.graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, [8]))
    made.ir_version = 8
    it = bench(tmp_path, made)
    for name in ("conv", "norm"):
        _, value = it.build(
            onnx_format.to_fp8, "onnx:fp8", options=Fp8Options(keep_nodes=name), to=name
        )
        assert value.converted == 2


@pytest.mark.parametrize(
    ("edge", "variant"), [(onnx_format.to_fp8, "onnx:fp8"), (onnx_format.to_int8, "onnx:int8")]
)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_calibration_on_what_is_no_number_is_refused(tmp_path, edge, variant, wrong):
    it = bench(tmp_path, network(), count=4)
    it.samples[2]["x"][0, 1, 2, 3] = wrong
    from navigator_lab.types import samples

    samples.write(tmp_path / "samples", it.samples)
    with pytest.raises(SamplesError, match=r"input 'x' of sample 2 .* at index \(0, 1, 2, 3\)"):
        it.build(edge, variant)


def test_the_form_that_tensorrt_takes(tmp_path):
    it = bench(tmp_path, network())
    options = StaticOptions(
        activations="int8", symmetric=True, reduce_range=False, quantize_bias=False
    )
    name, _ = it.build(onnx_format.to_int8, "onnx:int8", options=options)
    made, _ = stored(tmp_path, name)
    tensors = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    pairs = [n for n in made.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        assert not np.any(tensors[node.input[2]])
        assert tensors[node.input[2]].dtype == np.int8
    right = it.run("source", "onnx:fp32@ort-cpu")
    as_written = OrtOptions(optimization="disabled")  # x86 kernels without VNNI saturate
    assert worst(it.run(name, "onnx:int8@ort-cpu", options=as_written), right) < 0.1
