"""Section 2: the targets as a matrix, what a run would cost, and the state of every cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...types.target import Precision, Target
from ...views.numbers import ratio

STAGES = ("export", "convert", "correctness", "profile", "verify")
_WORDS = {
    ("torch", "eager"): "PyTorch eager", ("torch", "compile"): "torch.compile",
    ("torch", "eager-graphs"): "PyTorch, CUDA graphs",
    ("torch", "compile-graphs"): "torch.compile, CUDA graphs", ("aoti-cuda", "aoti-cuda"): "AOTInductor",
    ("torchscript", "jit"): "TorchScript, traced",
    ("torchscript-script", "jit"): "TorchScript, scripted",
    ("torch-export", "export"): "torch.export", ("aoti", "aoti"): "AOTInductor",
    ("onnx", "ort"): "ONNX Runtime", ("openvino", "ov"): "OpenVINO", ("python", "python"): "Python",
}  # fmt: skip
_SHORT = {"reference": "answers", "infer": "answers", "compare": "check"}


def grid(targets: Any, reference: str, verify: bool) -> dict[str, Any]:
    """Rows (format @ runner) by precisions, each cell with its reason, remedy and steps."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    cells: dict[str, dict[str, Any]] = {}
    used: set[str] = set()
    for one in targets:
        target, text = one.target, str(one.target)
        where = text.removeprefix(f"{target.variant}@")
        more = ", ".join(f"{n} {v}" for n, v in (*target.settings, *target.run_settings))
        key = (target.format, where, more)
        words = _WORDS.get((target.format, target.runner), f"{target.format} on {target.runner}")
        words = f"{words}, {more}" if more else words
        several = target.device.kind != "cpu"
        row = rows.setdefault(
            key,
            {"id": "@".join(key) if more else f"{target.format}@{where}", "format": target.format, "where": where,
             "words": f"{words}, {target.device}" if several else words, "targets": {}, "barred": True},
        )  # fmt: skip
        precision = str(target.precision)
        used.add(precision)
        row["targets"][precision] = text
        row["barred"] = row["barred"] and not one.available
        cells[text] = {
            "available": one.available,
            "reason": one.reason,
            "remedy": one.remedy,
            "way": list(one.way),
            "stages": stages(text, one.way, reference, verify) if one.available else {},
        }
    # What can run comes first: a page of reasons must not push it out of sight.
    ordered = sorted(rows.values(), key=lambda row: row["barred"])
    precisions = [str(p) for p in Precision if str(p) in used]
    order = [row["targets"][p] for row in ordered for p in precisions if p in row["targets"]]
    return {
        "rows": ordered,
        "precisions": precisions,
        "cells": cells,
        "order": order,
        "presets": presets(order, cells),
        "verify": verify,
        "steps": {},
    }


def stages(target: str, way: Iterable[str], reference: str, verify: bool) -> dict[str, list[str]]:
    """The labels of a target's steps by stage, as the plan gives them."""
    builds = [f"build {variant}" for variant in way]
    made = {
        "export": builds[:1],
        "convert": builds[1:],
        "correctness": [f"reference {reference}", f"infer {target}", f"compare {target}"],
        "profile": [f"profile {target}"],
    }
    return made | ({"verify": [f"verify {target}"]} if verify else {})


def presets(order: list[str], cells: Mapping[str, Any]) -> dict[str, Any]:
    """Sets of targets that a click selects."""
    can = [t for t in order if cells[t]["available"]]
    slow = ("aoti", "torchscript-script")

    def of(*precisions: str) -> list[str]:
        return [t for t in can if Target.parse(t).precision in precisions]

    quick = [
        t
        for t in of("fp32")
        if (one := Target.parse(t)).format not in slow and one.runner != "compile"
    ]
    made = {
        "quick": ("Quick", quick, "fp32 on every runner that needs no compiler"),
        "low": ("Low precision", of("fp16", "bf16", "int8", "int8-dynamic", "fp8", "int8-weights", "int4-weights"),
                "everything below fp32: faster or smaller, and to be judged by its error"),
        "all": ("Everything", can, "all that can run here"),
        # What has a chance before anything is known; with results, the browser takes their best.
        "latency": ("Lowest latency", _runtimes(can), "runtimes and compilers; once measured, the quickest within your limits"),
        "throughput": ("Highest throughput", _runtimes(can), "runtimes and compilers; once measured, those with most samples a second within your limits"),
        "none": ("Nothing", [], "select none"),
    }  # fmt: skip
    return {
        key: {"label": label, "targets": targets, "words": words}
        for key, (label, targets, words) in made.items()
        if targets or key == "none"
    }


def _runtimes(can: list[str]) -> list[str]:
    """The targets whose runner is more than the framework's own interpreter."""
    plain = ("eager", "eager-graphs", "jit", "export", "python")
    return [t for t in can if Target.parse(t).runner not in plain]


def foretold(forecasts: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """What is known of each step before it runs, by its label."""
    return {
        f.step: {"state": f.state, "why": "; ".join(f.why), "seconds": f.seconds, "bytes": f.bytes}
        for f in forecasts
    }


def states(
    matrix: Mapping[str, Any],
    board: Mapping[str, Mapping[str, Any]],
    running: Iterable[str],
    rows: Mapping[str, Mapping[str, Any]],
    until: str,
    base: float | None,
) -> dict[str, dict[str, str]]:
    """The state of every available cell: {state, text, tip, remedy}."""
    under_way = set(running)
    made = {}
    for target, cell in matrix["cells"].items():
        if not cell["available"]:
            continue
        row = rows.get(target)
        if target in under_way and (found := _going(cell["stages"], board, until)):
            made[target] = found
        elif row is not None and not row["waiting"]:
            made[target] = _told(row, base)
        else:
            made[target] = _before(cell["stages"], matrix["steps"])
    return made


def _going(
    stages: Mapping[str, list[str]], board: Mapping[str, Mapping[str, Any]], until: str
) -> dict[str, str] | None:
    """Of a target that is being settled; None once it is."""
    labels = [la for st in STAGES[: STAGES.index(until) + 1] for la in stages.get(st, [])]
    seen = [(label, board[label]) for label in labels if label in board]
    for label, step in seen:
        if step["state"] == "failed":
            return {"state": "failed", "text": "failed", "tip": f"{label}: {step['text']}"}
    for label, step in seen:
        if step["state"] == "running":
            kind = _SHORT.get(label.partition(" ")[0], label.partition(" ")[0])
            return {
                "state": "running",
                "text": kind,
                "tip": f"{label}: {step['text'] or 'running'}",
            }
    left = [1 for _, step in seen if step["state"] == "waiting"]
    if not left:
        return None
    done = f"{len(seen) - len(left)} of {len(seen)}"
    return {"state": "queued", "text": done, "tip": f"{done} steps are settled"}


def _told(row: Mapping[str, Any], base: float | None) -> dict[str, str]:
    """Of a target that has answers: its ratio to the baseline, or its error."""
    tip = row["reason"]
    if row["status"] != "done":
        state = row["status"]
        return {"state": state, "text": state, "tip": tip, "remedy": row["remedy"]}
    if row["stale"]:
        return {"state": "stale", "text": "stale", "tip": row["stale"]}
    if row["passed"] is False:
        worst = row["worst_ratio"]
        text = f"Δ {ratio(worst)}×" if isinstance(worst, float) and 1 < worst < 1e6 else "wrong"
        return {"state": "tol", "text": text, "tip": tip, "remedy": row["remedy"]}
    best = max((b["throughput"] for b in row["batches"]), default=None)
    text = "cached" if not row["steps_run"] else "done"
    if best is not None and base:
        text = f"{ratio(best / base)}×"
        tip = f"{text} the baseline’s throughput, each at its best batch"
    return {"state": "done" if row["steps_run"] else "cached", "text": text, "tip": tip}


def _before(
    stages: Mapping[str, list[str]], steps: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Of a target that this session has not asked for: what the store knows."""
    known = [steps[la] for st in STAGES[:4] for la in stages.get(st, []) if la in steps]
    if known and all(step["state"] == "fresh" for step in known):
        return {"state": "cached", "text": "cached", "tip": "every step is in the workspace: recalled at once"}  # fmt: skip
    for step in known:
        if step["state"] == "failed":
            return {"state": "failed", "text": "failed", "tip": "failed last time; Run recalls the reason"}  # fmt: skip
    return {"state": "off", "text": "", "tip": ""}
