"""What is kept of a measurement, when it stops, and what it says where it can't be sure.

No time is asserted: only what must hold whatever the clock says.
"""

from __future__ import annotations

import gc
import time

import numpy as np
import pytest

from navigator_lab.stages.calls import Refused
from navigator_lab.stages.profile import profile
from navigator_lab.types.request import Load

QUICK = Load(batches=(1, 2), seconds=0.05, min_calls=5)


def raw(product):
    with np.load(product.path / "latency_ns.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture
def time_it(bench, rows, linear):
    def run(function, load=QUICK, samples=rows, signature=linear):
        return bench.do(
            profile,
            model=bench.model(function),
            samples=bench.samples(samples, signature),
            options=load,
        )

    return run


def test_every_sample_is_kept_and_every_number_is_a_view_of_it(time_it, multiply):
    timing, product = time_it(multiply)
    assert [t.batch for t in timing.batches] == [1, 2]
    kept = raw(product)
    for t in timing.batches:
        series = kept[str(t.batch)]
        assert len(series) == t.calls == kept[f"{t.batch}.rounds"].sum()
        assert t.p50_ms.value == pytest.approx(np.median(series) / 1e6)
        assert t.p99_ms.value == pytest.approx(np.quantile(series, 0.99) / 1e6)
        assert t.p50_ms.low <= t.p50_ms.value <= t.p50_ms.high
        assert t.p50_ms.value <= t.p90_ms <= t.p95_ms <= t.p99_ms.value <= t.p99_ms.high
        assert t.throughput.value == pytest.approx(t.batch / (t.mean_ms / 1e3))
        assert t.throughput.low <= t.throughput.value <= t.throughput.high
        assert (kept[f"{t.batch}.put"] + kept[f"{t.batch}.get"] <= series).all()
        assert t.warmup_calls >= 1
    assert timing.load_ms > 0
    assert timing.host_peak_bytes >= 0
    assert timing.device_peak_bytes == 0
    assert timing.largest_batch == 2
    assert timing.best_batch in (1, 2)


def test_transfers_are_timed_apart(time_it, multiply):
    class Slow:
        def put(self, feeds):
            time.sleep(0.002)
            return feeds

        def run(self, bound):
            return multiply(bound)

        def get(self, raw):
            time.sleep(0.001)
            return raw

    timing, _ = time_it(Slow)
    for t in timing.batches:
        assert t.put_ms >= 2
        assert t.get_ms >= 1
        assert t.p50_ms.value >= t.put_ms + t.get_ms - 0.5


def test_others_have_their_turn_and_rubbish_is_not_collected_meanwhile(bench, time_it, multiply):
    seen = []

    def watching(feeds):
        seen.append(gc.isenabled())
        return multiply(feeds)

    _, product = time_it(watching)
    assert sum(seen) == 2  # the one call that looks at the answer's size, at each batch
    assert len(seen) > 20
    assert gc.isenabled()
    kept = raw(product)
    # The first is asked for when the model is open.
    assert bench.turns == 1 + sum(len(kept[f"{b}.rounds"]) for b in (1, 2))
    assert any(text.startswith("batch 2: p50 ") for text in bench.said)


def test_feeds_take_turns_so_that_no_cache_answers(time_it, multiply):
    seen = {1: set(), 2: set()}

    def watching(feeds):
        seen[len(feeds["x"])].add(feeds["x"].tobytes())
        return multiply(feeds)

    time_it(watching)
    assert {k: len(v) for k, v in seen.items()} == {1: 4, 2: 4}


def test_samples_of_other_shapes_are_not_mixed_in(time_it, sign):
    made = sign({"x": ("float32", ("batch", "n"))}, {"y": ("float32", ("batch",))})
    samples = [{"x": np.ones((1, 3 + i % 2), np.float32)} for i in range(4)]
    seen = set()

    def watching(feeds):
        seen.add(feeds["x"].shape)
        return {"y": feeds["x"].sum(axis=1)}

    time_it(watching, samples=samples, signature=made)
    assert seen == {(1, 3), (2, 3)}


def test_budgets_are_kept(time_it, multiply):
    timing, _ = time_it(multiply, Load(batches=(1,), seconds=5, min_calls=7, max_calls=7))
    assert timing.batches[0].calls == 7
    slow = lambda feeds: (time.sleep(0.03), multiply(feeds))[1]  # noqa: E731
    timing, _ = time_it(slow, Load(batches=(1,), seconds=0.1, min_calls=50))
    one = timing.batches[0]
    assert 3 <= one.calls < 50
    assert not one.stable
    assert "50 were wanted" in one.note


def test_noise_is_reported_and_never_thrown_away(time_it, multiply):
    draw = np.random.default_rng(0)

    def noisy(feeds):
        time.sleep(float(draw.choice([0.0, 0.004])))
        return multiply(feeds)

    load = Load(batches=(1,), seconds=0.15, width=1e-6)
    timing, product = time_it(noisy, load)
    one = timing.batches[0]
    assert not one.stable
    assert "the interval of the median is" in one.note
    assert len(raw(product)["1"]) == one.calls > 0
    assert timing.noise is not None


def test_a_p99_that_was_asked_for_needs_calls_enough(time_it, multiply):
    load = Load(batches=(1,), seconds=5, p99=True, max_calls=50)
    timing, _ = time_it(multiply, load)
    assert "too few to bound the p99" in timing.batches[0].note


def test_doubling_ends_where_it_no_longer_gains(time_it, multiply):
    def linear_time(feeds):
        time.sleep(0.004 * len(feeds["x"]))
        return multiply(feeds)

    timing, _ = time_it(linear_time, Load(max_batch=64, seconds=0.1, min_calls=5))
    assert timing.largest_batch < 64
    assert any("doubling the batch twice gained" in note for note in timing.notes) or any(
        "one call takes longer" in note for note in timing.notes
    )


def test_doubling_goes_to_the_end_while_it_gains(time_it, multiply):
    def constant_time(feeds):
        time.sleep(0.002)
        return multiply(feeds)

    timing, _ = time_it(constant_time, Load(max_batch=20, seconds=0.05, min_calls=5))
    assert [t.batch for t in timing.batches] == [1, 2, 4, 8, 16]
    assert timing.best_batch == 16


def test_a_declared_batch_axis_bounds_it(time_it, multiply, sign):
    made = sign({"x": ("float32", ("batch", 8))}, {"y": ("float32", ("batch", 3))}, most=4)
    constant = lambda feeds: (time.sleep(0.002), multiply(feeds))[1]  # noqa: E731
    timing, _ = time_it(constant, Load(seconds=0.05, min_calls=5), signature=made)
    assert timing.largest_batch == 4
    assert "the batch axis is declared up to 4" in timing.notes


def test_a_refused_batch_is_noted(time_it, multiply):
    def small(feeds):
        if len(feeds["x"]) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        time.sleep(0.001)
        return multiply(feeds)

    timing, _ = time_it(small, Load(seconds=0.05, min_calls=5))
    assert timing.largest_batch == 2
    assert any("refuses batch 4: RuntimeError: CUDA out of memory" in n for n in timing.notes)


def test_given_batches_are_each_tried(time_it, multiply):
    def odd(feeds):
        if len(feeds["x"]) == 2:
            raise ValueError("not two")
        return multiply(feeds)

    timing, _ = time_it(odd, Load(batches=(3, 1, 2), seconds=0.05, min_calls=5))
    assert [t.batch for t in timing.batches] == [1, 3]
    assert timing.notes == ("refuses batch 2: ValueError: not two",)


@pytest.mark.parametrize("batches", [(), (1, 2)])
def test_nothing_measured_is_an_error(time_it, batches):
    def broken(feeds):
        raise RuntimeError("no kernel image")

    with pytest.raises(Refused, match="no kernel image"):
        time_it(broken, Load(batches=batches))


def test_without_a_batch_axis_only_single_calls(time_it, sign):
    plain = sign({"x": ("float32", (8,))}, {"y": ("float32", ())})
    samples = [{"x": np.full(8, i, np.float32)} for i in range(3)]
    timing, _ = time_it(lambda f: {"y": f["x"].sum()}, QUICK, samples, plain)
    assert [t.batch for t in timing.batches] == [1]
    assert "no batch axis" in timing.notes[0]


def test_the_peak_counts_what_the_model_holds(time_it, multiply):
    held = []

    def heavy(feeds):
        if not held:
            held.append(np.ones(64 << 20, np.uint8))
        return multiply(feeds)

    timing, _ = time_it(heavy)
    assert timing.host_peak_bytes > 60 << 20


def test_an_answer_of_another_size_is_no_measurement(time_it, multiply):
    timing, _ = time_it(
        lambda f: (time.sleep(0.001), {"y": multiply(f)["y"][:2]})[1], Load(seconds=0.05)
    )
    assert timing.largest_batch == 2
    assert any("refuses batch 4" in n and "y came out as (2, 3)" in n for n in timing.notes)
