"""torch to ONNX: names, free axes and answers, with both exporters."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx_bench import Bench, onnx_format, signature, spec, torch_answers, worst
from torch import nn

from navigator_lab.errors import ModelError
from navigator_lab.formats._torch import CannotBuild
from navigator_lab.formats.onnx.export import ExportOptions, ScriptOptions

pytestmark = pytest.mark.filterwarnings(
    # torch's exporters warn of their own internals and of torch.jit's coming end
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:.*pytree.*:UserWarning",
)


class Encoder(nn.Module):
    """Two int64 inputs, a free length, three outputs: one without axes, one with the batch last."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, ids, mask):
        hidden = self.layer(self.embed(ids), src_key_padding_mask=mask == 0)
        scores = self.head(hidden)
        return scores, hidden.abs().mean(), scores[:, 0].transpose(0, 1)


def encoder(folder):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    samples = [
        {"ids": rng.integers(0, 30, (1, n)), "mask": np.ones((1, n), np.int64)} for n in (4, 7, 4)
    ]
    facts = signature(
        [spec("ids", "int64", "batch", "seq"), spec("mask", "int64", "batch", "seq")],
        [
            spec("scores", "float32", "batch", "seq", 4),
            spec("size", "float32"),
            spec("first", "float32", 4, "batch"),
        ],
        batch=(1, 2, 8),
        seq=(2, 4, 16),
    )
    module = Encoder().eval()
    return module, Bench(folder, facts, samples, module)


def test_encoder_keeps_names_and_free_axes(tmp_path):
    module, bench = encoder(tmp_path)
    name, value = bench.build(onnx_format.from_torch, "onnx:fp32")
    made = onnx.load(tmp_path / name / "model.onnx")
    assert [i.name for i in made.graph.input] == ["ids", "mask"]
    assert [o.name for o in made.graph.output] == ["scores", "size", "first"]
    dims = [d.dim_param for d in made.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", "seq"]
    assert value.exporter == "dynamo"
    assert value.nodes == len(made.graph.node)
    assert worst(bench.run(name, "onnx:fp32@ort-cpu"), torch_answers(module, bench)) < 1e-5


class Recurrent(nn.Module):
    """The batch is axis 1 of the state, and one input is bool, one float64."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x, h, c, keep, scale):
        out, (h, c) = self.lstm(x, (h, c))
        return torch.where(keep, out, -out), h, c * scale


def recurrent(folder):
    torch.manual_seed(0)
    rng = np.random.default_rng(1)

    def sample():
        return {
            "x": rng.standard_normal((1, 5, 4)).astype(np.float32),
            "h": rng.standard_normal((1, 1, 6)).astype(np.float32),
            "c": rng.standard_normal((1, 1, 6)).astype(np.float32),
            "keep": rng.random((1, 5, 6)) > 0.5,
            "scale": rng.standard_normal((1, 1, 6)),
        }

    facts = signature(
        [
            spec("x", "float32", "batch", 5, 4),
            spec("h", "float32", 1, "batch", 6),
            spec("c", "float32", 1, "batch", 6),
            spec("keep", "bool", "batch", 5, 6),
            spec("scale", "float64", 1, "batch", 6),
        ],
        [
            spec("out", "float32", "batch", 5, 6),
            spec("h_out", "float32", 1, "batch", 6),
            spec("c_out", "float64", 1, "batch", 6),
        ],
        batch=(1, 2, 8),
    )
    module = Recurrent().eval()
    return module, Bench(folder, facts, [sample() for _ in range(4)], module)


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_state_with_the_batch_in_the_middle(tmp_path, exporter):
    module, bench = recurrent(tmp_path)
    options = ExportOptions(exporter, opset=17 if exporter == "torchscript" else 0)
    name, _ = bench.build(onnx_format.from_torch, "onnx:fp32", options=options)
    assert worst(bench.run(name, "onnx:fp32@ort-cpu"), torch_answers(module, bench)) < 1e-5


class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1


def branching(folder):
    rng = np.random.default_rng(0)
    samples = [{"x": rng.standard_normal((1, 3)).astype(np.float32)} for _ in range(4)]
    facts = signature(
        [spec("x", "float32", "batch", 3)], [spec("y", "float32", "batch", 3)], batch=(1, 2, 8)
    )
    return Bench(folder, facts, samples, Branching().eval())


def test_a_branch_on_data_is_refused_with_the_remedy(tmp_path):
    bench = branching(tmp_path)
    with pytest.raises(CannotBuild, match="ONNX exporter refuses") as caught:
        bench.build(onnx_format.from_torch, "onnx:fp32")
    assert "torch.cond" in onnx_format.from_torch.action.explain(caught.value)


def test_a_scripted_file_keeps_its_branch(tmp_path):
    bench = branching(tmp_path)
    (tmp_path / "scripted").mkdir()
    module = torch.jit.script(Branching().eval())
    torch.jit.save(module, str(tmp_path / "scripted" / "model.pt"))
    name, value = bench.build(
        onnx_format.from_script, "onnx:fp32", source="scripted", options=ScriptOptions(opset=17)
    )
    made = onnx.load(tmp_path / name / "model.onnx")
    assert "If" in {node.op_type for node in made.graph.node}
    answers = torch_answers(Branching(), bench)
    assert worst(bench.run(name, "onnx:fp32@ort-cpu"), answers) < 1e-6
    assert value.opset == 17


def test_an_exported_program(tmp_path):
    module, bench = encoder(tmp_path)
    (tmp_path / "program").mkdir()
    args = (torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64))
    batch, seq = torch.export.Dim("batch", max=64), torch.export.Dim("seq", max=64)
    shapes = ({0: batch, 1: seq}, {0: batch, 1: seq})
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        program = torch.export.export(module, args, dynamic_shapes=shapes)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    torch.export.save(program, tmp_path / "program" / "model.pt2")
    name, _ = bench.build(onnx_format.from_program, "onnx:fp32", source="program")
    assert worst(bench.run(name, "onnx:fp32@ort-cpu"), torch_answers(module, bench)) < 1e-5


def test_a_fixed_axis_is_named(tmp_path):
    x = onnx.helper.make_tensor_value_info("x", 1, [2, 3])
    y = onnx.helper.make_tensor_value_info("y", 1, ["n", 3])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    made = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]))
    onnx.save(made, tmp_path / "model.onnx")
    facts = signature(
        [spec("x", "float32", "batch", 3)], [spec("y", "float32", "batch", 3)], batch=(1, 2, 8)
    )
    with pytest.raises(ModelError, match="fixes axis 'batch' of input 'x' at 2"):
        onnx_format.graph.check(tmp_path / "model.onnx", facts)
    with pytest.raises(ModelError, match="inputs are x; the signature's are z"):
        onnx_format.graph.check(
            tmp_path / "model.onnx", signature([spec("z", "float32", 2, 3)], facts.outputs)
        )
