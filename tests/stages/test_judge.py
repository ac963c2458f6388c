"""Any tolerance from what is stored; the sentences; what each precision's default lets pass."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import time

import numpy as np
import pytest

from navigator_lab.errors import RequestError
from navigator_lab.stages.compare import compare
from navigator_lab.stages.judge import DEFAULTS, judge, pass_share
from navigator_lab.types.measure import Accuracy, OutputAccuracy, Tolerance
from navigator_lab.types.target import Precision

DRAW = np.random.default_rng(8)


@pytest.fixture
def accuracy(bench, sign):
    def run(got, reference, name="score", dtype="float32"):
        n = reference[0].shape[1]
        made = sign({"x": ("float32", ("batch", 2))}, {name: (dtype, ("batch", n))})
        samples = bench.samples([{"x": np.zeros((1, 2), np.float32)}], made)
        a, b = ([{name: one} for one in answers] for answers in (got, reference))
        value, _ = bench.do(
            compare, candidate=bench.outputs(a), reference=bench.outputs(b), samples=samples
        )
        return value

    return run


def answers(count=8, n=50, scale=1.0):
    return [(DRAW.normal(size=(1, n)) * scale).astype(np.float32) for _ in range(count)]


def off(reference, error):
    return [(one + error * DRAW.normal(size=one.shape)).astype(np.float32) for one in reference]


def test_the_sentence_says_the_numbers(accuracy):
    wanted = answers(5, 3)
    got = [one.copy() for one in wanted]
    got[3][0, 2] += 0.31
    verdict = judge(accuracy(got, wanted), Tolerance(absolute=0.0756))
    assert not verdict.passed
    assert verdict.reason.startswith(
        "score: |Δ| 0.31 is 4.1 times the tolerance at sample 3, index (0, 2)"
    )
    assert verdict.ratios["score"] == pytest.approx(4.1, rel=1e-2)
    assert verdict.pass_share["score"] == pytest.approx(14 / 15, abs=0.01)
    assert judge(accuracy(got, wanted), Tolerance(absolute=0.32)).passed


def test_verdicts_agree_with_numpy(accuracy):
    for _ in range(30):
        wanted = answers(4, 20, 10.0 ** DRAW.uniform(-3, 3))
        got = off(wanted, 10.0 ** DRAW.uniform(-5, 1))
        stored = accuracy(got, wanted)
        a, b = (np.concatenate(x).astype(np.float64) for x in (got, wanted))
        for _ in range(10):
            limit = Tolerance(*(10.0 ** DRAW.uniform(-4, 1, size=2)), spread=DRAW.uniform(0, 0.1))
            allowed = limit.absolute + limit.relative * np.abs(b) + limit.spread * b.std()
            ratio = (np.abs(a - b) / allowed).max()
            verdict = judge(stored, limit)
            assert verdict.ratios["score"] == pytest.approx(ratio, rel=1e-6)
            assert verdict.passed == (ratio <= 1)
            share = float((np.abs(a - b) <= allowed).mean())
            assert verdict.pass_share["score"] == pytest.approx(share, abs=0.12)
            assert (verdict.pass_share["score"] == 1.0) == verdict.passed


def test_the_estimated_share_is_near_for_many_elements(accuracy):
    wanted = answers(20, 500)
    stored = accuracy(off(wanted, 0.02), wanted).outputs[0]
    a = 0.02
    expected = math.erf(1 / math.sqrt(2))  # one σ of the error
    assert pass_share(stored, Tolerance(absolute=a)) == pytest.approx(expected, abs=0.03)


def test_nothing_allowed(accuracy):
    wanted = answers()
    assert judge(accuracy(wanted, wanted), Tolerance()).passed
    verdict = judge(accuracy(off(wanted, 1e-3), wanted), Tolerance())
    assert not verdict.passed
    assert "where nothing is allowed" in verdict.reason
    assert verdict.ratios["score"] == math.inf


# By precision: an error that it really makes, as a share of the output's size.
REAL = {
    Precision.FP32: 3e-6,
    Precision.TF32: 5e-4,
    Precision.FP16: 1e-3,
    Precision.BF16: 8e-3,
    Precision.INT8: 5e-2,
    Precision.INT8_DYNAMIC: 5e-2,
    Precision.FP8: 5e-2,
    Precision.INT8_WEIGHTS: 1e-2,
    Precision.INT4_WEIGHTS: 5e-2,
}


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e4])
def test_defaults_pass_what_the_precision_does(accuracy, precision, scale):
    wanted = answers(scale=scale)
    got = off(wanted, REAL[precision] * scale)
    verdict = judge(accuracy(got, wanted), DEFAULTS[precision])
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("shift", [0.2, -0.5, 3.0, 1000.0])
def test_a_shifted_output_fails_at_every_precision(accuracy, precision, shift):
    wanted = answers()
    got = [one + np.float32(shift) for one in off(wanted, REAL[precision])]
    verdict = judge(accuracy(got, wanted), DEFAULTS[precision])
    assert not verdict.passed
    assert "Δ" in verdict.reason or "shifted" in verdict.reason


@pytest.mark.parametrize("precision", Precision)
def test_noise_in_place_of_the_signal_fails_though_elements_look_fine(accuracy, precision):
    offset = DRAW.normal(size=(1, 50)).astype(np.float32)
    signal = REAL[precision] * 0.5  # smaller than what the elementwise rule lets through
    wanted = [offset + one for one in answers(scale=signal)]
    got = [offset + one for one in answers(scale=signal)]
    stored = accuracy(got, wanted)
    verdict = judge(stored, DEFAULTS[precision])
    assert verdict.ratios["score"] < 1
    if stored.outputs[0].moved:
        assert not verdict.passed
        assert "of what depends on the input" in verdict.reason


@pytest.mark.parametrize("precision", Precision)
def test_another_models_answers_fail_at_every_precision(accuracy, precision):
    wanted = answers()
    for wrong in (
        answers(),
        [-w for w in wanted],
        [w * 0 for w in wanted],
        [w * 2 for w in wanted],
    ):
        assert not judge(accuracy(wrong, wanted), DEFAULTS[precision]).passed


def test_integers_are_exact_unless_a_tolerance_names_them(accuracy):
    wanted = [np.array([[1, 200, 3]]), np.array([[4, 5, 6]])]
    got = [np.array([[1, 202, 3]]), np.array([[4, 5, 6]])]
    stored = accuracy(got, wanted, "labels", "int64")
    verdict = judge(stored, Tolerance(absolute=100.0))
    assert not verdict.passed
    assert "1 of 6 elements differ" in verdict.reason
    assert "sample 0, index (0, 1)" in verdict.reason
    assert verdict.pass_share["labels"] == pytest.approx(5 / 6)
    assert judge(stored, {"labels": Tolerance(absolute=2.0)}).passed
    assert not judge(stored, {"labels": Tolerance(absolute=1.0)}).passed
    assert judge(accuracy(wanted, wanted, "labels", "int64"), Tolerance()).passed


def test_an_output_of_16_bits_is_not_held_to_more_than_it_can_hold(accuracy):
    wanted = [one.astype(np.float16) for one in answers()]
    got = [np.nextafter(one, np.float16(9)) for one in wanted]  # one unit in the last place
    found = accuracy(got, wanted, dtype="float16")
    assert judge(found, DEFAULTS[Precision.FP32]).passed
    assert not judge(found, Tolerance(1e-5)).passed  # the user's own stays as it is
    noisy = [(one * 1.2).astype(np.float16) for one in wanted]
    assert not judge(accuracy(noisy, wanted, dtype="float16"), DEFAULTS[Precision.FP32]).passed


def test_the_rounding_of_a_constant_output_is_no_shift(accuracy):
    wanted = [np.full((1, 50), 0.02, np.float32) + off(answers(1), 0)[0] * 1e-9 for _ in range(8)]
    got = [one + np.float32(2e-6) for one in wanted]
    assert judge(accuracy(got, wanted), DEFAULTS[Precision.FP32]).passed
    got = [one + np.float32(2e-4) for one in wanted]
    assert not judge(accuracy(got, wanted), DEFAULTS[Precision.FP32]).passed


def test_a_dict_by_output(accuracy):
    wanted = answers()
    stored = accuracy(off(wanted, 0.1), wanted)
    loose, tight = Tolerance(absolute=10), Tolerance(absolute=1e-6)
    assert judge(stored, {"score": loose}).passed
    assert judge(stored, {"": loose}).passed
    assert judge(stored, {}, loose).passed
    assert not judge(stored, {}).passed
    assert not judge(stored, {"score": tight, "": loose}).passed
    with pytest.raises(RequestError, match="did you mean 'score'"):
        judge(stored, {"scores": loose})


def test_a_problem_fails_whatever_is_allowed(accuracy):
    wanted = answers(2)
    got = [one.copy() for one in wanted]
    got[0][0, 0] = np.nan
    verdict = judge(accuracy(got, wanted), Tolerance(absolute=math.inf))
    assert not verdict.passed
    assert "NaN where the reference has" in verdict.reason
    assert verdict.ratios["score"] == math.inf
    assert verdict.pass_share["score"] < 1


def test_what_is_not_proven_is_said(accuracy):
    same = answers(1) * 3
    verdict = judge(accuracy(same, same), DEFAULTS[Precision.INT8])
    assert verdict.passed
    assert "not seen to move score" in verdict.reason


def test_no_outputs_prove_nothing():
    assert not judge(Accuracy(()), Tolerance()).passed


def test_a_hundred_targets_of_twenty_outputs_in_a_tenth_of_a_second(accuracy):
    wanted = answers(8, 2000)
    one = accuracy(off(wanted, 0.05), wanted).outputs[0]
    many = Accuracy(tuple(OutputAccuracy(**{**fields(one), "name": f"o{i}"}) for i in range(20)))
    spent = []
    for _ in range(3):
        started = time.perf_counter()
        assert not any(judge(many, DEFAULTS[Precision.FP32]).passed for _ in range(100))
        spent.append(time.perf_counter() - started)
    print(f"{min(spent) * 1e3:.0f} ms")


def fields(one):
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_judging_loads_no_numpy():
    code = "import navigator_lab.stages.judge, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("what", ["weights", "inputs", "output"])
def test_a_single_rounding_to_16_bits_is_no_fp32(accuracy, what):
    weights = DRAW.normal(size=(64, 50)).astype(np.float32)
    inputs = [DRAW.normal(size=(1, 64)).astype(np.float32) for _ in range(8)]

    def run(silently):
        half = {
            name: np.float16 if name == silently else np.float32
            for name in ("weights", "inputs", "output")
        }
        w = weights.astype(half["weights"]).astype(np.float32)
        made = [x.astype(half["inputs"]).astype(np.float32) @ w for x in inputs]
        return [one.astype(half["output"]).astype(np.float32) for one in made]

    found = accuracy(run(what), run(None))
    assert 70 < found.outputs[0].sqnr_db < 80
    assert not judge(found, DEFAULTS[Precision.FP32]).passed
    assert judge(found, DEFAULTS[Precision.FP16]).passed


def test_no_more_is_asked_than_the_reference_keeps_itself(accuracy):
    wanted = answers(8, 200)
    [one] = accuracy(off(wanted, 2e-4), wanted).outputs
    assert one.sqnr_db == pytest.approx(74, abs=1)
    for own, passes in ((None, False), (math.inf, False), (100.0, False), (84.0, True)):
        found = Accuracy((dataclasses.replace(one, reference_sqnr_db=own),))
        assert judge(found, DEFAULTS[Precision.FP32]).passed == passes
    # A limit that the user gave is the limit.
    found = Accuracy((dataclasses.replace(one, reference_sqnr_db=84.0),))
    assert not judge(found, Tolerance(1e-3, spread=1e-3, sqnr_db=80)).passed
