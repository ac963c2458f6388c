"""Every sample alone, then in batches; a refusal says where; state is noticed."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from navigator_lab.stages.calls import Refused
from navigator_lab.stages.infer import infer
from navigator_lab.types.samples import Case


def read(product, case, name="y"):
    with np.load(product.path / "outputs.npz") as file:
        return file[f"{case}/{name}"]


def test_each_sample_alone_then_all_in_batches(bench, rows, linear, multiply):
    value, product = bench.do(
        infer, model=bench.model(multiply), samples=bench.samples(rows, linear)
    )
    assert value.cases[:6] == tuple(Case((i,)) for i in range(6))
    assert [c.batch for c in value.cases[6:]] == [4, 4]
    assert value.names == ("y",)
    assert value.dtypes == {"y": "float32"}
    assert not value.stateful
    assert value.notes == ()
    for i, case in enumerate(value.cases):
        wanted = np.concatenate([multiply(rows[j])["y"] for j in case.indices])
        np.testing.assert_allclose(read(product, i), wanted, rtol=1e-5)


def test_same_answers_are_the_same_bytes(bench, rows, linear, multiply):
    model, samples = bench.model(multiply), bench.samples(rows, linear)
    _, one = bench.do(infer, model=model, samples=samples)
    _, two = bench.do(infer, model=model, samples=samples)
    assert (one.path / "outputs.npz").read_bytes() == (two.path / "outputs.npz").read_bytes()


def test_the_runner_is_told_of_the_reference(bench, rows, linear, multiply):
    model, samples = bench.model(multiply), bench.samples(rows, linear)
    bench.do(infer, model=model, samples=samples, options={"reference": True, "batch": 2})
    assert bench.opened[0].reference
    assert bench.opened[0].signature == linear


def test_a_buffer_that_is_used_again_is_copied_at_once(bench, rows, linear, multiply):
    buffers = {}

    def reusing(feeds):
        made = multiply(feeds)["y"]
        buffer = buffers.setdefault(made.shape, np.zeros_like(made))
        buffer[:] = made
        return {"y": buffer}

    value, product = bench.do(
        infer, model=bench.model(reusing), samples=bench.samples(rows, linear)
    )
    assert not value.stateful
    np.testing.assert_allclose(read(product, 0), multiply(rows[0])["y"], rtol=1e-6)


def test_a_model_that_works_in_place_does_not_change_the_samples(bench, rows, linear, multiply):
    def in_place(feeds):
        made = multiply(feeds)
        feeds["x"] *= 0
        return made

    value, product = bench.do(
        infer, model=bench.model(in_place), samples=bench.samples(rows, linear)
    )
    assert not value.stateful
    assert np.abs(read(product, 6)).min() > 0


def test_a_fixed_batch_is_told_from_a_broken_model(bench, rows, linear, multiply):
    def fixed(feeds):
        if len(feeds["x"]) != 1:
            raise ValueError("Got invalid dimensions for input: x index: 0 Got: 4 Expected: 1")
        return multiply(feeds)

    with pytest.raises(Refused, match=r"runs at batch 1, fails at batch 4") as caught:
        bench.do(infer, model=bench.model(fixed), samples=bench.samples(rows, linear))
    assert "Got: 4 Expected: 1" in caught.value.message
    assert "x (4, 8)" in caught.value.message
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_refused_sample_is_named(bench, rows, linear, multiply):
    rows[3]["x"][0, 0] = 77

    def picky(feeds):
        if feeds["x"].max() == 77:
            raise RuntimeError("index out of range")
        return multiply(feeds)

    with pytest.raises(Refused, match=r"sample 3.*took others before.*index out of range"):
        bench.do(infer, model=bench.model(picky), samples=bench.samples(rows, linear))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "lacks y"),
        ({"Y": np.zeros(3)}, "lacks y and has Y"),
        ({"y": np.zeros(3), "z": np.zeros(3)}, "has z, which the source doesn't"),
        ([np.zeros(3)], "gave a list"),
    ],
)
def test_wrong_names_are_an_error(bench, rows, linear, answer, said):
    with pytest.raises(Refused, match=said):
        bench.do(
            infer, model=bench.model(lambda feeds: answer), samples=bench.samples(rows, linear)
        )


def test_without_known_outputs_the_first_answer_says_them(bench, rows, sign, multiply):
    unknown = sign({"x": ("float32", ("batch", 8))}, {})
    value, _ = bench.do(infer, model=bench.model(multiply), samples=bench.samples(rows, unknown))
    assert value.names == ("y",)


def test_state_is_noticed(bench, rows, linear, multiply):
    class Counting:
        def __init__(self):
            self.calls = 0

        def __call__(self, feeds):
            self.calls += 1
            return {"y": multiply(feeds)["y"] + self.calls}

    value, _ = bench.do(infer, model=bench.model(Counting), samples=bench.samples(rows, linear))
    assert value.stateful
    assert "another answer" in value.notes[0]
    assert "y by up to 8" in value.notes[0]  # eight cases lie between the two calls


def test_rounding_that_varies_is_no_state(bench, rows, linear, multiply):
    draw = np.random.default_rng(3)

    def wobbly(feeds):
        made = multiply(feeds)["y"]
        return {"y": (made * (1 + 1e-6 * draw.normal(size=made.shape))).astype(np.float32)}

    value, _ = bench.do(infer, model=bench.model(wobbly), samples=bench.samples(rows, linear))
    assert not value.stateful


def test_nan_is_equal_to_itself(bench, rows, linear, multiply):
    value, _ = bench.do(
        infer,
        model=bench.model(lambda feeds: {"y": multiply(feeds)["y"] * np.float32("nan")}),
        samples=bench.samples(rows, linear),
    )
    assert not value.stateful


def test_types_that_numpy_lacks_keep_their_name(bench, rows, linear, multiply):
    def half(feeds):
        return {"y": multiply(feeds)["y"].astype(ml_dtypes.bfloat16)}

    value, product = bench.do(infer, model=bench.model(half), samples=bench.samples(rows, linear))
    assert value.dtypes == {"y": "bfloat16"}
    assert read(product, 0).dtype == np.float32
    np.testing.assert_array_equal(read(product, 0), half(rows[0])["y"].astype(np.float32))


def test_a_model_without_a_batch_axis_has_single_calls(bench, sign):
    plain = sign({"x": ("float32", (8,))}, {"y": ("float32", ())})
    value, product = bench.do(
        infer,
        model=bench.model(lambda feeds: {"y": feeds["x"].sum()}),
        samples=bench.samples([{"x": np.arange(8, dtype=np.float32)}] * 2, plain),
    )
    assert [c.batch for c in value.cases] == [1, 1]
    assert read(product, 0).shape == ()
    assert read(product, 0) == 28
