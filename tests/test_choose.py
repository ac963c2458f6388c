"""Who wins, why, who is next, and why the others are out."""

from __future__ import annotations

import math
import random

import pytest

from navigator_lab.choose import Choice, choose, pareto_front
from navigator_lab.errors import NothingToChoose, RequestError
from navigator_lab.types.run import Row


def batch(size, p50, throughput=None, noise=0.01, **more):
    rate = throughput if throughput is not None else size / p50 * 1e3
    return {
        "batch": size,
        "p50_ms": p50,
        "p50_ms_low": p50 * (1 - noise),
        "p50_ms_high": p50 * (1 + noise),
        "p90_ms": p50 * 1.1,
        "p95_ms": p50 * 1.2,
        "p99_ms": p50 * 1.5,
        "throughput": rate,
        "throughput_low": rate * (1 - noise),
        "throughput_high": rate * (1 + noise),
    } | more


def row(target, *batches, **facts):
    return {
        "target": target,
        "status": "done",
        "passed": True,
        "reason": "",
        "batches": batches,
        "host_peak_bytes": 100 << 20,
        "device_peak_bytes": 0,
        "size_bytes": 10 << 20,
        "metrics": {},
        "worst_ratio": 0.1,
    } | facts


EAGER = row("torch:fp32@eager-cpu", batch(1, 4), batch(8, 24), size_bytes=5 << 20)
ORT = row("onnx:fp32@ort-cpu", batch(1, 2), batch(8, 12), metrics={"top1": 0.98})
INT8 = row(
    "onnx:int8@ort-cpu",
    batch(1, 3),
    batch(8, 6),
    metrics={"top1": 0.91},
    host_peak_bytes=50 << 20,
    worst_ratio=0.9,
)
ROWS = [EAGER, ORT, INT8]


def test_throughput():
    best = choose(ROWS)
    assert isinstance(best, Choice)
    assert (best.target, best.batch, best.objective) == ("onnx:int8@ort-cpu", 8, "throughput")
    assert best.value == pytest.approx(8 / 6 * 1e3)
    assert best.interval.low < best.value < best.interval.high
    assert best.runner_up.target == "onnx:fp32@ort-cpu"
    assert not best.runner_up.within_noise
    assert "most throughput: 1333 samples a second at batch 8" in best.reasons[0]
    assert "50.0% off" in best.reasons[-1]
    assert best.left_out == ()


@pytest.mark.parametrize(
    ("objective", "target", "size", "value"),
    [
        ("latency", "onnx:fp32@ort-cpu", 1, 2),
        ("memory", "onnx:int8@ort-cpu", 1, 50 << 20),
        ("size", "torch:fp32@eager-cpu", 1, 5 << 20),
        ("throughput", "onnx:int8@ort-cpu", 8, 8000 / 6),
    ],
)
def test_objectives(objective, target, size, value):
    best = choose(ROWS, objective)
    assert (best.target, best.batch, best.value) == (target, size, value)


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (("MaxThroughputStrategy", "max_throughput", "max-throughput"), "onnx:int8@ort-cpu"),
        (("MinLatencyStrategy", "min_latency_strategy", "min-latency"), "onnx:fp32@ort-cpu"),
        (
            ("MaxThroughputWithLatencyBudgetStrategy", "max-throughput-with-latency-budget"),
            "onnx:fp32@ort-cpu",
        ),
    ],
)
def test_the_predecessors_names(names, target):
    for name in names:
        given = {"latency_budget": 2.5} if "udget" in name else {}
        assert choose(ROWS, name, **given).target == target


def test_a_budget_is_needed():
    with pytest.raises(RequestError, match="latency_budget"):
        choose(ROWS, "MaxThroughputWithLatencyBudgetStrategy")


def test_best_in_both_only_if_one_is():
    name = "MaxThroughputAndMinLatencyStrategy"
    with pytest.raises(NothingToChoose, match=r"int8@ort-cpu has the most throughput, onnx:fp32"):
        choose(ROWS, name)
    assert choose([EAGER, ORT], name).target == "onnx:fp32@ort-cpu"
    close = row("a:fp32@x-cpu", batch(1, 2.01), batch(8, 5))
    assert choose([ORT, close], name).target == "a:fp32@x-cpu"  # within noise of the quickest


@pytest.mark.parametrize(
    "given",
    [
        {"target": "torch:fp32@eager-cpu"},
        {"model_key": "torch", "runner_name": "eager"},
        {"model_key": "torch:fp32", "runner_name": "eager-cpu"},
        {"model_key": "torch-fp32"},
    ],
)
def test_selected_by_name(given):
    best = choose(ROWS, "SelectedRuntimeStrategy", **given)
    assert (best.target, best.batch) == ("torch:fp32@eager-cpu", 8)


def test_selecting_what_is_not_there_or_not_good():
    with pytest.raises(RequestError, match="did you mean 'torch:fp32@eager-cpu'"):
        choose(ROWS, "selected_runtime", target="torch:fp32@eager")
    with pytest.raises(RequestError, match="needs a name"):
        choose(ROWS, "selected_runtime")
    bad = ORT | {"passed": False, "within_tolerance": False, "reason": "score: |Δ| 3"}
    with pytest.raises(NothingToChoose, match=r"not within the tolerance: score: \|Δ\| 3"):
        choose([EAGER, bad], "selected_runtime", model_key="onnx")


def test_the_first_objective_that_yields_counts():
    best = choose(ROWS, ["MaxThroughputAndMinLatencyStrategy", "MinLatencyStrategy"])
    assert best.target == "onnx:fp32@ort-cpu"
    assert any("has the most throughput, onnx:fp32" in reason for reason in best.reasons)
    with pytest.raises(NothingToChoose, match=r"max_throughput_and.*latency with p50_ms <= 1"):
        choose([EAGER], ["max_throughput_and_min_latency", "latency"], p50_ms=1)
    with pytest.raises(RequestError, match="no objective"):
        choose(ROWS, [])


def test_a_callable():
    best = choose(ROWS, lambda r: -r["batches"][0]["p50_ms"])
    assert best.target == "onnx:fp32@ort-cpu"
    assert best.value == -2

    def accuracy(r):
        return r["metrics"].get("top1")

    best = choose(ROWS, accuracy)
    assert best.target == "onnx:fp32@ort-cpu"
    assert best.objective == "accuracy"
    assert best.left_out == (("torch:fp32@eager-cpu", "the objective gives it None"),)


def test_a_callable_that_raises_names_its_row():
    def broken(r):
        return r["metrics"]["top1"]

    with pytest.raises(RequestError, match=r"KeyError: 'top1' on the row of torch:fp32@eager-cpu"):
        choose(ROWS, broken)


def test_a_callable_gets_the_row_as_it_was_given():
    rows = [Row("a:fp32@x-cpu", "a", "fp32", "x", "cpu", "done", passed=True, sqnr_db=3.0)]
    best = choose(rows, lambda r: r.sqnr_db)
    assert (best.target, best.batch, best.value) == ("a:fp32@x-cpu", None, 3.0)


@pytest.mark.parametrize(
    ("limits", "target", "size"),
    [
        ({"p50_ms": 5}, "onnx:fp32@ort-cpu", 1),
        ({"p99_ms": 10}, "onnx:int8@ort-cpu", 8),
        ({"p95_ms": 7}, "onnx:fp32@ort-cpu", 1),
        ({"error": 0.5}, "onnx:fp32@ort-cpu", 8),
        ({"memory_bytes": 60 << 20}, "onnx:int8@ort-cpu", 8),
        ({"size_bytes": 6 << 20}, "torch:fp32@eager-cpu", 8),
        ({"min_throughput": 1000}, "onnx:int8@ort-cpu", 8),
        ({"batch": 1}, "onnx:fp32@ort-cpu", 1),
        ({"top1": 0.95}, "onnx:fp32@ort-cpu", 8),
        ({"formats": ["torch"]}, "torch:fp32@eager-cpu", 8),
        ({"runners": ["eager"]}, "torch:fp32@eager-cpu", 8),
        ({"targets": ["onnx:fp32@ort-cpu"]}, "onnx:fp32@ort-cpu", 8),
    ],
)
def test_limits(limits, target, size):
    best = choose(ROWS, **limits)
    assert (best.target, best.batch) == (target, size)


def test_a_limit_that_is_kept_is_said_and_one_that_is_missed_has_its_distance():
    best = choose(ROWS, p50_ms=2.5)
    assert "keeps p50_ms <= 2.5: 2" in best.reasons
    assert dict(best.left_out) == {
        "torch:fp32@eager-cpu": "misses p50_ms <= 2.5 by 60.0% (4 at batch 1)",
        "onnx:int8@ort-cpu": "misses p50_ms <= 2.5 by 20.0% (3 at batch 1)",
    }


def test_nothing_left_lists_the_nearest_misses_first():
    with pytest.raises(NothingToChoose) as caught:
        choose(ROWS, p50_ms=1)
    lines = caught.value.message.splitlines()
    assert lines[0] == "throughput with p50_ms <= 1: nothing to choose"
    assert [line.split(": misses")[0].strip() for line in lines[1:]] == [
        "onnx:fp32@ort-cpu",
        "onnx:int8@ort-cpu",
        "torch:fp32@eager-cpu",
    ]
    assert "by 100.0% (2 at batch 1)" in lines[1]
    assert caught.value.remedy == "onnx:fp32@ort-cpu is nearest: widen the limit that it misses"
    with pytest.raises(NothingToChoose, match="there are no targets"):
        choose([])


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"status": "failed", "reason": "it crashed"}, "failed: it crashed"),
        ({"status": "skipped", "reason": "no GPU"}, "skipped: no GPU"),
        ({"status": "cancelled"}, "cancelled"),
        ({"passed": False, "reason": "x"}, "it did not pass: x"),
        ({"passed": False, "within_tolerance": False}, "it is not within the tolerance"),
        ({"passed": False, "verified": False}, "it failed the verification"),
        ({"passed": None}, "it was never compared with the reference: run it until correctness"),
        ({"batches": ()}, "it was not profiled: run it until profile"),
    ],
)
def test_what_is_not_good_is_never_chosen_and_named(facts, why):
    bad = row("a:fp32@fast-cpu", batch(1, 0.001)) | facts
    for objective in ("throughput", "latency"):
        best = choose([ORT, bad], objective)
        assert best.target == "onnx:fp32@ort-cpu"
        assert best.left_out == (("a:fp32@fast-cpu", why),)
        with pytest.raises(NothingToChoose, match="a:fp32@fast-cpu"):
            choose([bad], objective)
    assert pareto_front([bad]) == []


def test_what_was_not_measured_keeps_no_limit():
    unknown = row("a:fp32@x-cpu", batch(1, 1), host_peak_bytes=None, worst_ratio=math.nan)
    with pytest.raises(NothingToChoose, match=r"memory_bytes <= 1e\+09 can't be told"):
        choose([unknown], memory_bytes=1e9)
    with pytest.raises(NothingToChoose, match="error <= 1 can't be told"):
        choose([unknown], error=1)


def test_memory_is_the_devices_on_a_gpu():
    gpu = row("onnx:fp32@ort-cuda:0", batch(1, 1), host_peak_bytes=1, device_peak_bytes=1 << 40)
    assert choose([gpu, ORT], "memory").target == "onnx:fp32@ort-cpu"


def test_within_noise_is_said():
    twin = row("a:fp32@x-cpu", batch(8, 6.05, noise=0.02))
    best = choose([INT8, twin])
    assert best.target == "onnx:int8@ort-cpu"
    assert best.runner_up.target == "a:fp32@x-cpu"
    assert best.runner_up.within_noise
    assert "within noise" in best.reasons[-1]


def test_the_order_of_rows_changes_nothing():
    twins = [row(f"{name}:fp32@x-cpu", batch(1, 1), batch(2, 2)) for name in "dcba"]
    rng = random.Random(0)
    for _ in range(10):
        rng.shuffle(twins)
        best = choose(twins)
        assert (best.target, best.batch, best.runner_up.target) == (
            "a:fp32@x-cpu",
            1,
            "b:fp32@x-cpu",
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"objective": "througput"}, "did you mean 'throughput'"),
        ({"formats": ["onxx"]}, "did you mean 'onnx'"),
        ({"runners": ["orf"]}, "did you mean 'ort'"),
        ({"targets": ["onnx:fp32@ort"]}, "did you mean 'onnx:fp32@ort-cpu'"),
        ({"p99": 3}, "did you mean 'p99_ms'"),
        ({"top": 0.5}, "did you mean 'top1'"),
    ],
)
def test_names_that_mean_nothing(given, words):
    with pytest.raises(RequestError, match=words):
        choose(ROWS, **given)


def test_the_front():
    assert pareto_front(ROWS) == [("onnx:fp32@ort-cpu", 1), ("onnx:int8@ort-cpu", 8)]
    assert pareto_front(ROWS, "host_peak_bytes", "p50_ms") == [
        ("onnx:int8@ort-cpu", 1),
        ("onnx:fp32@ort-cpu", 1),
    ]
    assert pareto_front(ROWS, "p50_ms", "top1") == [("onnx:fp32@ort-cpu", 1)]
    assert pareto_front([]) == []


def test_the_front_is_what_no_other_beats_in_both():
    rng = random.Random(4)
    for _ in range(50):
        rows = [
            row(
                f"f{i}:fp32@x-cpu",
                *(batch(b, rng.randint(1, 9), rng.randint(1, 9)) for b in (1, 2)),
            )
            for i in range(8)
        ]
        points = [
            (r["target"], b["batch"], b["p50_ms"], b["throughput"])
            for r in rows
            for b in r["batches"]
        ]
        expected = {
            (t, b)
            for t, b, x, y in points
            if not any((u <= x and v >= y) and (u < x or v > y) for _, _, u, v in points)
        }
        front = pareto_front(rows)
        assert set(front) == expected
        assert len(front) == len(expected)
        xs = {(t, b): x for t, b, x, _ in points}
        assert [xs[p] for p in front] == sorted(xs[p] for p in front)
