"""Small ONNX graphs, and what building them needs."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx_bench import Bench, onnx_format, signature, spec

from navigator_lab.formats.onnx.quantize import StaticOptions
from navigator_lab.formats.tensorrt import Engine, rtx_from_onnx
from navigator_lab.formats.tensorrt.options import RtxOptions
from navigator_lab.types.codec import encode
from navigator_lab.types.outcome import Product

SYMMETRIC = StaticOptions(activations="int8", symmetric=True, reduce_range=False)
SIZES = {"batch": (1, 4, 8)}


def graph(nodes, inputs, outputs, weights=(), opset=19, domains=()):
    """An ONNX model. ``inputs`` and ``outputs``: (name, type, shape)."""
    tensors = [numpy_helper.from_array(value, name) for name, value in dict(weights).items()]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        tensors,
    )
    sets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(made, opset_imports=sets, ir_version=9)


def network():
    """A convolution and a product."""
    rng = np.random.default_rng(0)
    weights = {
        "k": rng.standard_normal((8, 3, 3, 3)).astype(np.float32) / 4,
        "b": rng.standard_normal(8).astype(np.float32),
        "w": rng.standard_normal((8, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["a"], "pool"),
        helper.make_node("Flatten", ["a"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "w"], ["y"], "product"),
    ]
    return graph(
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [("y", TensorProto.FLOAT, ["batch", 4])],
        weights,
    )


def sequence():
    """A product over an axis that varies besides the batch."""
    weights = {"w": np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)}
    return graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")],
        [("x", TensorProto.FLOAT, ["batch", "length", 4])],
        [("y", TensorProto.FLOAT, ["batch", "length", 4])],
        weights,
    )


def float8():
    """A product whose inputs go through fp8, as a quantiser writes it."""
    rng = np.random.default_rng(0)
    zero = helper.make_tensor("zero", TensorProto.FLOAT8E4M3FN, [], [0.0])
    weights = {
        "s": np.float32(0.02),
        "w": rng.standard_normal((16, 16)).astype(np.float32),
    }
    nodes = []
    for name in ("x", "w"):
        nodes.append(helper.make_node("QuantizeLinear", [name, "s", "zero"], [f"{name}q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}q", "s", "zero"], [f"{name}d"]))
    nodes.append(helper.make_node("MatMul", ["xd", "wd"], ["y"], "product"))
    made = graph(
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 16])],
        [("y", TensorProto.FLOAT, ["batch", 4 * 4])],
        weights,
    )
    made.graph.initializer.append(zero)
    return made


def images(folder, model, count=4, shape=(3, 8, 8), output=(4,)):
    """A bench with samples of images."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    samples = [{"x": rng.standard_normal((1, *shape)).astype(np.float32)} for _ in range(count)]
    facts = signature(
        [spec("x", "float32", "batch", *shape)],
        [spec("y", "float32", "batch", *output)],
        call=None,
        **SIZES,
    )
    return Bench(folder, facts, samples, model)


def sequences(folder, lengths=(3, 9)):
    """A bench with samples of several lengths."""
    rng = np.random.default_rng(1)
    samples = [{"x": rng.standard_normal((1, n, 4)).astype(np.float32)} for n in lengths]
    facts = signature(
        [spec("x", "float32", "batch", "length", 4)],
        [spec("y", "float32", "batch", "length", 4)],
        call=None,
        length=(2, 4, 16),
        **SIZES,
    )
    return Bench(folder, facts, samples, sequence())


def built(bench, variant="tensorrt-rtx:fp32", source="source", **options):
    """The engine's value, and its product."""
    name, value = bench.build(rtx_from_onnx, variant, source, options=RtxOptions(**options))
    assert isinstance(value, Engine)
    return value, Product("x", bench.folder / name, encode(value))


__all__ = [
    "SYMMETRIC",
    "built",
    "float8",
    "graph",
    "images",
    "network",
    "onnx_format",
    "sequences",
    "signature",
    "spec",
]
