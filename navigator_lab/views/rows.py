"""A target of a run as a row. Pure: nothing is run, and a tolerance is judged here, on the spot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..types.measure import Accuracy, BatchTiming, Timing, Verdict, Verification
from ..types.outcome import Cancelled, Done, Failed, Outcome, Skipped
from ..types.plugin import Unavailable
from ..types.run import Row, TargetRun
from ..types.target import Target

Judge = Callable[[Target, Accuracy], Verdict]


def row(one: TargetRun, judge: Judge) -> Row:
    """One target."""
    target = one.target
    facts: dict[str, Any] = {
        "target": str(target),
        "format": target.format,
        "precision": str(target.precision),
        "runner": target.runner,
        "device": str(target.device),
    }
    if one.unavailable is not None:
        return Row(**facts, **_unavailable(one, one.unavailable))
    facts |= _status(one)
    facts |= _files(one)
    facts |= _accuracy(one, judge)
    facts["notes"] = _notes(one)
    facts |= _verification(one)
    judged = [v for v in (facts["within_tolerance"], facts["verified"]) if v is not None]
    facts["passed"] = all(judged) if judged else None
    facts |= _timing(one)
    said = facts.pop("said")
    if facts["status"] == "done" and facts["passed"] is False:
        facts["reason"] = "; ".join([*said, *filter(None, [facts.get("reason", "")])])
        facts["remedy"] = _remedy(target, facts)
    return Row(**facts)


def _unavailable(one: TargetRun, why: Unavailable) -> dict[str, Any]:
    """What can't run here: why, and what was built of it for where it can."""
    if not one.steps:
        return {"status": "skipped", "reason": why.reason, "remedy": why.remedy}
    built = _status(one)
    if built["status"] != "done":
        return built
    made = one.steps[-1].outcome
    value = made.product.value if isinstance(made, Done) else None
    where = value.get("built_for", "") if isinstance(value, dict) else ""
    said = f"built{f' for {where}' if where else ''}, not run: {why.reason}"
    return built | _files(one) | {"status": "skipped", "reason": said, "remedy": why.remedy}


def status(outcome: Outcome) -> str:
    """An outcome in one word."""
    match outcome:
        case Done():
            return "done"
        case Failed():
            return "failed"
        case Skipped():
            return "skipped"
        case Cancelled():
            return "cancelled"


def _status(one: TargetRun) -> dict[str, Any]:
    stages: dict[str, str] = {}
    for step in one.steps:
        stages[step.stage] = status(step.outcome)
    found: dict[str, Any] = {
        "status": "done",
        "stages": stages,
        "steps_run": sum(1 for s in one.steps if s.ran),
        "steps_cached": sum(1 for s in one.steps if isinstance(s.outcome, Done) and not s.ran),
        "seconds": sum(
            s.outcome.seconds for s in one.steps if isinstance(s.outcome, Done | Failed)
        ),
    }
    # What went wrong first is what went wrong; what hangs on it only repeats it.
    for kind, word in ((Cancelled, "cancelled"), (Failed, "failed"), (Skipped, "skipped")):
        for step in one.steps:
            if isinstance(step.outcome, kind):
                return found | {"status": word, **_reason(step.label, step.outcome)}
    return found


def _reason(label: str, outcome: Outcome) -> dict[str, str]:
    match outcome:
        case Failed(failure, _, recalled):
            when = " (failed last time with the same facts; retry_failed=True runs it again)"
            return {
                "reason": f"{label}: {failure.message}{when if recalled else ''}",
                "remedy": failure.remedy,
            }
        case Skipped(reason, remedy) | Cancelled(reason, remedy):
            return {"reason": reason, "remedy": remedy}
    return {}


def _files(one: TargetRun) -> dict[str, Any]:
    for step in reversed(one.steps):
        # What was built on the way to it is not it.
        if step.label.startswith("build ") and step.label != f"build {one.target.variant}":
            continue
        if step.stage in ("export", "convert") and isinstance(step.outcome, Done):
            product = step.outcome.product
            return {
                "files": tuple(str(product.path / name) for name in product.files),
                "size_bytes": product.size_bytes,
            }
    return {}


def _notes(one: TargetRun) -> tuple[str, ...]:
    """What the edge that built it says of what it made: nodes that it left alone, and why."""
    for step in one.steps:
        if step.label == f"build {one.target.variant}" and isinstance(step.outcome, Done):
            value = step.outcome.product.value
            return tuple(value.get("notes", ())) if isinstance(value, dict) else ()
    return ()


def _accuracy(one: TargetRun, judge: Judge) -> dict[str, Any]:
    outcome = one.outcome("correctness")
    found: dict[str, Any] = {"within_tolerance": None, "said": []}
    if not isinstance(outcome, Done):
        return found
    accuracy = outcome.product.read(Accuracy)
    verdict = judge(one.target, accuracy)
    ratios = {k: v for k, v in verdict.ratios.items() if v == v}  # not NaN
    # Beside a NaN or a wrong shape, a signal that was measured on the rest would mislead.
    signal = [o.sqnr_db for o in accuracy.outputs if o.sqnr_db is not None and not o.problem]
    agreed = [o.top1_agreement for o in accuracy.outputs if o.top1_agreement is not None]
    return found | {
        "within_tolerance": verdict.passed,
        "said": [] if verdict.passed else [verdict.reason],
        "worst_ratio": max(ratios.values(), default=None),
        "ratios": ratios,
        "sqnr_db": min(signal, default=None),
        "top1_agreement": min(agreed, default=None),
        "warnings": accuracy.warnings,
    }


def _verification(one: TargetRun) -> dict[str, Any]:
    outcome = one.outcome("verify")
    if not isinstance(outcome, Done):
        return {"verified": None}
    found = outcome.product.read(Verification)
    made: dict[str, Any] = {"verified": found.passed, "metrics": found.metrics}
    if not found.passed:
        made["reason"] = found.reason or "the verification failed"
    return made


def _timing(one: TargetRun) -> dict[str, Any]:
    outcome = one.outcome("profile")
    if not isinstance(outcome, Done):
        return {}
    timing = outcome.product.read(Timing)
    return {
        "p50_ms": {b.batch: b.p50_ms.value for b in timing.batches},
        "p99_ms": {b.batch: b.p99_ms.value for b in timing.batches},
        "throughput": {b.batch: b.throughput.value for b in timing.batches},
        "batches": tuple(_batch(b) for b in timing.batches),
        "load_ms": timing.load_ms,
        "host_peak_bytes": timing.host_peak_bytes,
        "device_peak_bytes": timing.device_peak_bytes,
    }


def _remedy(target: Target, facts: dict[str, Any]) -> str:
    """What can be done about an answer that is not right."""
    if facts["within_tolerance"] is False:
        if any("keeps state" in w or "random" in w for w in facts.get("warnings", ())):
            return (
                "the model itself gives another answer at each call: give it its state as an input,"
                " or draw nothing random, and compare again"
            )
        if target.precision == "fp16" and any(r == float("inf") for r in facts["ratios"].values()):
            return "fp16 ends at 65504: use bf16 or fp32, or scale what overflows"
        if str(target.precision).startswith("int8"):
            return "give more and more typical samples, another calibration method, or keep fp16"
        if target.precision != "fp32":
            return "use fp32, or a wider tolerance if this error can be borne"
        return (
            "the build computes something else than the model: see the warnings and the log, try "
            "another exporter or format, or set a tolerance if this error can be borne"
        )
    return "the verification asks more than this target gives: use another precision or format"


def _batch(one: BatchTiming) -> dict[str, Any]:
    return {
        "batch": one.batch,
        "calls": one.calls,
        "p50_ms": one.p50_ms.value,
        "p50_ms_low": one.p50_ms.low,
        "p50_ms_high": one.p50_ms.high,
        "p90_ms": one.p90_ms,
        "p95_ms": one.p95_ms,
        "p99_ms": one.p99_ms.value,
        "p99_ms_low": one.p99_ms.low,
        "p99_ms_high": one.p99_ms.high,
        "throughput": one.throughput.value,
        "throughput_low": one.throughput.low,
        "throughput_high": one.throughput.high,
        "stable": one.stable,
        "note": one.note,
        "clock_mhz": one.clock_mhz,
        "power_w": one.power_w,
    }
