"""A target that answers a larger batch with something else: seen where it is timed."""

from __future__ import annotations

import numpy as np
import pytest

from navigator_lab.stages.calls import Refused
from navigator_lab.stages.judge import DEFAULTS
from navigator_lab.stages.profile import profile
from navigator_lab.stages.rows import Rows
from navigator_lab.types.request import Load
from navigator_lab.types.target import Precision

DRAW = np.random.default_rng(3)
WEIGHT = DRAW.normal(size=(8, 3)).astype(np.float32)


def linear_map(feeds):
    return {"y": feeds["x"] @ WEIGHT}


def spoilt(change, most):
    """Right up to a batch of ``most``."""

    def run(feeds):
        y = linear_map(feeds)["y"]
        return {"y": change(y) if len(y) > most else y}

    return run


def last_row_is_zero(y):
    return np.concatenate([y[:-1], 0 * y[-1:]])


def first_row_everywhere(y):
    return np.repeat(y[:1], len(y), axis=0)


def nan_at_the_end(y):
    return np.concatenate([y[:-1], np.nan * y[-1:]])


@pytest.mark.parametrize("change", [last_row_is_zero, first_row_everywhere, nan_at_the_end])
@pytest.mark.parametrize("samples", [3, 20])
def test_a_batch_with_other_answers_is_not_timed(bench, linear, change, samples):
    feeds = [{"x": DRAW.normal(size=(1, 8)).astype(np.float32)} for _ in range(samples)]
    timing, _ = bench.do(
        profile,
        model=bench.model(spoilt(change, 4)),
        samples=bench.samples(feeds, linear),
        options=Load(batches=(1, 4, 8), seconds=0.02, min_calls=3),
    )
    seen = [t.batch for t in timing.batches]
    if samples == 3 or change is first_row_everywhere:
        assert seen == [1, 4]
        assert "refuses batch 8" in timing.notes[0]
        assert "is not what the same sample gave" in timing.notes[0]
    else:  # the last row's sample is in no smaller batch, and nowhere else in this one
        assert seen == [1, 4, 8]


def test_rounding_that_differs_from_batch_to_batch_is_none_of_it(linear):
    for precision, scale in (
        (Precision.FP32, 1e-5),
        (Precision.FP16, 1e-3),
        (Precision.INT8, 0.05),
    ):
        rows = Rows(linear, DEFAULTS[precision], 8)
        y = DRAW.normal(size=(8, 3)).astype(np.float32)
        for batch in (1, 2, 4, 8):
            noise = scale * DRAW.normal(size=(batch, 3)).astype(np.float32)
            assert rows.differ({"y": y[:batch] + noise}) == ""


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8_DYNAMIC])
def test_a_row_of_one_number_near_zero_may_be_rounded_like_the_others(sign, precision):
    signature = sign({"x": ("float32", ("batch", 8))}, {"y": ("float32", ("batch", 1))})
    rows = Rows(signature, DEFAULTS[precision], 8)
    y = DRAW.normal(size=(8, 1)).astype(np.float32)
    y[1] = 1e-4
    noise = np.float32(0.005 if precision is Precision.FP16 else 0.05)
    assert rows.differ({"y": y[:2]}) == ""
    assert rows.differ({"y": y[:4] + noise}) == ""


def test_a_model_of_state_may_answer_otherwise(bench, linear):
    import dataclasses

    rows = Rows(dataclasses.replace(linear, stateful=True), DEFAULTS[Precision.FP32], 1)
    assert rows.differ({"y": np.zeros((1, 3), np.float32)}) == ""
    assert rows.differ({"y": np.ones((2, 3), np.float32)}) == ""


def test_the_first_batch_is_held_against_its_own_repeats(bench, linear):
    model = bench.model(spoilt(last_row_is_zero, 1))
    feeds = [{"x": DRAW.normal(size=(1, 8)).astype(np.float32)}]
    with pytest.raises(Refused, match="as row 0"):
        bench.do(
            profile,
            model=model,
            samples=bench.samples(feeds, linear),
            options=Load(batches=(4,), seconds=0.02, min_calls=3),
        )


def test_a_label_may_turn_over_where_two_classes_are_nearly_equal(sign):
    signature = sign({"x": ("float32", ("batch", 8))}, {"label": ("int64", ("batch",))})
    rows = Rows(signature, DEFAULTS[Precision.FP16], 8)
    label = np.arange(16) % 8 % 3
    for batch in (1, 2, 4, 8, 16):
        turned = label[:batch].copy()
        turned[0] += batch > 1
        assert rows.differ({"label": turned}) == ""


def test_labels_that_are_others_altogether_are_refused(sign):
    signature = sign({"x": ("float32", ("batch", 8))}, {"label": ("int64", ("batch",))})
    rows = Rows(signature, DEFAULTS[Precision.FP16], 8)
    label = np.arange(8) + 1
    assert rows.differ({"label": label}) == ""
    assert "most of a batch of 8" in rows.differ({"label": label * 0})
