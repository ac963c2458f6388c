"""ONNX files that lie in the onnx and onnxruntime wheels, and small ones of kinds that bite.

The written ones say in a graph what exporters really produce: labels as strings, weights that are
already fp16 or int8, sizes baked in, weights in a second file, a loop.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from zoo_inputs import crops, digits
from zoo_specimen import collector

ONNX_MODELS, add = collector()


def graph(nodes, inputs, outputs, weights=(), opset=17, domains=()):
    """A checked ModelProto. Inputs and outputs: ``(name, type, shape)``."""
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "zoo",
            [helper.make_tensor_value_info(*one) for one in inputs],
            [helper.make_tensor_value_info(*one) for one in outputs],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(weights).items()],
        ),
        opset_imports=[
            helper.make_opsetid("", opset),
            *(helper.make_opsetid(d, v) for d, v in domains),
        ],
        ir_version=9,
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def light(name):
    return Path(str(files("onnx"))) / f"backend/test/data/light/light_{name}.onnx"


def _pixels(name):
    def make():
        mean = np.array([103.9, 116.8, 123.7], np.float32)[:, None, None]
        return [{name: crops(1, 224, 224, seed=i)[:, ::-1] * 255 - mean} for i in range(2)]

    return make


@add(
    _pixels("data_0"),
    inputs={"data_0": (1, 3, 224, 224)},
    outputs={"fc6_1": (1, 1000, 1, 1)},
    still=("fc6_1",),
)
def light_densenet121():
    """Its weights are constants, its batch is fixed at one, IR version 3, opset 9."""
    return light("densenet121")


@add(
    _pixels("gpu_0/data_0"),
    inputs={"gpu_0/data_0": (1, 3, 224, 224)},
    outputs={"gpu_0/softmax_1": (1, 1000)},
    still=("gpu_0/softmax_1",),
)
def light_shufflenet():
    """Names with a slash. All weights are the same number, so nothing moves its answer."""
    return light("shufflenet")


def features(count, width=16, start=0):
    return digits()[0][start : start + count].reshape(count, 64)[:, 18 : 18 + width] - 0.3


def _rows(name="x", count=8, width=16):
    return lambda: [{name: row[None]} for row in features(count, width)]


def weights(rows, columns, seed=0):
    found = np.random.default_rng(seed).standard_normal((rows, columns)) / rows**0.5
    return found.astype(np.float32)


@add(
    lambda: [{"float_input": np.float32([[5, 3], [7, 3], [9, 9 - 9 * i]])} for i in range(3)],
    refused="probabilities",
)
def iris_zipmap():
    """Logistic regression by scikit-learn: its second output is a list of dicts, no tensor."""
    return Path(str(files("onnxruntime"))) / "datasets/logreg_iris.onnx"


@add(_rows(), inputs={"x": ("batch", 16)}, outputs={"label": ("batch",), "scores": ("batch", 3)})
def string_labels():
    """A classifier whose labels are strings."""
    node = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=weights(3, 16).ravel().tolist(),
        intercepts=[0.1, 0.0, -0.1],
        classlabels_strings=["setosa", "versicolor", "virginica"],
        post_transform="SOFTMAX",
    )
    return graph(
        [node],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("label", TensorProto.STRING, ["n"]), ("scores", TensorProto.FLOAT, ["n", 3])],
        domains=[("ai.onnx.ml", 3)],
    )


@add(_rows(), inputs={"x": ("batch", 16)}, outputs={"label": ("batch",), "scores": ("batch", 3)})
def classical():
    """A linear classifier of ai.onnx.ml, int64 labels and scores: tensors only."""
    node = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=weights(3, 16).ravel().tolist(),
        intercepts=[0.1, 0.0, -0.1],
        classlabels_ints=[0, 1, 2],
        post_transform="SOFTMAX",
    )
    return graph(
        [node],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("label", TensorProto.INT64, ["n"]), ("scores", TensorProto.FLOAT, ["n", 3])],
        domains=[("ai.onnx.ml", 3)],
    )


@add(
    lambda: [{"x": row[None].astype(np.float16)} for row in features(8)],
    inputs={"x": ("batch", 16)},
    outputs={"y": ("batch", 4)},
)
def already_fp16():
    return graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["y"])],
        [("x", TensorProto.FLOAT16, ["n", 16])],
        [("y", TensorProto.FLOAT16, ["n", 4])],
        {"w": weights(16, 4).astype(np.float16)},
    )


@add(_rows(), inputs={"x": ("batch", 16)}, outputs={"y": ("batch", 4)})
def already_int8():
    """Somebody quantised it before: Q/DQ around a MatMul."""
    w = np.clip(np.round(weights(16, 4) / 0.01), -127, 127).astype(np.int8)
    return graph(
        [
            helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "sx", "zx"], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["dw"]),
            helper.make_node("MatMul", ["d", "dw"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("y", TensorProto.FLOAT, ["n", 4])],
        {
            "sx": np.float32(0.008),
            "zx": np.int8(0),
            "w": w,
            "sw": np.float32(0.01),
            "zw": np.int8(0),
        },
    )


@add(_rows(), inputs={"x": (1, 16)}, outputs={"y": (1, 4)})
def says_dynamic_but_fixed():
    """The file says any batch; a Reshape inside fits a batch of one only."""
    return graph(
        [
            helper.make_node("Reshape", ["x", "one"], ["r"]),
            helper.make_node("MatMul", ["r", "w"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("y", TensorProto.FLOAT, ["n", 4])],
        {"one": np.array([1, 16], np.int64), "w": weights(16, 4)},
    )


@add(_rows(), inputs={"x": ("batch", 16)}, outputs={"total": ("batch", 16), "last": ("batch", 16)})
def loop():
    """A Loop with a carried value: repeated halving and adding."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Mul", ["carried", "half"], ["halved"]),
            helper.make_node("Add", ["halved", "x"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, ["n", 16]),
        ],
        [
            helper.make_tensor_value_info("still_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["n", 16]),
        ],
    )
    return graph(
        [
            helper.make_node("Loop", ["times", "yes", "x"], ["total"], body=body),
            helper.make_node("Softmax", ["total"], ["last"], axis=-1),
        ],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("total", TensorProto.FLOAT, ["n", 16]), ("last", TensorProto.FLOAT, ["n", 16])],
        {"times": np.int64(4), "yes": np.bool_(True), "half": np.float32(0.5)},
    )


@add(_rows(), outputs={"rows": ("*", 2)})
def non_zero():
    """The size of the answer depends on the values."""
    return graph(
        [
            helper.make_node("Greater", ["x", "limit"], ["over"]),
            helper.make_node("NonZero", ["over"], ["places"]),
            helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        ],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("rows", TensorProto.INT64, ["k", 2])],
        {"limit": np.float32(0.3)},
    )


@add(_rows(), inputs={"x": ("batch", 16)}, outputs={"y": ("batch", 4)})
def overflows_fp16_onnx():
    """A number beyond fp16 in a weight and in an activation; its answer is of order 1."""
    return graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Mul", ["h", "big"], ["b"]),
            helper.make_node("Sub", ["b", "shift"], ["s"]),
            helper.make_node("Div", ["s", "big"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("y", TensorProto.FLOAT, ["n", 4])],
        {"w": weights(16, 4), "big": np.float32(1e6), "shift": np.float32(2e5)},
    )


@add(
    _rows(),
    inputs={"x": ("batch", 16)},
    outputs={"y": ("batch", 4), "noise": ("batch", 16)},
    stateful=True,
)
def random_inside():
    """RandomNormalLike: another answer at each call."""
    return graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        ],
        [("x", TensorProto.FLOAT, ["n", 16])],
        [("y", TensorProto.FLOAT, ["n", 4]), ("noise", TensorProto.FLOAT, ["n", 16])],
        {"w": weights(16, 4)},
    )
