"""What a panel shows of its session, drawn anew where something changed. In the pump's thread."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...types.measure import Tolerance
from ..panels import choose, code, matrix, mixer, pick, results, stages
from ..widgets.panel import IDLE

if TYPE_CHECKING:
    from .dashboard import Dashboard

_LINES = 10  # of the run's last words


def draw(panel: Dashboard, marks: set[str]) -> None:
    """Draw what is marked, and what hangs on it."""
    lab = panel.session
    if "pick" in marks:
        panel.pick = picked(panel)
    if lab is None:
        panel.code = {}
        panel._snapshot(True)
        return
    if (poll := getattr(lab, "poll", None)) is not None and poll():  # a run of another kernel
        marks |= {"run", "results"}
    if "cell" in marks and _elsewhere(panel, lab):
        marks |= {"matrix", "run", "results", "choice"}
    job = getattr(lab, "job", None)
    if job is not None and job.done and panel._ended is not job:
        panel._ended = job
        marks |= {"matrix", "run", "results", "choice"}
    if "matrix" in marks:
        _matrix(panel, lab)
    if marks & {"results", "matrix"}:
        panel.tolerances = results.tolerances(lab, panel._accuracies)
        # What is being run is judged by the board: the forecast is of before it.
        panel._run_data = lab.run_data
        asked = set(_asked(panel, job)[0]) if panel.running else set()
        stale = results.stale(lab, panel.matrix["cells"], panel._steps)
        panel.results = results.shown(lab, {t: w for t, w in stale.items() if t not in asked})
        panel.accuracy = results.accuracy(lab, panel._accuracies)
        if any(row["batches"] for row in panel.results["rows"]) and "results" not in panel.folds:
            panel.folds = {**panel.folds, "results": True}
    if marks & {"run", "beat", "results", "matrix"}:
        _run(panel, lab)
    if marks & {"choice", "results"} and not panel.running and panel.results.get("rows"):
        panel.choice = choose.choice(
            lab, panel.objective, panel.limits,
            [row["target"] for row in panel.results["rows"] if row["stale"]],
        )  # fmt: skip
        if panel._ended is not None and panel.choice["choice"] and "choose" not in panel.folds:
            panel.folds = {**panel.folds, "choose": True}
    if marks & {"config", "choice", "results", "run"} and panel._configuring.target:
        panel.configured = panel._configuring.drawn()
        marks.add("code")
    if marks & {"code", "matrix", "run", "results"}:
        panel.code = code.lines(
            panel._opened_as, panel.wanted, panel.until, panel.settings, panel.selection,
            panel.tolerance, panel.limits, panel.objective, panel.axis, panel.chosen,
            panel.repository, getattr(lab, "id", ""), _fresh(panel), panel.configured.get("asked") or {},
            mixer.numbers(panel.results.get("rows", [])),
        )  # fmt: skip
    panel._snapshot(not panel.running)


def _fresh(panel: Dashboard) -> list[str] | None:
    """The targets that still hold, where some are stale."""
    rows = panel.results.get("rows", [])
    if not any(row["stale"] for row in rows):
        return None
    return [row["target"] for row in rows if not row["stale"]]


def _matrix(panel: Dashboard, lab: Any) -> None:
    if not hasattr(lab, "preview"):  # nothing of it can be run here
        known: Any = getattr(lab, "targets", [])  # of a loaded run, none
        drawn = matrix.grid(known, lab.run_data.reference, True)
        panel.matrix = {**drawn, "presets": {}, "followed" if known else "loaded": True}
        if known and not panel.wanted:
            panel.wanted = known.available
        return
    verify = panel.verify is not None or lab.source.metric is not None
    found = panel._targets = panel._targets or lab.targets
    drawn = matrix.grid(found, lab.run_data.reference, verify)
    if not panel.matrix.get("rows"):
        panel.matrix = drawn
        if not panel.wanted:
            preset = drawn["presets"].get("quick") or drawn["presets"].get("all")
            panel.wanted = preset["targets"] if preset else []
        panel.flush()
    if found.available and not panel.running:  # while it runs, the board knows better
        more = {} if panel.verify is None else {"verify": panel.verify}
        until = "verify" if verify else "profile"
        preview = lab.preview(targets=found.available, until=until, **panel.settings, **more)
        panel._steps = matrix.foretold(preview.forecasts)
    panel.matrix = {**drawn, "steps": panel._steps}


def _run(panel: Dashboard, lab: Any) -> None:
    job = getattr(lab, "job", None)
    made: dict[str, Any] = dict(IDLE)
    if job is not None:
        state = "running" if not job.done else "failed" if job.error is not None else "done"
        if state == "done" and job.board.count("cancelled"):
            state = "cancelled"
        until = lab.request.until if lab.request is not None else ""
        asked, began = _asked(panel, job)
        # The session's board goes on to the next thing (a package): of a job that ended, what it
        # was at its end is kept.
        if panel._kept is None or panel._kept[0] is not job:
            made = stages.job(state, until, asked, job.board, began, time.time())
            if state != "running":
                panel._kept = (job, made)
        else:
            made = dict(panel._kept[1])
        if job.error is not None:
            made["error"] = getattr(job.error, "message", None) or repr(job.error)
            made["remedy"] = getattr(job.error, "remedy", "")
        made["cancelling"] = panel._cancelling and state == "running"
    rows = {row["target"]: row for row in panel.results.get("rows", [])}
    base = max(
        (b["throughput"] for b in rows.get(lab.run_data.reference, {}).get("batches", [])),
        default=None,
    )
    board = made["steps"] if made["state"] == "running" else {}
    if panel.matrix.get("cells"):
        made["states"] = matrix.states(
            panel.matrix, board, made["targets"] if board else (), rows, made["until"], base
        )
    panel.run_state = made
    if not panel._shown_log:
        panel.printed = {"step": "", "text": "\n".join(list(panel._said)[-_LINES:])}


def _asked(panel: Dashboard, job: Any) -> tuple[list[str], float]:
    """The targets of a job and when it began; of one that a cell started, as its steps tell."""
    if job is panel._job:
        return panel._asked, panel._began
    known = dict(job.board.steps)
    began = min((step.started for step in known.values() if step.started), default=time.time())
    found = [t for t in panel.matrix.get("order", []) if f"infer {t}" in known]
    return found or list(panel.wanted), began


def _elsewhere(panel: Dashboard, lab: Any) -> bool:
    """Whether a cell did something to the session that this panel has not heard of."""
    wanted = lab.tolerance
    own = None if panel.tolerance is None else Tolerance(**panel.tolerance)
    if wanted != own and (wanted is None or isinstance(wanted, Tolerance)):
        panel.unobserve(panel._moved, names="tolerance")
        keys = ("relative", "absolute", "spread", "sqnr_db", "bias")
        shown = None if wanted is None else {k: getattr(wanted, k) for k in keys}
        panel.set_trait("tolerance", shown)
        panel.observe(panel._moved, names="tolerance")
        return True
    return lab.run_data is not panel._run_data and not panel.running


def picked(panel: Dashboard) -> dict[str, Any]:
    """The first section: what can be picked, and what is open."""
    folder = Path.cwd()
    lab = panel.session
    models, samples = (
        pick.models(panel._namespace, folder),
        pick.samples(panel._namespace, folder),
    )
    if lab is not None and not panel.picked:  # opened by a cell
        models.insert(0, pick.as_open(lab))
        samples.insert(0, pick.as_open(lab))
    return {
        "models": models,
        "samples": samples,
        "machine": pick.machine(None if lab is None else lab.run_data.host),
        "chosen": {k: panel.picked.get(k, "") for k in ("model", "samples")},
        "session": None if lab is None else pick.opened(lab),
        **panel._opening,
    }
