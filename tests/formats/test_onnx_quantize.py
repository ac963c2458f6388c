"""int8 by ONNX Runtime's quantiser: all samples count, nothing quantised is no int8 graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_bench import Bench, onnx_format, signature, spec, worst

from navigator_lab.errors import ModelError
from navigator_lab.formats.onnx.quantize import StaticOptions


def network(opset=17):
    """A convolution and a product, as an old file says it: weights among the inputs."""
    rng = np.random.default_rng(0)
    weights = {
        "k": rng.standard_normal((8, 2, 3, 3)).astype(np.float32) / 4,
        "w": rng.standard_normal((8, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["a"]),
        helper.make_node("Flatten", ["a"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 6, 6])]
    inputs += [
        helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in weights.items()
    ]
    made = helper.make_graph(
        nodes,
        "g",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


def bench(folder, made, count=16, last=1.0):
    rng = np.random.default_rng(1)
    samples = [{"x": rng.standard_normal((1, 2, 6, 6)).astype(np.float32)} for _ in range(count)]
    samples[-1]["x"] *= last
    facts = signature(
        [spec("x", "float32", "batch", 2, 6, 6)],
        [spec("y", "float32", "batch", 4)],
        call=None,
        batch=(1, 2, 8),
    )
    return Bench(folder, facts, samples, made)


@pytest.mark.parametrize(
    ("opset", "options"),
    [
        (9, StaticOptions()),
        (17, StaticOptions(method="entropy")),
        (17, StaticOptions(method="percentile", activations="int8", symmetric=True)),
    ],
)
def test_static(tmp_path, opset, options):
    it = bench(tmp_path, network(opset))
    name, value = it.build(onnx_format.to_int8, "onnx:int8", options=options)
    assert value.converted >= 4
    assert value.opset >= 13
    made = onnx.load(tmp_path / name / "model.onnx")
    stored = Counter(t.data_type for t in made.graph.initializer if len(t.dims) > 1)
    assert stored == {TensorProto.INT8: 2}
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert 0 < worst(it.run(name, "onnx:int8@ort-cpu"), right) < 0.1


@pytest.mark.parametrize("method", ["minmax", "percentile"])
@pytest.mark.parametrize("count", [16, 17])
def test_the_last_sample_counts(tmp_path, method, count):
    """Its values are 50 times larger: a range that misses it would clip them."""
    it = bench(tmp_path, network(), count=count, last=50.0)
    options = StaticOptions(method=method, percentile=100.0)
    name, _ = it.build(onnx_format.to_int8, "onnx:int8", options=options)
    made = onnx.load(tmp_path / name / "model.onnx")
    scale = next(t for t in made.graph.initializer if t.name == "x_scale")
    largest = float(np.abs(it.samples[-1]["x"]).max())
    assert float(numpy_helper.to_array(scale)) * 255 > largest


def test_dynamic(tmp_path):
    it = bench(tmp_path, network())
    name, value = it.build(onnx_format.to_int8_dynamic, "onnx:int8-dynamic")
    assert value.converted == 1  # the product; the convolution stays
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert 0 < worst(it.run(name, "onnx:int8-dynamic@ort-cpu"), right) < 0.1


def test_what_is_quantised_already_is_said(tmp_path):
    it = bench(tmp_path, network(), count=2)
    name, _ = it.build(onnx_format.to_int8, "onnx:int8")
    with pytest.raises(ModelError, match="quantised already"):
        it.build(onnx_format.to_int8_dynamic, "onnx:int8-dynamic", source=name)


def test_nothing_to_quantise_is_an_error(tmp_path):
    node = helper.make_node("Sin", ["x"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2, 6, 6])
    body = helper.make_graph([node], "g", [x], [y])
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    it = bench(tmp_path, made)
    for edge, variant in (
        (onnx_format.to_int8, "onnx:int8"),
        (onnx_format.to_int8_dynamic, "onnx:int8-dynamic"),
    ):
        with pytest.raises(ModelError, match="found nothing that it can quantise among Sin"):
            it.build(edge, variant)


def test_what_stays_in_fp32_reads_what_it_read_before(tmp_path):
    """The quantiser drops a Relu before a rounding, which does its work; who reads it exactly needs
    it. And it rounds a value for all that read it."""
    it = bench(tmp_path, network())
    options = StaticOptions(keep="GlobalAveragePool")
    name, _ = it.build(onnx_format.to_int8, "onnx:int8", options=options)
    made = onnx.load(tmp_path / name / "model.onnx")
    makers = {output: node.op_type for node in made.graph.node for output in node.output}
    pool = next(n for n in made.graph.node if n.op_type == "GlobalAveragePool")
    assert makers[pool.input[0]] == "Relu"
    right = it.run("source", "onnx:fp32@ort-cpu")
    assert worst(it.run(name, "onnx:int8@ort-cpu"), right) < 0.1
