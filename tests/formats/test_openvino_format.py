"""OpenVINO IR: names and free axes stay, int8 is calibrated, nothing silent."""

from __future__ import annotations

import sys

import numpy as np
import openvino
import pytest
import torch
from onnx_bench import Bench, onnx_format, openvino_format, signature, spec, torch_answers, worst
from torch import nn

from navigator_lab.errors import ModelError, NavigatorError

pytestmark = pytest.mark.filterwarnings(
    # torch's exporters and NNCF warn of their own internals
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:.*pytree.*:UserWarning",
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, ids, shift):
        hidden = self.embed(ids) + shift
        return self.body(hidden), hidden.mean(), hidden[:, 0].transpose(0, 1)


def net(folder):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    samples = [
        {
            "ids": rng.integers(0, 20, (1, n)),
            "shift": rng.standard_normal((1, n, 8)).astype(np.float32),
        }
        for n in (3, 6, 3, 4)
    ]
    facts = signature(
        [spec("ids", "int64", "batch", "seq"), spec("shift", "float32", "batch", "seq", 8)],
        [
            spec("scores", "float32", "batch", "seq", 4),
            spec("mean", "float32"),
            spec("first", "float32", 8, "batch"),
        ],
        batch=(1, 2, 8),
        seq=(2, 3, 8),
    )
    module = Net().eval()
    return module, Bench(folder, facts, samples, module)


def test_every_precision_from_onnx_and_the_direct_way(tmp_path):
    module, it = net(tmp_path)
    right = torch_answers(module, it)
    it.build(onnx_format.from_torch, "onnx:fp32")
    name, _ = it.build(openvino_format.from_onnx, "openvino:fp32", source="onnx-fp32")
    made = openvino.Core().read_model(tmp_path / name / "model.xml")
    assert [port.get_any_name() for port in made.inputs] == ["ids", "shift"]
    assert all(dim.is_dynamic for dim in made.inputs[0].get_partial_shape())
    assert worst(it.run(name, "openvino:fp32@ov-cpu"), right) < 1e-5
    assert worst(it.run(name, "openvino:fp32@ov-cpu", reference=True), right) < 1e-5

    half, value = it.build(openvino_format.to_half, "openvino:fp16", source=name)
    assert value.weights == "fp16"
    assert 0 < worst(it.run(half, "openvino:fp16@ov-cpu"), right) < 1e-2

    brain, _ = it.build(openvino_format.to_half, "openvino:bf16", source=name)
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert 0 < worst(it.run(brain, "openvino:bf16@ov-cpu"), right) < 0.1
    else:
        with pytest.raises(NavigatorError, match="does not compute in bf16"):
            it.run(brain, "openvino:bf16@ov-cpu")

    eight, value = it.build(openvino_format.to_int8, "openvino:int8", source=name)
    assert value.quantizers > 0
    assert 0 < worst(it.run(eight, "openvino:int8@ov-cpu"), right) < 0.2

    direct, _ = it.build(openvino_format.from_torch, "openvino:fp32", to="direct")
    assert worst(it.run(direct, "openvino:fp32@ov-cpu"), right) < 1e-5


def test_names_and_axes_are_checked():
    x = openvino.opset13.parameter([2, 3], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    y = openvino.opset13.relu(x)
    y.output(0).set_names({"y"})
    made = openvino.Model([y], [x])
    inputs, outputs = [spec("x", "float32", "batch", 3)], [spec("y", "float32", "batch", 3)]
    with pytest.raises(ModelError, match="fixes axis 'batch' of input 'x' at 2"):
        openvino_format.check(made, signature(inputs, outputs))
    with pytest.raises(ModelError, match="no output 'z'"):
        openvino_format.check(
            made, signature([spec("x", "float32", 2, 3)], [spec("z", "float32", 2, 3)])
        )


def test_importing_the_format_loads_no_framework():
    import subprocess

    code = (
        "import sys, navigator_lab.formats.openvino, navigator_lab.runners.openvino, "
        "navigator_lab.runners.onnxruntime; "
        "print([m for m in ('torch', 'onnx', 'openvino', 'onnxruntime', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
