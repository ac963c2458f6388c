"""What is meant by the best: the objectives, their names, and how a point is scored by each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from ..errors import NothingToChoose, RequestError, unknown
from ..types.measure import Interval
from ..types.target import Target
from .candidates import Point, latency_of, memory_of, where

One = str | Callable[[Any], float]

# What each objective means, also under the predecessor's names (CamelCase, snake or kebab case,
# with or without "Strategy").
OBJECTIVES = {
    "throughput": "the most samples a second, at whichever batch size",
    "latency": "the smallest p50 of a call, at whichever batch size: in practice batch 1",
    "memory": "the least peak memory: the device's on a GPU, else the host's",
    "size": "the smallest files",
    "max_throughput_and_min_latency": "the best in both, if one target is (within noise)",
    "max_throughput_with_latency_budget": "the most samples a second with p50 <= latency_budget ms",
    "selected_runtime": "the one that is named: target, or model_key and runner_name",
}
_ALIASES = {
    "max_throughput": "throughput",
    "min_latency": "latency",
    "min_memory": "memory",
    "min_size": "size",
}


def named(text: str) -> str:
    """An objective's own name, from any spelling of it, the predecessor's too."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).replace("-", "_").lower()
    snake = snake.removesuffix("_strategy")
    snake = _ALIASES.get(snake, snake)
    if snake not in OBJECTIVES:
        raise unknown("objective", text, OBJECTIVES)
    return snake


def score_of(objective: One, point: Point) -> tuple[float | None, str]:
    """Higher is better; None with the reason where there is no number."""
    if not isinstance(objective, str):
        try:
            said = objective(point.given)
        except Exception as error:  # the user's code may raise anything; it is raised again
            raise RequestError(
                f"the objective raised {type(error).__name__}: {error} on the row of {point.target}",
                "it is called with each row that may be chosen, and gives a number",
            ) from error
        if said is None or (isinstance(said, float) and math.isnan(said)):
            return None, f"the objective gives it {said}"
        return float(said), ""
    value: float | None
    if objective == "selected_runtime":
        return float(point.size or 0), ""
    if objective == "memory":
        value = memory_of(point)
        return (None, "its memory was not measured") if value is None else (-value, "")
    if objective == "size":
        value = point.row.get("size_bytes")
        return (None, "its size is not known") if value is None else (-value, "")
    if point.batch is None:
        return None, "it was not profiled: run it until profile"
    if objective == "latency":
        return -float(point.batch["p50_ms"]), ""
    return float(point.batch["throughput"]), ""


def value_of(objective: One, score: float, point: Point) -> tuple[float, Interval | None]:
    """What the objective was judged by, as the reader knows it, with its interval."""
    if not isinstance(objective, str) or objective == "selected_runtime":
        return score, None
    if objective in ("memory", "size"):
        return -score, None
    batch = point.batch or {}
    key = "p50_ms" if objective == "latency" else "throughput"
    value = float(batch[key])
    low, high = batch.get(f"{key}_low"), batch.get(f"{key}_high")
    return value, None if low is None or high is None else Interval(value, low, high)


def best_in_both(best: Point, kept: list[Point], name: str) -> None:
    """Raises NothingToChoose unless the winner's lowest latency is also the lowest, within noise."""
    measured = [p for p in kept if p.batch]
    quickest = min(measured, key=lambda p: (latency_of(p), p.target))
    own = min((p for p in measured if p.target == best.target), key=latency_of)
    a, b = (
        value_of("latency", -latency_of(own), own),
        value_of("latency", -latency_of(quickest), quickest),
    )
    if own.target == quickest.target or overlap(a[1], b[1]):
        return
    raise NothingToChoose(
        f"{name}: {best.target} has the most throughput, {quickest.target} the least latency "
        f"({b[0]:.4g} ms, the other {a[0]:.4g} ms)",
        "choose by throughput or by latency, or by throughput with a limit p50_ms=…",
    )


def overlap(a: Interval | None, b: Interval | None) -> bool:
    """Whether the measurement can't tell two values apart."""
    return a is not None and b is not None and a.low <= b.high and b.low <= a.high


def selected_of(
    points: list[Point],
    left_out: list[tuple[str, str]],
    target: str | None,
    model_key: str | None,
    runner_name: str | None,
) -> list[Point]:
    """The points of the target that is named in one of three ways.

    Raises:
        RequestError: no such target. NothingToChoose: it may not be chosen.
    """
    if target is None and model_key is None and runner_name is None:
        raise RequestError(
            "selected_runtime needs a name", "give target=…, or model_key=… and runner_name=…"
        )
    keys = {"target": target, "model_key": model_key, "runner_name": runner_name}
    out = dict(left_out)
    known = [*dict.fromkeys(p.target for p in points), *out]
    chosen = [t for t in known if all(v is None or v in _names(t)[k] for k, v in keys.items())]
    if not chosen:
        asked = ", ".join(f"{k}={v}" for k, v in keys.items() if v is not None)
        raise unknown("target", target or asked, known)
    kept = [p for p in points if p.target in chosen]
    if not kept:
        said = "; ".join(f"{t}: {out[t]}" for t in chosen)
        raise NothingToChoose(f"what was selected may not be chosen: {said}", "select another")
    return kept


def _names(target: str) -> dict[str, tuple[str, ...]]:
    """What a target may be called by, as a whole and by its model and its runner."""
    found = Target.parse(target)
    plain = f"{found.format}-{found.precision}"
    return {
        "target": (target,),
        "model_key": (str(found.variant), plain, found.format),
        "runner_name": (target.removeprefix(f"{found.variant}@"), found.runner),
    }


def number(value: float) -> str:
    """Four digits, never with a power of ten."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def reason_of(objective: One, name: str, value: float, best: Point) -> str:
    """Why the winner won, as a sentence."""
    if not isinstance(objective, str):
        return f"{best.target} has the highest {name}: {value:.6g}"
    if objective == "selected_runtime":
        return f"{best.target} was selected by name"
    what = {
        "latency": f"the smallest p50: {value:.4g} ms",
        "memory": f"the least peak memory: {value / 2**20:.1f} MiB",
        "size": f"the smallest files: {value / 2**20:.2f} MiB",
    }.get(objective, f"the most throughput: {number(value)} samples a second")
    return f"{best.target} has {what}{where(best)}"
