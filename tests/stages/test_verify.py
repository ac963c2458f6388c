"""The user's own function: both forms, what it may return, and how it fails."""

from __future__ import annotations

import math
import traceback

import numpy as np
import pytest

from navigator_lab.stages.infer import infer
from navigator_lab.stages.verify import (
    MetricError,
    VerifyOptions,
    understood,
    verify,
    write_metric,
)
from navigator_lab.types.outcome import Product


@pytest.fixture
def ask(bench, rows, linear, multiply):
    """verify, with a metric and real answers."""
    model, samples = bench.model(multiply), bench.samples(rows, linear)
    _, reference = bench.do(infer, model=model, samples=samples)
    bad = bench.model(lambda feeds: {"y": multiply(feeds)["y"] + 1000})
    _, shifted = bench.do(infer, model=bad, samples=samples)

    def run(function, *, wrong=False, options=None, **given):
        folder = bench.folder()
        write_metric(folder, function)
        inputs = {
            "model": bad if wrong else model,
            "samples": samples,
            "candidate": shifted if wrong else reference,
            "reference": reference,
        } | given
        inputs = {k: v for k, v in inputs.items() if v is not None}
        return bench.do(verify, options=options, metric=Product("m", folder), **inputs)[0]

    return run


def close(outputs, reference):
    pairs = zip(outputs, reference, strict=True)
    return all(np.allclose(a["y"], b["y"]) for a, b in pairs)


def test_answers_beside_the_reference(ask):
    assert ask(close).passed
    failed = ask(close, wrong=True)
    assert not failed.passed
    assert "says no" in failed.reason


def test_each_sample_once_in_order(ask, rows):
    seen = ask(lambda outputs, reference: {"n": len(outputs), "rank": outputs[0]["y"].ndim})
    assert seen.metrics == {"n": len(rows), "rank": 2}


def test_without_answers_the_target_is_asked(ask):
    assert ask(close, candidate=None).passed
    assert not ask(close, candidate=None, wrong=True).passed


@pytest.mark.parametrize("form", ["auto", "predict"])
def test_predict_over_the_data_set(ask, rows, multiply, form):
    def accuracy(predict, dataset):
        assert len(dataset) == len(rows)
        return sum(np.allclose(predict(f)["y"], multiply(f)["y"]) for f in dataset) / len(dataset)

    assert ask(accuracy, options={"form": form}).metrics == {"value": 1.0}
    least = {"form": form, "at_least": {"value": 0.9}}
    failed = ask(accuracy, wrong=True, options=least)
    assert not failed.passed
    assert failed.reason == "value is 0, at least 0.9 is asked"


def test_the_form_can_be_said(ask):
    assert ask(lambda a, b: {"x": a(b[0])["y"].sum()}, options={"form": "predict"}).passed


def test_an_error_of_the_user_keeps_its_traceback(ask):
    def broken(outputs, reference):
        return outputs[0]["logits"]

    with pytest.raises(MetricError, match=r"KeyError: 'logits' \(in broken, line \d+\)") as caught:
        ask(broken)
    assert 'return outputs[0]["logits"]' in "".join(traceback.format_exception(caught.value))


def test_options_are_hashable_and_read_from_a_dict():
    assert hash(VerifyOptions(at_least={"a": 1})) == hash(VerifyOptions(at_least=(("a", 1.0),)))


@pytest.mark.parametrize(
    "said", [True, np.True_, {"passed": True}, {"passed": np.bool_(1), "a": 2}]
)
def test_passes(said):
    assert understood(said, {}).passed


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (False, "says no"),
        (np.False_, "says no"),
        ({"passed": False, "a": 1.0}, "says no"),
        (math.nan, "value is NaN"),
        (np.float32("nan"), "value is NaN"),
        ({"a": math.nan, "passed": True}, "a is NaN"),
    ],
)
def test_fails(said, reason):
    made = understood(said, {})
    assert not made.passed
    assert reason in made.reason


def test_numbers_are_metrics_of_plain_python():
    assert understood(np.float32(0.5), {}).metrics == {"value": 0.5}
    made = understood({"top1": np.float64(0.75), "n": np.int64(3), "note": "ok"}, {"top1": 0.7})
    assert made.passed
    assert made.metrics == {"top1": 0.75, "n": 3, "note": "ok"}
    assert all(type(v) in (float, int, str) for v in made.metrics.values())
    assert made.reason == "top1 0.75, n 3, note ok"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "returned None"),
        ([True], "returned a list"),
        ({"passed": 1.0}, "'passed' is 1.0"),
        ({"a": [1]}, "metric 'a' is a list"),
    ],
)
def test_what_cannot_be_understood_is_an_error(said, words):
    with pytest.raises(MetricError, match=words):
        understood(said, {})


def test_a_minimum_of_an_unknown_metric_is_an_error():
    with pytest.raises(MetricError, match="asks for 'f1', and the function gave top1"):
        understood({"top1": 1.0}, {"f1": 0.5})
