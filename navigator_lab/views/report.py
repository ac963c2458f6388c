"""One or several runs as one HTML file: interactive, without a kernel and without a network.

plotly's script is in the file, once. A content policy in its head forbids every request, so what
is shown is what is in the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ..errors import PackageError
from . import compare, heatmap, latency, load, parallel, pareto, timeline
from .numbers import bytes_
from .taken import Taken, take
from .theme import CONFIG, FONT, LIGHT, MONO

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; form-action 'none'; base-uri 'none'"
)
_STYLE = f"""
body {{ font: 13px/20px {FONT}; color: {LIGHT.text}; background: {LIGHT.ground}; margin: 0 auto;
  max-width: 1120px; padding: 24px 16px 64px }}
h1 {{ font-size: 20px; line-height: 28px; margin: 0 0 4px }}
h2 {{ font-size: 15px; line-height: 24px; margin: 40px 0 8px; padding-top: 16px;
  border-top: 1px solid {LIGHT.line} }}
p, summary {{ color: {LIGHT.muted} }}
code {{ font: 12px {MONO} }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; display: block;
  overflow-x: auto }}
th, td {{ padding: 4px 10px; border-bottom: 1px solid {LIGHT.line}; text-align: left;
  vertical-align: top }}
td {{ white-space: nowrap }}
pre {{ white-space: pre-wrap }}
td:last-child {{ white-space: normal; min-width: 280px; max-width: 420px }}
nav a {{ margin-right: 16px; color: #1565c0 }}
"""


def html(
    runs: Any,
    title: str = "",
    latency_of: str = "p99_ms",
    limits: Mapping[str, float | None] | None = None,
    words: Mapping[str, str] | None = None,
) -> str:
    """The page.

    Args:
        runs: a session, a loaded run, or a list of them.
        title: the names of the runs by default.
        latency_of: the x axis of the Pareto plot.
        limits: bounds that the front keeps: see `pareto.info`.
        words: more sections as plain text, by heading: a choice, a remark.

    Raises:
        RequestError: as the views raise.
    """
    from plotly.offline import get_plotlyjs

    taken = take(runs)
    given = [one.explored if one.explored is not None else one.results for one in taken]
    title = title or ", ".join(one.name for one in taken)
    sections: list[tuple[str, str]] = [("Runs", _runs(taken))]
    for name, text in (words or {}).items():
        sections.append((name, f"<pre>{escape(text)}</pre>"))
    measured = any(row.batches for one in taken for row in one.results)
    judged = any(row.within_tolerance is not None for one in taken for row in one.results)
    if measured:
        drawn = pareto.draw(pareto.info(given, latency_of, limits))
        sections.append(("Throughput against latency", _figure(drawn)))
    for one in taken:
        sections.append((f"Results: {one.name}", one.results._repr_html_()))
    if judged:
        sections.append(("Errors and tolerances", _figure(heatmap.draw(heatmap.info(given)))))
    if measured:
        sections.append(
            ("Latency by batch", _figure(latency.draw(latency.info(given, _kind(latency_of)))))
        )
        sections.append(("All at once", _figure(parallel.draw(parallel.info(given)))))
    for one in taken:
        if one.explored is not None and one.explored.run_data.loads:
            drawn = load.draw(load.info(one.explored))
            sections.append((f"Load on a live server: {one.name}", _figure(drawn)))
    for heading, table in _same(taken, given):
        sections.append((heading, table._repr_html_()))
    for one in taken:
        if one.explored is not None:
            shown = _timeline(one)
            if shown:
                sections.append((f"When each step ran: {one.name}", shown))
    links = "".join(f'<a href="#s{i}">{escape(h)}</a>' for i, (h, _) in enumerate(sections))
    body = "".join(f'<h2 id="s{i}">{escape(h)}</h2>{text}' for i, (h, text) in enumerate(sections))
    made = time.strftime("%Y-%m-%d %H:%M")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><h1>{escape(title)}</h1>"
        f"<p>Made by navigator_lab on {made}. Everything is in this file.</p><nav>{links}</nav>"
        f"{body}</body></html>"
    )


def write(path: str | Path, runs: Any, **how: Any) -> Path:
    """The page as a file; what was there is replaced only when all is written. See `html`.

    Raises:
        PackageError: it can't be written.
    """
    path = Path(path).expanduser()
    text = html(runs, **how)
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise PackageError(
            f"{path} can't be written: {error}", "name a file in a folder"
        ) from error
    return path


def _kind(axis: str) -> str:
    return axis if axis in latency.KINDS else "p50_ms"


def _figure(figure: Any) -> str:
    import plotly.io

    made: str = plotly.io.to_html(
        figure, config=CONFIG, full_html=False, include_plotlyjs=False, include_mathjax=False
    )
    return made


def _timeline(one: Taken) -> str:
    from ..errors import RequestError

    try:
        found = timeline.info(one.explored)
    except RequestError:  # its journal isn't at hand: nothing to show, nothing wrong
        return ""
    return _figure(timeline.draw(found)) if found.bars else ""


def _runs(taken: tuple[Taken, ...]) -> str:
    """What was run, where and when."""
    rows = ""
    for one in taken:
        cells = [one.name]
        if one.explored is not None:
            run = one.explored.run_data
            gpus = ", ".join(gpu.name for gpu in run.host.gpus) or "no GPU"
            cells += [
                run.model, f"{run.host.cpu}, {run.host.cores} cores, "
                f"{bytes_(run.host.memory_bytes)}, {gpus}",
                time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created)), run.version,
            ]  # fmt: skip
        else:
            cells += ["", "", "", ""]
        done = sum(1 for row in one.results if row.status == "done")
        cells.append(f"{done} of {len(one.results)} targets done")
        rows += "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
    heads = ("run", "model", "machine", "when", "navigator_lab", "")
    head = "".join(f"<th>{h}</th>" for h in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _same(taken: tuple[Taken, ...], given: list[Any]) -> list[tuple[str, Any]]:
    """The best target of each run beside its baseline; of several, the best ones beside each
    other."""
    best = []
    for one in taken:
        rows = [r for r in one.results if r.status == "done" and r.passed and r.batches]
        top = max(rows, key=lambda r: max(r.throughput.values()), default=None)
        best.append(top.target if top is not None else None)
    if len(taken) == 1:
        base = taken[0].results.baseline
        known = [row.target for row in taken[0].results]
        if best[0] is None or best[0] == base or base not in known:
            return []
        return [("The quickest beside the baseline", compare.info(given[0], base, best[0]))]
    named = [f"{one.name}/{top}" for one, top in zip(taken, best, strict=True) if top is not None]
    if not 2 <= len(named) <= 4:
        return []
    return [("The quickest of each run", compare.info(given, *named))]
