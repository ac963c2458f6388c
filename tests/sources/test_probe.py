"""What the probe finds out by running real sources on samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from probing import probed
from torch import nn

from navigator_lab.errors import SamplesError
from navigator_lab.types import samples as stored
from navigator_lab.types.signature import Axis

pytestmark = [
    # Torch says that TorchScript is on its way out, also when a user's file is opened on purpose.
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit.*:FutureWarning"),
    # A note of torch's encoder on its own fast path.
    pytest.mark.filterwarnings("ignore:.*nested tensor.*:UserWarning"),
]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def from_function(function: Any) -> nn.Module:
    class Made(nn.Module):
        def forward(self, *args: Any) -> Any:
            return function(*args)

    return Made()


def test_a_plain_network(tmp_path: Path) -> None:
    x = torch.randn(5, 3, 8, 8)
    found = probed(nn.Conv2d(3, 4, 3), x, tmp_path)
    assert found.input("input") == ("batch", 3, 8, 8)
    assert found.output("output") == ("batch", 4, 6, 6)
    assert found.signature.axes == (Axis("batch", 1, 5, 1024),)
    assert not found.signature.stateful
    assert not found.signature.notes
    assert len(found.samples) == 5
    together = stored.together(found.samples, found.signature)
    np.testing.assert_array_equal(together["input"], x)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_sample_is_enough(tmp_path: Path, count: int) -> None:
    found = probed(nn.Linear(3, 4), torch.randn(count, 3), tmp_path)
    assert found.input("input") == ("batch", 3)


def test_the_batch_may_be_elsewhere_in_the_output(tmp_path: Path) -> None:
    found = probed(from_function(lambda x: (x.T * 2, x.sum())), torch.randn(3, 5), tmp_path)
    assert found.output("output_0") == (5, "batch")
    assert found.output("output_1") == ()
    assert not found.signature.batch_first
    assert "output output_1 has no batch axis" in found.signature.notes


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("first", [True, False])
def test_a_recurrent_net_with_state(tmp_path: Path, batch: int, first: bool) -> None:
    x = torch.randn(7, batch, 3)
    x = x.transpose(0, 1) if first else x
    state = (torch.randn(1, batch, 4), torch.randn(1, batch, 4))
    found = probed(nn.LSTM(3, 4, batch_first=first), (x, state), tmp_path)
    assert found.input("input") == (("batch", 7, 3) if first else (7, "batch", 3))
    assert found.input("hx.0") == (1, "batch", 4)
    assert found.output("output_1.1") == (1, "batch", 4)


def test_time_is_not_taken_for_the_batch(tmp_path: Path) -> None:
    found = probed(nn.LSTM(3, 4), torch.randn(7, 2, 3), tmp_path)
    assert found.input("input") == (7, "batch", 3)
    assert any("axis 1 of input" in note for note in found.signature.notes)


class Encoder(nn.Module):
    """Tokens and a mask to hidden states and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
        hidden = self.layer(self.table(input_ids), src_key_padding_mask=attention_mask == 0)
        return {"hidden": hidden, "logits": self.head(hidden[:, 0]), "loss": None}


def tokens(batch: int, length: int) -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.randint(0, 50, (batch, length)),
        "attention_mask": torch.ones(batch, length, dtype=torch.int64),
    }


def test_axes_that_vary_get_a_shared_name(tmp_path: Path) -> None:
    found = probed(Encoder(), [tokens(2, 8), tokens(2, 8), tokens(3, 16)], tmp_path)
    assert found.input("input_ids") == found.input("attention_mask") == ("batch", "input_ids_1")
    assert found.output("hidden") == ("batch", "input_ids_1", 8)
    assert found.output("logits") == ("batch", 3)
    assert found.signature.axis("input_ids_1") == Axis("input_ids_1", 8, 8, 16)
    assert [s["input_ids"].shape for s in found.samples] == [(1, 8)] * 4 + [(1, 16)] * 3


def test_a_declared_range_is_tried_at_its_ends(tmp_path: Path) -> None:
    axes = {"input_ids": {1: "seq"}, "attention_mask": {1: "seq"}, "seq": (2, 8, 32)}
    found = probed(Encoder(), tokens(2, 8), tmp_path, axes={**axes, "batch": (1, 4, 16)})
    assert found.signature.axes == (Axis("batch", 1, 4, 16), Axis("seq", 2, 8, 32))
    assert found.output("hidden") == ("batch", "seq", 8)
    assert [s["input_ids"].shape[1] for s in found.samples] == [8, 8, 2, 32]
    longest = found.samples[-1]["input_ids"]
    np.testing.assert_array_equal(longest[:, :8], longest[:, 8:16])


class Positions(nn.Module):
    """Knows 16 positions and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(16, 4)

    def forward(self, ids: Any) -> Any:
        return self.table(torch.arange(ids.shape[1])) + ids[..., None]


def test_a_range_that_the_source_refuses(tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="seq=64, the max") as caught:
        probed(Positions(), torch.ones(2, 8), tmp_path, axes={"ids": {1: "seq"}, "seq": (4, 64)})
    assert "narrow the range" in caught.value.remedy


def test_samples_outside_of_a_declared_range(tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="from 2 to 4, and sample 0 has 8"):
        probed(Positions(), torch.ones(2, 8), tmp_path, axes={"ids": {1: (2, 4)}})


def test_an_output_axis_that_follows_at_a_distance(tmp_path: Path) -> None:
    samples = [torch.randn(2, 3, 8, 8), torch.randn(1, 3, 10, 8)]
    found = probed(nn.Conv2d(3, 4, 3), samples, tmp_path)
    assert found.input("input") == ("batch", 3, "input_2", 8)
    assert found.output("output") == ("batch", 4, "output_2", 6)
    assert found.signature.axis("output_2").max == 8


def test_no_batch_axis(tmp_path: Path) -> None:
    found = probed(nn.Linear(3, 4), torch.randn(3), tmp_path)
    assert not found.signature.batched
    assert found.output("output") == (4,)
    assert any("no batch axis was found" in note for note in found.signature.notes)


def test_no_batch_axis_is_wanted(tmp_path: Path) -> None:
    found = probed(nn.Linear(3, 4), torch.randn(2, 3), tmp_path, batch_axis=None)
    assert found.input("input") == (2, 3)
    assert not found.signature.axes
    assert not found.signature.notes
    wish = {"batch_axis": None, "axes": {"batch": (1, 8)}}
    with pytest.raises(SamplesError, match="no batch axis"):
        probed(nn.Linear(3, 4), torch.randn(2, 3), tmp_path / "2", **wish)


def test_a_batch_axis_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="batch_axis=1 isn't a batch axis") as caught:
        probed(nn.Linear(3, 4), torch.randn(2, 3), tmp_path, batch_axis=1)
    assert "cannot be multiplied" in str(caught.value)


def test_inputs_without_a_batch_axis(tmp_path: Path) -> None:
    feed = (torch.randn(3, 4), torch.rand(1, 4), torch.tensor(2.0))
    found = probed(from_function(lambda x, m, k: x * m * k), feed, tmp_path)
    assert [s.shape for s in found.signature.inputs] == [("batch", 4), (1, 4), ()]
    assert all(sample["input_2"].shape == () for sample in found.samples)


def test_answers_that_depend_on_the_batch(tmp_path: Path) -> None:
    model = from_function(lambda x: torch.relu(x @ torch.ones(3, 3)) - x.mean())
    found = probed(model, torch.randn(4, 3), tmp_path / "auto")
    assert not found.signature.batched
    assert any("answers change" in note for note in found.signature.notes)
    found = probed(model, torch.randn(4, 3), tmp_path / "given", batch_axis=0)
    assert found.signature.batched
    assert any("depend on the batch" in note for note in found.signature.notes)


class Counter(nn.Module):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls


def test_state_and_chance_are_noticed(tmp_path: Path) -> None:
    assert probed(Counter(), torch.randn(2, 3), tmp_path / "1").signature.stateful
    chance = from_function(lambda x: nn.functional.dropout(x, 0.5))
    found = probed(chance, torch.randn(2, 30), tmp_path / "2")
    assert found.signature.stateful
    assert found.input("input")[0] == "batch"
    assert not probed(nn.Dropout(0.5), torch.randn(2, 30), tmp_path / "3").signature.stateful


def test_a_model_that_works_in_place_leaves_the_samples_alone(tmp_path: Path) -> None:
    x = torch.randn(2, 3)
    found = probed(from_function(lambda x: x.mul_(2)), x.clone(), tmp_path)
    assert not found.signature.stateful
    np.testing.assert_array_equal(found.samples[1]["input"], x[1:])


def test_nan_in_the_sources_answer_is_said(tmp_path: Path) -> None:
    found = probed(from_function(torch.log), torch.tensor([[1.0, -1.0]]), tmp_path)
    assert any("holds NaN for sample 0 (1 of 2)" in note for note in found.signature.notes)


def test_outputs_whose_size_depends_on_the_numbers(tmp_path: Path) -> None:
    samples = [torch.randn(6, 3) for _ in range(4)]
    found = probed(from_function(lambda x: (x[x[:, 0] > 0], x.sum())), samples, tmp_path)
    assert not found.signature.batched
    assert found.output("output_0") == ("output_0_0", 3)


@pytest.mark.parametrize(
    ("model", "samples", "says", "remedy"),
    [
        (nn.Linear(3, 4), torch.randn(2, 3).double(), "refuses sample 0", "float64"),
        (nn.Linear(3, 4), [torch.randn(2, 3), torch.randn(2, 5)], "refuses sample 1", "shapes"),
        (nn.Embedding(5, 2), torch.tensor([[1, 9]]), "refuses sample 0", "too large"),
        (from_function(lambda x: None), torch.randn(2, 3), "returned nothing", "tensors"),
        (from_function(lambda x: "text"), torch.randn(2, 3), "builtins.str", ""),
    ],
)
def test_samples_that_the_model_refuses(
    tmp_path: Path, model: nn.Module, samples: Any, says: str, remedy: str
) -> None:
    with pytest.raises(SamplesError, match=says) as caught:
        probed(model, samples, tmp_path)
    assert remedy in caught.value.remedy


def test_names_are_given(tmp_path: Path) -> None:
    model = from_function(lambda x: (x, x + 1))
    wish = {"input_names": ["a"], "output_names": ["u", "v"]}
    found = probed(model, torch.randn(2, 3), tmp_path / "1", **wish)
    assert [s.name for s in (*found.signature.inputs, *found.signature.outputs)] == ["a", "u", "v"]
    for names, says in ((["u"], "the model gives 2"), (["a", "v"], "an input's name")):
        place = tmp_path / names[0]
        with pytest.raises(SamplesError, match=says):
            probed(model, torch.randn(2, 3), place, input_names=["a"], output_names=names)


def test_an_output_with_an_inputs_name_gets_another(tmp_path: Path) -> None:
    class Same(nn.Module):
        def forward(self, x: Any) -> Any:
            return {"x": x + 1}

    assert probed(Same(), torch.randn(2, 3), tmp_path).output("x_out") == ("batch", 3)


def test_many_samples_are_cut_and_that_is_said(tmp_path: Path) -> None:
    found = probed(nn.Linear(3, 4), torch.randn(300, 3), tmp_path)
    assert len(found.samples) == 256
    assert any("300 samples" in note for note in found.signature.notes)


def test_bfloat16_goes_through(tmp_path: Path) -> None:
    found = probed(nn.Linear(3, 4).bfloat16(), torch.randn(2, 3).bfloat16(), tmp_path)
    assert found.signature.inputs[0].dtype == found.signature.outputs[0].dtype == "bfloat16"
    assert any("as it was given" in note for note in found.captured.notes)


def test_constants_are_given_to_the_model(tmp_path: Path) -> None:
    class Power(nn.Module):
        def forward(self, x: Any, power: int, name: str = "", *, negate: bool = False) -> Any:
            assert name == "n"
            return -(x**power) if negate else x**power

    found = probed(Power(), (torch.rand(2, 3), 3, {"name": "n", "negate": True}), tmp_path)
    assert [s.name for s in found.signature.inputs] == ["x"]


def test_a_callable(tmp_path: Path) -> None:
    def call(x: np.ndarray, table: np.ndarray) -> dict[str, Any]:
        return {"rows": table[x], "total": float(table.sum()), "sizes": (x.size, [x.T])}

    feed = {
        "x": np.array([[1, 0], [2, 2], [0, 1]]),
        "table": np.random.default_rng(0).random((5, 4)),
    }
    found = probed(call, feed, tmp_path)
    assert found.input("x") == ("batch", 2)
    assert found.input("table") == (5, 4)
    assert found.output("rows") == ("batch", 2, 4)
    assert found.output("total") == found.output("sizes.0") == ()
    assert found.output("sizes.1.0") == (2, "batch")


def test_torchscript_and_exported_programs(tmp_path: Path) -> None:
    model = nn.Linear(3, 4).eval()
    torch.jit.script(model).save(str(tmp_path / "a.pt"))
    found = probed(tmp_path / "a.pt", torch.randn(2, 3), tmp_path / "1")
    assert found.output("output") == ("batch", 4)
    fixed = torch.export.export(model, (torch.randn(2, 3),))
    torch.export.save(fixed, tmp_path / "a.pt2")
    found = probed(tmp_path / "a.pt2", torch.randn(2, 3), tmp_path / "2")
    assert found.output("output") == (2, 4)
    dim = ({0: torch.export.Dim("n", min=1, max=64)},)
    free = torch.export.export(model, (torch.randn(2, 3),), dynamic_shapes=dim)
    found = probed(free, torch.randn(2, 3), tmp_path / "3")
    assert found.output("output") == ("batch", 4)


def onnx_sum(shape: list[int | str]) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "abc"]
    node = helper.make_node("Add", ["a", "b"], ["c"])
    return helper.make_model(
        helper.make_graph([node], "sum", values[:2], values[2:]),
        ir_version=10,
        opset_imports=[helper.make_opsetid("", 17)],
    )


def test_onnx(tmp_path: Path) -> None:
    a, b = np.random.default_rng(0).random((2, 6, 3), np.float32)
    found = probed(onnx_sum(["n", "wide"]), {"b": b, "a": a}, tmp_path / "1")
    assert [s.name for s in found.signature.inputs] == ["a", "b"]
    assert found.output("c") == ("batch", 3)
    feeds = [{"a": a, "b": b}, {"a": a[:, :2], "b": b[:, :2]}]
    found = probed(onnx_sum(["n", "wide"]), feeds, tmp_path / "2")
    assert found.output("c") == found.input("a") == ("batch", "wide")
    found = probed(onnx_sum([1, 3]), {"a": a, "b": b}, tmp_path / "3")
    assert found.output("c") == (1, 3)
    assert len(found.samples) == 6
