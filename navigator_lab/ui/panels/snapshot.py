"""What stays in the notebook's file: the results as plain HTML, for where no kernel answers."""

from __future__ import annotations

import time
from html import escape
from typing import Any

_LINE = "border-bottom:1px solid #8884;padding:2px 10px;text-align:left"


def static_html(lab: Any, shown: dict[str, Any], choice: dict[str, Any]) -> str:
    """A table without script and without a style sheet; the live view hides it."""
    if lab is None:
        return _framed("<p>navigator_lab: no model was opened. Run the cell to open one.</p>")
    rows = [row for row in shown.get("rows", []) if not row["waiting"]]
    name = escape(lab.name)
    if not rows:
        return _framed(f"<p>navigator_lab, <b>{name}</b>: nothing was run yet.</p>")
    run = escape(getattr(lab, "id", ""))
    again = f" Any kernel shows it again: <code>%navigator attach {run}</code>" if run else ""
    body = "".join(_line(row) for row in rows)
    best, said = choice.get("choice"), ""
    if best:
        at = f", batch {best['batch']}" if best["batch"] else ""
        said = f"<p><b>{escape(best['target'])}</b>{at}: {escape(best['head'])}</p>"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime())
    heads = "".join(
        f"<th style='{_LINE}'>{escape(h)}</th>"
        for h in (
            "target",
            "status",
            "batch",
            "p50, ms",
            "p99, ms",
            "samples/s",
            "error ÷ tolerance",
        )
    )
    return _framed(
        f"<p>navigator_lab, <b>{name}</b>, saved {when}. Run the cell for the live view."
        f"{again}</p>{said}"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _line(row: dict[str, Any]) -> str:
    from ...views.numbers import interval, ratio, significant

    best = max(row["batches"], key=lambda b: b["throughput"], default=None)
    status = row["status"]
    if status == "done" and row["passed"] is False:
        status = "out of tolerance"
    if row["stale"]:
        status = "stale"
    cells = [row["target"], status]
    if best is None:
        cells += ["–", "–", "–", row["reason"][:200] or "–"]
    else:
        cells += [
            str(best["batch"]), significant(best["p50_ms"]), significant(best["p99_ms"]),
            interval(best["throughput"], best["throughput_low"], best["throughput_high"]),
        ]  # fmt: skip
    worst = row["worst_ratio"]
    cells.append("–" if worst is None else ratio(worst))
    return "<tr>" + "".join(f"<td style='{_LINE}'>{escape(c)}</td>" for c in cells) + "</tr>"


def _framed(inner: str) -> str:
    return f"<div class='nav-static'>{inner}</div>"
