"""Section 5: the choice in words, and what to type on the server."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...errors import NavigatorError
from ...views.choice import folded
from ...views.numbers import bytes_, interval, ratio, significant

SHORT = 4  # targets in the list of the best


def choice(
    lab: Any, objective: str, limits: dict[str, float], stale: Collection[str] = ()
) -> dict[str, Any]:
    """The best target that isn't stale, why, and who came next; or why there is none."""
    fresh = [row.target for row in lab.results if row.target not in stale]
    asked: dict[str, Any] = {**limits, "targets": fresh} if stale else dict(limits)
    try:
        best = lab.choose(objective, **asked).choice
    except NavigatorError as error:
        return {"choice": None, "error": error.message, "remedy": error.remedy}
    rows = {row.target: row for row in lab.results}
    row = rows[best.target]
    base = rows.get(lab.run_data.reference)
    batch = next((b for b in row.batches if b["batch"] == best.batch), None)
    ground = base.throughput.get(best.batch) if base is not None and best.batch else None
    said = []
    if batch is not None:
        value = interval(batch["throughput"], batch["throughput_low"], batch["throughput_high"])
        gain = f", {ratio(batch['throughput'] / ground)}× the baseline" if ground else ""
        said.append(f"{value} /s{gain}")
        said.append(f"p50 {significant(batch['p50_ms'])} ms, p99 {significant(batch['p99_ms'])} ms")
    if objective == "memory":
        said.insert(0, f"{bytes_(best.value)} at its peak")
    if objective == "size":
        said.insert(0, f"{bytes_(best.value)} of files")
    if row.worst_ratio == 0:
        said.append("the same answers")
    elif row.worst_ratio is not None:
        said.append(f"error {ratio(row.worst_ratio)}× the tolerance")
    return {
        "choice": {
            "target": best.target,
            "batch": best.batch,
            "head": "; ".join(said) + ".",
            "lines": _lines(best, stale),
            "rank": _rank(lab, objective, limits, fresh) if batch is not None else [],
        },
        "error": "",
        "remedy": "",
    }


def _lines(best: Any, stale: Collection[str]) -> list[str]:
    lines = []
    if best.runner_up is not None:
        up = best.runner_up
        at = f" at batch {up.batch}" if up.batch else ""
        noise = ", within noise" if up.within_noise else ""
        lines.append(f"Runner-up: {up.target}{at}, {significant(up.value)}{noise}.")
    # What can't be had here is the matrix's to say; here, who had a chance and lost it.
    out = [
        (target, "it is stale: run it again" if target in stale else reason)
        for target, reason in best.left_out
        if not reason.startswith("skipped")
    ]
    lines += [f"Left out: {who}: {_cut(reason)}" for who, reason in folded(out)[:3]]
    return lines


def _cut(reason: str, most: int = 200) -> str:
    text = " ".join(reason.split())
    return f"{text.rstrip('.')}." if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} …"


def _rank(
    lab: Any, objective: str, limits: dict[str, float], fresh: list[str]
) -> list[dict[str, Any]]:
    """The best few by the objective, each at its batch, with their throughput."""
    left = list(fresh)
    rows = {row.target: row for row in lab.results}
    found: list[dict[str, Any]] = []
    while left and len(found) < SHORT:
        try:
            one = lab.choose(objective, targets=left, **limits).choice
        except NavigatorError:
            break  # nobody else meets the limits
        left.remove(one.target)
        batch = next((b for b in rows[one.target].batches if b["batch"] == one.batch), None)
        if batch is None:
            break
        found.append(
            {"target": one.target, "batch": one.batch, "value": batch["throughput"],
             "low": batch["throughput_low"], "high": batch["throughput_high"]}
        )  # fmt: skip
    return found


def serve(repository: str, name: str) -> str:
    """What to type where Triton runs."""
    where = shlex.quote(repository if "://" in repository else str(Path(repository).absolute()))
    return (
        f"tritonserver --model-repository={where}\n"
        f"curl -s localhost:8000/v2/models/{name}/ready -o /dev/null -w '%{{http_code}}\\n'"
    )
