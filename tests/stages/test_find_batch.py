"""The largest batch that runs, found exactly; refusals in the runtime's own words."""

from __future__ import annotations

import time

import numpy as np
import pytest

from navigator_lab.stages.calls import Refused
from navigator_lab.stages.find_batch import _best, find_batch

QUICK = {"seconds": 0.01, "calls": 3}


@pytest.fixture
def find(bench, rows, sign):
    def run(function, most=4096, signature=None, samples=rows, **options):
        made = signature or sign(
            {"x": ("float32", ("batch", 8))}, {"y": ("float32", ("batch", 3))}, most=most
        )
        model, given = bench.model(function), bench.samples(samples, made)
        return bench.do(find_batch, model=model, samples=given, options={**QUICK, **options})[0]

    return run


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100, 127])
def test_the_largest_that_fits_is_found_exactly(find, multiply, limit):
    def small(feeds):
        if len(feeds["x"]) > limit:
            raise MemoryError(f"bad_alloc at {len(feeds['x'])}")
        return multiply(feeds)

    found = find(small)
    assert found.largest == limit
    assert found.refused == limit + 1
    assert f"batch {limit + 1} is refused: MemoryError: bad_alloc" in found.reason
    assert [b for b, _ in found.tried] == sorted({b for b, _ in found.tried})
    assert found.tried[-1][0] == limit


@pytest.mark.parametrize("most", [1, 5, 8])
def test_options_and_the_declared_axis_bound_it(find, multiply, most):
    found = find(multiply, max_batch=most)
    assert (found.largest, found.refused, found.reason) == (most, None, f"max_batch={most}")
    found = find(multiply, most=most)
    assert (found.largest, found.reason) == (most, f"the batch axis is declared up to {most}")


def test_an_answer_of_another_size_is_a_refusal(find, multiply):
    found = find(lambda feeds: {"y": multiply(feeds)["y"][:4]})
    assert found.largest == 4
    assert "y came out as (4, 3) for x (5, 8)" in found.reason


def test_what_still_gains(find, multiply):
    def saturating(feeds):
        time.sleep(0.002 * max(1, len(feeds["x"]) / 4))
        return multiply(feeds)

    assert find(saturating, max_batch=32, gain=0.3).best == 4


def test_gain_is_asked_in_proportion_to_the_step():
    assert _best({1: 100.0, 2: 104.0, 4: 107.0}, 0.05) == 4
    assert _best({1: 100.0, 2: 104.0, 4: 104.0}, 0.05) == 1
    assert _best({1: 100.0, 2: 190.0, 3: 200.0, 4: 195.0}, 0.05) == 3


def test_a_model_that_runs_at_no_batch_is_an_error(find):
    def broken(feeds):
        raise RuntimeError("no kernel")

    with pytest.raises(Refused, match="refuses batch 1: RuntimeError: no kernel"):
        find(broken)


def test_without_a_batch_axis(find, sign):
    plain = sign({"x": ("float32", (8,))}, {"y": ("float32", ())})
    samples = [{"x": np.ones(8, np.float32)}]
    found = find(lambda f: {"y": f["x"].sum()}, signature=plain, samples=samples)
    assert (found.largest, found.best, found.reason) == (1, 1, "the model has no batch axis")
