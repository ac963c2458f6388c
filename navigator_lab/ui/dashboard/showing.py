"""What is shown when it is asked for: a log, a cell of the heatmap, how to do a step again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..panels import results

if TYPE_CHECKING:
    from .dashboard import Dashboard


def log(panel: Dashboard, content: Mapping[str, Any]) -> None:
    """What a step printed, or all steps of a target; of "" the last words of the run."""
    lab, step = panel._lab(), str(content.get("step", ""))
    if target := str(content.get("target", "")):
        texts = [f"── {stage}\n{text}" for stage, text in lab[target].logs.items() if text]
        panel._shown_log = target
        panel.printed = {"step": target, "text": _bounded("\n".join(texts))}
        return
    panel._shown_log = step
    path = lab.root / panel._logs.get(step, "") if step else None
    if path is not None and step in panel._logs and path.is_file():
        text = path.read_text(errors="replace")
    else:
        text = "\n".join(line for line in panel._said if not step or f"  {step}" in line)
    failed = next(
        (s.outcome for r in lab.run_data.targets for s in r.steps if s.label == step), None
    )
    trace = getattr(getattr(failed, "failure", None), "trace", "")
    panel.printed = {"step": step, "text": _bounded(text + trace)}


def detail(panel: Dashboard, content: Mapping[str, Any]) -> None:
    """One output of one target: its errors and the worst of them."""
    cell = results.detail(panel._lab(), str(content["target"]), str(content["output"]))
    panel.detail = {**panel.detail, "cell": cell}


def reproduce(panel: Dashboard, content: Mapping[str, Any]) -> None:
    """The lines that do a target's steps again, in a terminal."""
    target = str(content["target"])
    found = panel._lab()[target].reproduce
    text = "\n".join(found.values()) or "No step of it ran in this workspace."
    panel.detail = {**panel.detail, "reproduce": {"target": target, "text": text}}


def _bounded(text: str, lines: int = 400) -> str:
    kept = text.splitlines()[-lines:]
    return "\n".join(line[:2000] for line in kept)
