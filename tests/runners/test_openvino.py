"""The ov runner: answers are copies, names come from the file where none are known."""

from __future__ import annotations

import numpy as np
import openvino
import pytest

from navigator_lab.errors import ModelError
from navigator_lab.runners.openvino import OvOptions, ov
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Opening, Target
from navigator_lab.types.signature import Signature, TensorSpec


def product(folder):
    op = openvino.opset13
    x = op.parameter([-1, 3], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    double = op.multiply(x, op.constant(np.float32(2)))
    double.output(0).set_names({"double", "twice"})
    total = op.reduce_sum(x, op.constant(np.array([0, 1])), keep_dims=False)
    total.output(0).set_names({"total"})
    made = openvino.Model([double, total], [x])
    openvino.save_model(made, folder / "model.xml", compress_to_fp16=False)
    return Product("x", folder)


def opening(*outputs, **facts):
    specs = tuple(TensorSpec(name, "float32", ()) for name in outputs)
    inputs = (TensorSpec("x", "float32", ("batch", 3)),)
    return Opening(Target.parse("openvino:fp32@ov-cpu"), Signature(inputs, specs), **facts)


def test_answers_are_copies(tmp_path):
    with ov.action.fn(product(tmp_path), opening("twice", "total")) as running:
        first = running.get(running.run(running.put({"x": np.ones((2, 3), np.float32)})))
        kept = first["twice"].copy()
        running.get(running.run(running.put({"x": np.full((2, 3), 7, np.float32)})))
    assert np.array_equal(first["twice"], kept)
    assert first["total"].shape == ()
    assert float(first["total"]) == 6


def test_sizes_may_change_between_calls(tmp_path):
    options = OvOptions(threads=1, hint="THROUGHPUT")
    with ov.action.fn(product(tmp_path), opening("twice", options=options)) as running:
        for size in (1, 4, 2):
            feeds = {"x": np.arange(3 * size, dtype=np.float32).reshape(size, 3)}
            got = running.get(running.run(running.put(feeds)))
            assert np.array_equal(got["twice"], feeds["x"] * 2)


def test_names_come_from_the_file_or_are_missed(tmp_path):
    made = product(tmp_path)
    with ov.action.fn(made, opening()) as running:
        got = running.get(running.run(running.put({"x": np.ones((1, 3), np.float32)})))
    assert len(got) == 2
    assert "total" in got
    with (
        pytest.raises(ModelError, match="no tensor nowhere"),
        ov.action.fn(made, opening("nowhere")),
    ):
        pass
