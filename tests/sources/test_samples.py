"""Samples in every form that users have them, and the bad ones refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from navigator_lab.errors import SamplesError
from navigator_lab.sources import Captured, capture
from navigator_lab.sources.samples import Taken, take
from navigator_lab.types import samples as stored
from navigator_lab.types.codec import decode, encode
from navigator_lab.types.pytree import flatten, inputs_of, unflatten
from navigator_lab.types.raw import Raw


class Takes(nn.Module):
    """Takes two positional inputs, the second optional, and a keyword."""

    def forward(self, x: Any, mask: Any = None, *, scale: float = 1.0) -> Any:
        return x


X = torch.arange(6.0).reshape(2, 3)


@pytest.fixture(scope="module")
def captured() -> Captured:
    return capture(Takes())


def shapes(taken: Taken) -> list[dict[str, tuple[int, ...]]]:
    return [{name: array.shape for name, array in feed.items()} for feed in taken.feeds]


def calls(samples: Any, captured: Captured) -> tuple[list[Any], dict[str, Any]]:
    taken = take(samples, captured)
    return unflatten(taken.signature.call, taken.feeds[0])


def test_a_tensor_an_array_and_a_number_are_one_input(captured: Captured) -> None:
    for one in (X, X.numpy(), X.numpy().T, X.clone().requires_grad_()):
        assert shapes(take(one, captured)) == [{"x": tuple(one.shape)}]
    assert shapes(take(np.float32(3), captured)) == [{"x": ()}]
    assert shapes(take(torch.tensor(3), captured)) == [{"x": ()}]


@pytest.mark.parametrize("dtype", ["int64", "bool", "float64", "uint8", "float16", "bfloat16"])
def test_every_dtype_goes_through_the_file(captured: Captured, dtype: str, tmp_path: Path) -> None:
    given = X.to(getattr(torch, dtype))
    taken = take(given, captured)
    assert taken.signature.inputs[0].dtype == dtype
    taken.write(tmp_path)
    (again,) = stored.read(tmp_path)
    assert again["x"].dtype.name == dtype
    np.testing.assert_array_equal(again["x"].astype(np.float32), given.float().numpy())
    assert decode(Raw, encode(taken.value)) == taken.value


def test_a_tuple_is_positional_and_a_dict_is_by_name(captured: Captured) -> None:
    args, kwargs = calls((X, X + 1), captured)
    assert len(args) == 2
    assert not kwargs
    args, kwargs = calls({"mask": X, "x": X + 1, "scale": 2.0}, captured)
    assert not args
    assert kwargs["scale"] == 2.0
    np.testing.assert_array_equal(kwargs["x"], X + 1)
    args, kwargs = calls((X, {"mask": X}), captured)
    assert len(args) == 1
    assert list(kwargs) == ["mask"]


def test_a_dict_in_a_tuple_is_an_argument_if_its_keys_are_no_parameters(
    captured: Captured,
) -> None:
    args, kwargs = calls((X, {"a": X, "b": [X, (X, 3, "text", None)]}), captured)
    assert not kwargs
    np.testing.assert_array_equal(args[1]["b"][1][0], X)
    assert args[1]["b"][1][1:] == (3, "text", None)
    names = list(take((X, {"a": X, "b": [X, (X, 3)]}), captured).feeds[0])
    assert names == ["x", "mask.a", "mask.b.0", "mask.b.1.0"]
    assert inputs_of(take((X, {"a": X}), captured).signature.call) == ["x", "mask.a"]


def test_lists_iterators_and_loaders_are_several_feeds(captured: Captured) -> None:
    assert len(take([X, X], captured).feeds) == 2
    assert len(take(iter([X, X, X]), captured).feeds) == 3
    assert len(take((x for x in [X]), captured).feeds) == 1
    loader = DataLoader(TensorDataset(torch.ones(10, 3), torch.ones(10, 3)), batch_size=4)
    assert shapes(take(loader, captured)) == [{"x": (n, 3), "mask": (n, 3)} for n in (4, 4, 2)]
    assert shapes(take(TensorDataset(torch.ones(2, 3)), captured)) == [{"x": (3,)}] * 2


def test_a_long_iterator_is_cut_and_says_so(captured: Captured) -> None:
    pulled = []

    def endless() -> Any:
        while True:
            pulled.append(1)
            yield X

    taken = take(endless(), captured, limit=5)
    assert len(taken.feeds) == 5
    assert len(pulled) <= 6
    assert any("first 5" in note for note in taken.signature.notes)
    assert not take([X] * 5, captured, limit=5).signature.notes


def test_npz_and_npy_files(captured: Captured, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", mask=np.ones((2, 4)), x=np.zeros((2, 3)))
    assert shapes(take(tmp_path / "s.npz", captured)) == [{"mask": (2, 4), "x": (2, 3)}]
    np.save(tmp_path / "s.npy", np.zeros((2, 3)))
    assert shapes(take(str(tmp_path / "s.npy"), captured)) == [{"x": (2, 3)}]
    np.savez(tmp_path / "o.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "t.npz").write_bytes((tmp_path / "s.npz").read_bytes()[:100])
    (tmp_path / "e.npz").touch()
    for name, says in (("o", "readable"), ("t", "readable"), ("e", "empty"), ("gone", "no file")):
        with pytest.raises(SamplesError, match=says):
            take(tmp_path / f"{name}.npz", captured)


def test_equal_samples_have_one_fingerprint(captured: Captured) -> None:
    first = take(X, captured).fingerprint
    assert take(X.numpy(), captured).fingerprint == first
    others = [
        take(X + 1, captured).fingerprint,
        take([X, X], captured).fingerprint,
        take(X.double(), captured).fingerprint,
        take(X, captured, batch_axis=0).fingerprint,
        take(X, captured, output_names=["y"]).fingerprint,
        take({"x": X, "scale": 2.0}, captured).fingerprint,
    ]
    assert len({first, *others}) == 7


def test_input_names(captured: Captured) -> None:
    taken = take((X, {"constant": X}), captured, input_names=["a", "b"])
    assert list(taken.feeds[0]) == ["a", "b"]
    args, _ = unflatten(taken.signature.call, taken.feeds[0])
    assert list(args[1]) == ["constant"]


NAN = X.clone()
NAN[1, 2] = float("nan")
BAD = {
    "none": (None, {}, "no samples"),
    "empty list": ([], {}, "empty"),
    "empty iterator": (iter(()), {}, "empty"),
    "zero batch": (X[:0], {}, "is empty"),
    "number": (3, {}, "no samples"),
    "list of numbers": ([1.0, 2.0], {}, "sample 0 is a float"),
    "only constants": ((1.0, 2), {}, "no tensor"),
    "nan": ([X, NAN], {}, r"'x' of sample 1 holds NaN, first at \(1, 2\)"),
    "inf": (X / 0, {}, "holds (NaN|Inf)"),
    "text": (np.array(["a"]), {}, "dtype <U1"),
    "objects": (np.array([None]), {}, "dtype object"),
    "set inside": ((X, {1, 2}), {}, "is a builtins.set"),
    "dtypes differ": ([X, X.double()], {}, "float64, and float32"),
    "ranks differ": ([X, X[0]], {}, "shape"),
    "keys differ": ([{"x": X}, {"x": X, "mask": X}], {}, "differ"),
    "constants differ": ([{"x": X, "scale": 1.0}, {"x": X, "scale": 2.0}], {}, "constants"),
    "unknown name": ({"xs": X}, {}, "has xs, and the model takes x, mask, scale"),
    "too many": ((X, X, X), {}, "takes 2"),
    "too few": ({"mask": X}, {}, "lacks x"),
    "batch out of range": (X, {"batch_axis": 2}, "no axis 2"),
    "batch of an unknown": (X, {"batch_axis": {"y": 0}}, "nothing of that name"),
    "batch word": (X, {"batch_axis": "first"}, "means nothing"),
    "batch disagrees": ((X, X[:1]), {"batch_axis": 0}, "x has 2, mask has 1"),
    "too many names": (X, {"input_names": ["a", "b"]}, "2 names"),
    "one name twice": ((X, X), {"input_names": ["a", "a"]}, "one name"),
    "output twice": (X, {"output_names": ["a", "a"]}, "one name"),
    "axis of an unknown": (X, {"axes": {"y": {1: "seq"}}}, "nothing of that name"),
    "axis unknown": (X, {"axes": {"x": {1: "seq"}, "sq": (1, 2)}}, "nothing of that name"),
    "range backwards": (X, {"axes": {"x": {1: (4, 2)}}}, "isn't 1 <= min"),
    "range of one": (X, {"axes": {"x": {1: (4,)}}}, "is"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_samples_are_refused(captured: Captured, what: str) -> None:
    samples, wishes, says = BAD[what]
    with pytest.raises(SamplesError, match=says) as caught:
        take(samples, captured, **wishes)
    assert caught.value.remedy


def test_a_wrong_name_suggests_the_right_one(captured: Captured) -> None:
    with pytest.raises(SamplesError) as caught:
        take({"x": X, "msk": X}, captured)
    assert "'msk' may be 'mask'" in caught.value.remedy


def test_a_label_in_the_loader_is_told(captured: Captured) -> None:
    one = capture(nn.Linear(3, 1))
    with pytest.raises(SamplesError) as caught:
        take(DataLoader(TensorDataset(X, X)), one)
    assert "label" in caught.value.remedy


def relu(shape: list[int | str]) -> onnx.ModelProto:
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    return helper.make_model(graph)


def test_a_file_says_names_dtypes_and_sizes() -> None:
    free = capture(relu(["n", 3]))
    taken = take({"x": X}, free)
    assert taken.signature.call is None
    assert [(h.input, h.position, h.name) for h in taken.value.hints] == [("x", 0, "n")]
    with pytest.raises(SamplesError, match="has z, and the model takes x"):
        take({"z": X}, free)
    with pytest.raises(SamplesError, match="float64, and the file takes float32"):
        take(X.double(), free)
    with pytest.raises(SamplesError, match="shape"):
        take(X[:, :2], free)
    with pytest.raises(SamplesError, match="names its inputs itself"):
        take(X, free, input_names=["a"])
    with pytest.raises(SamplesError, match="names its outputs itself"):
        take(X, free, output_names=["a"])


def test_samples_are_cut_to_the_batch_that_a_file_fixes() -> None:
    taken = take(torch.ones(6, 3), capture(relu([2, 3])))
    assert shapes(taken) == [{"x": (2, 3)}] * 3
    assert any("fixes its batch at 2" in note for note in taken.signature.notes)
    with pytest.raises(SamplesError, match="shape"):
        take(torch.ones(5, 3), capture(relu([2, 3])))


def test_outputs_are_named_by_their_place() -> None:
    from collections import namedtuple

    pair = namedtuple("pair", "left right")

    def names(answer: Any) -> list[str]:
        return [name for name, _ in flatten(answer, lambda v: isinstance(v, int))]

    assert names(1) == ["output"]
    assert names((1,)) == ["output_0"]
    assert names((1, None, [2, 3])) == ["output_0", "output_2.0", "output_2.1"]
    assert names({"a": 1, "b": {"c": 2}, "d": None}) == ["a", "b.c"]
    assert names(pair(1, (2, 3))) == ["left", "right.0", "right.1"]
    with pytest.raises(TypeError, match="str"):
        names({"a": "text"})
    with pytest.raises(ValueError, match="two outputs"):
        names({"a.b": 1, "a": {"b": 2}})
