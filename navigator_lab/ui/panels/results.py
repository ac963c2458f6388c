"""Section 4: rows, what any tolerance can be judged from, and one cell in detail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...types.measure import Accuracy, OutputAccuracy, Tolerance
from ...types.outcome import Done, Product
from ...views.theme import FAMILIES, colours, family
from . import mixer

# Numbers of the hull go to the browser with this many digits: a verdict at the very border may
# differ by a millionth, and the kernel's own is taken as soon as a slider rests.
_DIGITS = 7
_SHOWN = (
    "target", "format", "precision", "runner", "device", "status", "reason", "remedy", "passed",
    "steps_run", "stages", "verified", "metrics", "worst_ratio", "sqnr_db", "top1_agreement",
    "batches", "load_ms", "host_peak_bytes", "device_peak_bytes", "size_bytes", "warnings", "notes",
)  # fmt: skip


def shown(lab: Any, stale: Mapping[str, str]) -> dict[str, Any]:
    """The rows as the browser needs them; targets that can't be had here are the matrix's."""
    made = []
    rows = lab.results.to_dicts()
    mixed = mixer.settings(lab, [row["target"] for row in rows])
    for row in rows:
        if row["status"] == "skipped" and not row["stages"]:
            continue
        one = {key: row[key] for key in _SHOWN}
        one["family"] = _family(lab, row["format"], row["runner"])
        one["waiting"] = row["status"] == "done" and not row["stages"]
        one["mix"] = mixed.get(row["target"])
        one["stale"] = stale.get(row["target"], "")
        made.append(one)
    families = dict.fromkeys(one["family"] for one in made)
    light, dark = colours([*FAMILIES, *families]), colours([*FAMILIES, *families], dark=True)
    return {
        "rows": made,
        "baseline": lab.run_data.reference,
        "colours": {name: [light[name], dark[name]] for name in families},
    }


def _family(lab: Any, format: str, runner: str) -> str:
    """What a runner declares, where the session knows it; else by its name."""
    catalog = getattr(lab, "catalog", None)
    declared = catalog.runners.get(runner) if catalog is not None else None
    return (declared.family if declared is not None else "") or family(format, runner)


Known = dict[str, tuple[Product, Accuracy, list[dict[str, Any]]]]


def accuracy(lab: Any, known: Known | None = None) -> dict[str, list[dict[str, Any]]]:
    """Of each target and output what `judge.js` judges by; ``known`` keeps what was read before."""
    found = _compared(lab, {} if known is None else known)
    return {target: plain for target, (_, _, plain) in found.items()}


def _compared(lab: Any, known: Known) -> Known:
    made = {}
    for one in lab.run_data.targets:
        outcome = one.outcome("correctness")
        if isinstance(outcome, Done):
            text, kept = str(one.target), known.get(str(one.target))
            if kept is None or kept[0] is not outcome.product:
                found = outcome.product.read(Accuracy)
                kept = known[text] = (outcome.product, found, [_output(o) for o in found.outputs])
            made[text] = kept
    return made


def _output(one: OutputAccuracy) -> dict[str, Any]:
    return {
        "name": one.name,
        "hull": [[_short(size) or 0.0, _error(error)] for size, error in one.hull],
        "std": _short(one.reference_std),
        "exact": one.exact,
        "elements": one.elements,
        "discrete": one.discrete,
        "problem": one.problem,
        "sqnr": _short(one.sqnr_db),
        "bias": _short(one.bias),
        "moved": one.moved,
    }


def tolerances(lab: Any, known: Known | None = None) -> dict[str, dict[str, list[float]]]:
    """By target what is asked: under "" of all outputs, and by name of those that are asked
    something else; the last number says whether the user did (1 or 0). ``known`` as for `accuracy`."""
    compared, made = _compared(lab, {} if known is None else known), {}
    for one in lab.run_data.targets:
        text = str(one.target)
        outputs = compared[text][1].outputs if text in compared else ()
        default, own = lab.asked(one.target, outputs)
        made[text] = {"": [*_numbers(default), 0]} | {
            name: [*_numbers(limit), int(named)] for name, (limit, named) in own.items()
        }
    return made


def _numbers(one: Tolerance) -> list[float]:
    return [one.relative, one.absolute, one.spread, one.sqnr_db, one.bias]


def detail(lab: Any, target: str, output: str) -> dict[str, Any] | None:
    """One cell of the heatmap: the histogram of its errors and the worst element."""
    found = lab[target].accuracy
    for one in found.outputs if found is not None else ():
        if one.name == output:
            worst = one.absolute
            return {
                "target": target,
                "output": output,
                "elements": one.elements,
                "exact": one.exact,
                "histogram": [list(row) for row in one.histogram],
                "edges": list(one.edges),
                "worst": None if worst is None else {
                    "error": _plain(worst.error), "got": _plain(worst.got),
                    "reference": _plain(worst.reference), "case": worst.case,
                    "sample": worst.sample, "index": list(worst.index),
                },
            }  # fmt: skip
    return None


def stale(
    lab: Any, cells: Mapping[str, Mapping[str, Any]], steps: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Targets whose answers no longer hold, and which fact changed since."""
    made = {}
    for one in lab.run_data.targets:
        text = str(one.target)
        cell = cells.get(text)
        if cell is None or not cell["available"]:
            continue
        for settled in one.steps:
            step = steps.get(settled.label)
            if step is None or step["state"] != "stale" or not isinstance(settled.outcome, Done):
                continue
            # Another option is another question; only a fact that changed makes an answer stale.
            facts = [why for why in step["why"].split("; ") if not why.startswith("options")]
            if facts or not step["why"]:
                made[text] = (
                    f"{settled.label}: {'; '.join(facts) or 'a fact changed since it was made'}"
                )
                break
    return made


def _short(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{_DIGITS}g}")


def _error(value: float) -> float:
    """JSON has no infinity: an error without bound is one that no tolerance allows."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else 1e300


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
