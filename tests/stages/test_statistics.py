"""Intervals that hold what they promise, on series whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from navigator_lab.stages import statistics

DRAW = np.random.default_rng(11)


def correlated(n, rho):
    steps = DRAW.normal(size=n) * np.sqrt(1 - rho * rho)
    made = np.empty(n)
    made[0] = DRAW.normal()
    for i in range(1, n):
        made[i] = rho * made[i - 1] + steps[i]
    return made


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_a_known_process(rho):
    found = np.mean([statistics.autocorrelation_time(correlated(4000, rho)) for _ in range(10)])
    assert found == pytest.approx((1 + rho) / (1 - rho), rel=0.25)


@pytest.mark.parametrize("rho", [0.0, 0.8])
@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantiles_are_inside_their_interval_19_times_of_20(rho, q):
    truth = {0.5: 0.0, 0.9: 1.2815515655446004}[q]
    hits = 0
    for _ in range(300):
        found = statistics.quantile(correlated(400, rho), q)
        hits += found.low <= truth <= found.high
    assert hits >= 0.88 * 300


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_means_are_inside_their_interval(rho):
    hits = sum((m := statistics.mean(correlated(400, rho))).low <= 0 <= m.high for _ in range(300))
    assert hits >= 0.88 * 300


def test_intervals_are_no_wider_than_they_need_be():
    width = np.mean([(m := statistics.mean(DRAW.normal(size=400))).high - m.low for _ in range(50)])
    assert width == pytest.approx(2 * 1.96 / 20, rel=0.25)


def test_a_constant_has_an_interval_of_no_width():
    found = statistics.quantile(np.full(30, 7.0), 0.5)
    assert (found.low, found.value, found.high) == (7, 7, 7)
    assert statistics.width(found) == 0
    assert statistics.autocorrelation_time(np.full(30, 7.0)) == 1


def test_few_calls_bound_no_p99():
    assert not statistics.bounded(DRAW.normal(size=100), 0.99)
    assert statistics.bounded(DRAW.normal(size=3000), 0.99)
    assert not statistics.bounded([1.0, 2.0], 0.5)


def test_warm_up_is_over_when_latency_no_longer_falls():
    falling = list(np.linspace(10, 5, 30))
    flat = [5.0] * 30
    assert not statistics.settled(falling, 10)
    assert not statistics.settled(flat[:20], 10)
    assert statistics.settled(flat, 10)
    assert statistics.settled(falling + flat, 10)
    assert not statistics.settled(falling + flat[:10], 10)
    assert statistics.settled([*flat[:-1], 50.0], 10)  # one slow call is no trend


def test_two_halves_of_the_same_differ_by_noise():
    same = np.full(100, 5.0)
    assert statistics.noise(same, [10] * 10) == 0
    other = np.tile(np.repeat([5.0, 6.0], 10), 5)
    assert statistics.noise(other, [10] * 10) == pytest.approx(0.2)
    assert statistics.noise(same[:4], [4]) is None
    assert statistics.noise(np.repeat([5.0, 6.0], 25)[:40], [40]) is not None


def test_throughput_counts_slow_calls():
    found = statistics.throughput(np.array([1e6] * 9 + [11e6]), 4)
    assert found.value == pytest.approx(4 / 2e-3)
    assert found.low < found.value < found.high
