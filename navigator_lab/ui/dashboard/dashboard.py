"""The dashboard of a session: what is clicked sets state or starts a job, and returns at once.

Nothing is worked out in a comm's handler: handlers mark what changed, and one thread draws it
(`pump`). The job itself is the session's; this is a view of it, and may come and go.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets as t

from ...errors import NavigatorError, RequestError
from ...types.event import Event, Finished, Progressed, Started
from ...types.measure import Tolerance
from ..panels import choose, code, matrix, pick, results, snapshot, stages
from ..widgets.panel import IDLE, Panel
from . import opening, shipping
from .pump import Pump

SETTINGS = {"max_batch": 32, "seconds": 1.0}
_EVERYTHING = ("pick", "matrix", "run", "results", "choice", "code")
# What each trait of the user's changes in what is shown.
_CHANGES = {
    "wanted": ("code",), "settings": ("matrix", "code"), "until": ("code",),
    "selection": ("code",), "chosen": ("code",), "limits": ("choice", "code"),
    "objective": ("choice", "code"), "repository": ("code",), "axis": ("code",),
}  # fmt: skip


class Dashboard(Panel):
    """``Dashboard(lab)``, or ``Dashboard()`` to pick a model in it. Display it as a cell's value.

    The traits that a user moves: `wanted` (targets), `settings` (how they are timed), `selection`,
    `chosen`, `tolerance` (None: the defaults by precision), `limits` (as `Session.choose` takes
    them), `objective`, `tab`, `axis`, `batch`, `folds`. All can be set and observed from cells.

    Args:
        session: what `navigator_lab.explore` gave; None to open one here.
        namespace: where variables are looked for; the notebook's own by default.
        workspace: of a session that is opened here.
        plugins: of a session that is opened here.
        verify: the user's own metric, for the stage of that name.
    """

    session = t.Any(None, allow_none=True)
    verify = t.Any(None, allow_none=True)

    def __init__(
        self,
        session: Any = None,
        *,
        namespace: dict[str, Any] | None = None,
        workspace: str | Path | None = None,
        plugins: Sequence[str | Path] = (),
        verify: Callable[..., Any] | None = None,
    ) -> None:
        self._shell = _shell()
        self._namespace = namespace if namespace is not None else _names(self._shell)
        self._workspace, self._plugins = workspace, tuple(plugins)
        self._static: Any = None
        self._static_at = 0.0
        self._steps: dict[str, dict[str, Any]] = {}
        self._logs: dict[str, str] = {}
        self._said: deque[str] = deque(maxlen=200)
        self._shown_log = ""
        self._asked: list[str] = []
        self._began = 0.0
        self._opening: dict[str, str] = {"state": "", "words": "", "error": "", "remedy": ""}
        self._opened_as = ""
        self._cancelling = False
        self._finished = False
        self._targets: Any = None
        super().__init__(settings=dict(SETTINGS))
        self.pick = self._picked()
        self._pump = Pump(self._draw)
        self.on_msg(self._message)
        self.observe(self._moved, names=[*_CHANGES, "tolerance", "verify"])
        self.observe(self._changed_session, names="session")
        if self._shell is not None:
            self._shell.events.register("post_run_cell", self._after_cell)
        if session is not None:
            self.session = session
        self._pump.mark(*_EVERYTHING)

    # what can be done, from a click or a cell

    def explore(self, model: Any, samples: Any = None, **more: Any) -> None:
        """Open a model in the background; `session` changes when it is ready."""
        opening.start(self, model, samples, more)

    def run(self, until: str | None = None) -> Any:
        """Run what is `wanted` as far as a stage: a `Job` at once."""
        lab = self._lab()
        until = until or self.until
        if not hasattr(lab, "start"):
            raise RequestError(
                "this run was loaded from a file, which holds results and no models",
                "open the model with nav.explore(...): what is in its workspace is not done again",
            )
        if not self.wanted:
            raise RequestError("no target is selected", "select some in the matrix")
        asked: dict[str, Any] = {"targets": list(self.wanted), "until": until, **self.settings}
        if until == "verify" and self.verify is not None:
            asked["verify"] = self.verify
        self._asked, self._began = list(self.wanted), time.time()
        self._said.clear()
        self._cancelling = self._finished = False
        job = lab.start(**asked)
        self.folds = {**self.folds, "pick": False, "run": True}
        self._pump.mark("run", "results")
        return job

    def cancel(self) -> None:
        """End the run under way; finished steps are kept."""
        if self.session is not None and self.running:
            self._cancelling = True
            self.session.cancel()
            self._pump.mark("run")

    def choose(self, target: str) -> None:
        """Take a target instead of the best one; "" for the best again."""
        if target:
            _ = self._lab()[target]
        self.chosen = target

    def export(self, target: str | None = None, repository: str | Path | None = None) -> None:
        """Put a target's package into a Triton repository, in the background."""
        shipping.start(self, target or self.target, Path(repository or self.repository))

    @property
    def running(self) -> bool:
        """Whether a run of the session is under way."""
        job = getattr(self.session, "job", None)
        return job is not None and not job.done

    @property
    def target(self) -> str:
        """What export takes: the chosen target, else the best."""
        best = self.choice.get("choice") or {}
        return str(self.chosen or best.get("target", ""))

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that changed is drawn: for scripts and tests."""
        return self._pump.settle(timeout_s)

    def close(self) -> None:
        """Take the panel off the screen. The session and its job go on."""
        self._pump.close()
        self._listen(self.session, None)
        if self._shell is not None:
            self._shell.events.unregister("post_run_cell", self._after_cell)
            self._shell = None
        super().close()

    def _lab(self) -> Any:
        if self.session is None:
            raise RequestError("no model is open", "open one, or dashboard.session = lab")
        return self.session

    # what is heard

    def _message(self, _: Any, content: Any, __: Any) -> None:
        """A click. Nothing here takes time; what goes wrong is shown, never lost."""
        does = {
            "open": lambda: opening.start_picked(self),
            "run": lambda: self.run(content.get("until")),
            "cancel": self.cancel,
            "export": lambda: self.export(content.get("target")),
            "preview": lambda: shipping.start(self, content.get("target", ""), None),
            "log": lambda: self._show_log(content),
            "detail": lambda: self._show_detail(content),
            "reproduce": lambda: self._show_reproduce(content),
        }
        action = does.get(content.get("do")) if isinstance(content, dict) else None
        if action is None:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 -- a click has no caller: the panel says it
            self._wrong(error)
        finally:
            self.answered = max(self.answered, int(content.get("number", 0)))

    def _moved(self, change: Any) -> None:
        if change["name"] == "tolerance":
            if self.session is not None:
                wanted = change["new"]
                self.session.tolerance = None if wanted is None else Tolerance(**wanted)
            self._pump.mark("results", "choice", "code", "run")
        elif change["name"] == "verify":
            self._pump.mark("matrix")
        else:
            self._pump.mark(*_CHANGES[change["name"]])

    def _changed_session(self, change: Any) -> None:
        self._listen(change["old"], change["new"])
        self._steps, self._targets, self._asked = {}, None, []
        self.selection, self.chosen, self.wanted = [], "", []
        self.exported, self.detail = {}, {}
        self.folds = {**self.folds, "pick": True, "targets": True, "run": True}
        self._finished = False
        job = getattr(change["new"], "job", None)
        if job is not None:  # a run that another cell started is shown too
            self._began = min(
                (s.started for s in job.board.steps.values() if s.started), default=time.time()
            )
            self._asked = list(getattr(change["new"].request, "targets", ()))
        self._pump.mark(*_EVERYTHING)

    def _listen(self, old: Any, new: Any) -> None:
        for lab, there in ((old, False), (new, True)):
            listeners = getattr(lab, "listeners", None)
            if listeners is None:
                continue
            if there:
                listeners.append(self._hear)
            elif self._hear in listeners:
                listeners.remove(self._hear)

    def _hear(self, event: Event) -> None:
        """From the engine's thread: note it, mark it, go."""
        stamp = time.strftime("%H:%M:%S")
        match event:
            case Started(step, why, _):
                self._said.append(f"{stamp}  {step}  {'; '.join(why)}".rstrip())
            case Progressed(step, text, _, _):
                self._said.append(f"{stamp}  {step}  {text}")
            case Finished(step, outcome, _, _, log):
                if log:
                    self._logs[step] = log
                if reason := getattr(outcome, "reason", ""):
                    self._said.append(f"{stamp}  {step}  {reason}")
                self._pump.mark("results")
        self._pump.mark("run")

    def _after_cell(self, *_: Any) -> None:
        """A cell may have made variables, run the session or moved its tolerance."""
        self._pump.mark("pick", "cell")

    # what is drawn, in the pump's thread

    def _draw(self, marks: set[str]) -> bool:
        try:
            with self.hold_sync():
                self._drawn(marks)
        except Exception as error:  # noqa: BLE001 -- the thread must live, and the panel say why
            self._wrong(error)
        return self.running

    def _drawn(self, marks: set[str]) -> None:
        lab = self.session
        if "pick" in marks:
            self.pick = self._picked()
        if lab is None:
            self.code = {}
            return self._snapshot(True)
        if "cell" in marks and self._elsewhere(lab):
            marks |= {"matrix", "run", "results", "choice"}
        if not self.running and not self._finished and getattr(lab, "job", None) is not None:
            self._finished = True
            self._steps = {}
            marks |= {"matrix", "run", "results", "choice"}
        if marks & {"matrix"} and not self.running:
            self._draw_matrix(lab)
        if marks & {"results", "matrix"}:
            self.tolerances = results.tolerances(lab)
            self.results = results.shown(lab, results.stale(lab, self.matrix["cells"], self._steps))
            if len(marks & {"results", "matrix"}):
                self.accuracy = results.accuracy(lab)
            if any(row["batches"] for row in self.results["rows"]) and not self.folds.get(
                "results"
            ):
                self.folds = {**self.folds, "results": True}
        if marks & {"run", "beat", "results", "matrix"}:
            self._draw_run(lab)
        if marks & {"choice", "results"} and not self.running and self.results.get("rows"):
            self.choice = choose.choice(lab, self.objective, self.limits)
            if self._finished and self.choice["choice"] and "choose" not in self.folds:
                self.folds = {**self.folds, "choose": True}
        if marks & {"code", "matrix", "run"}:
            self.code = code.lines(
                self._opened_as, self.wanted, self.until, self.settings, self.selection,
                self.tolerance, self.limits, self.objective, self.axis, self.chosen,
                self.repository,
            )  # fmt: skip
        return self._snapshot(not self.running)

    def _draw_matrix(self, lab: Any) -> None:
        if not hasattr(lab, "preview"):  # a run that was loaded: nothing of it can be run here
            self.matrix = matrix.grid([], lab.run_data.reference, False)
            return
        verify = self.verify is not None or lab.source.metric is not None
        found = self._targets = self._targets or lab.targets
        drawn = matrix.grid(found, lab.run_data.reference, verify)
        if not self.matrix.get("rows"):
            self.matrix = drawn
            if not self.wanted:
                preset = drawn["presets"].get("quick") or drawn["presets"].get("all")
                self.wanted = preset["targets"] if preset else []
            self.send_state(["matrix", "wanted"])
        if found.available:
            until = "verify" if lab.source.metric is not None else "profile"
            preview = lab.preview(targets=found.available, until=until, **self.settings)
            self._steps = matrix.foretold(preview.forecasts)
        drawn["steps"] = self._steps
        self.matrix = drawn

    def _draw_run(self, lab: Any) -> None:
        job = getattr(lab, "job", None)
        made: dict[str, Any] = dict(IDLE)
        if job is not None:
            state = "running" if not job.done else "failed" if job.error is not None else "done"
            if state == "done" and job.board.count("cancelled"):
                state = "cancelled"
            until = lab.request.until if lab.request is not None else ""
            made = stages.job(state, until, self._asked, job.board, self._began, time.time())
            if job.error is not None:
                made["error"] = getattr(job.error, "message", None) or repr(job.error)
                made["remedy"] = getattr(job.error, "remedy", "")
            made["cancelling"] = self._cancelling and state == "running"
        rows = {row["target"]: row for row in self.results.get("rows", [])}
        base = max(
            (b["throughput"] for b in rows.get(lab.run_data.reference, {}).get("batches", [])),
            default=None,
        )
        board = made["steps"] if made["state"] == "running" else {}
        if self.matrix.get("cells"):
            made["states"] = matrix.states(
                self.matrix, board, made["targets"] if board else (), rows, made["until"], base
            )
        self.run_state = made
        if not self._shown_log:
            self.printed = {"step": "", "text": "\n".join(list(self._said)[-60:])}

    def _elsewhere(self, lab: Any) -> bool:
        """Whether a cell did something to the session that this panel has not heard of."""
        request = getattr(lab, "request", None)
        if request is not None and self.running and not self._asked:
            self._asked = list(request.targets)
        wanted = lab.tolerance
        own = None if self.tolerance is None else Tolerance(**self.tolerance)
        if wanted != own and (wanted is None or isinstance(wanted, Tolerance)):
            self.unobserve(self._moved, names="tolerance")
            keys = ("relative", "absolute", "spread", "sqnr_db", "bias")
            self.tolerance = None if wanted is None else {k: getattr(wanted, k) for k in keys}
            self.observe(self._moved, names="tolerance")
            return True
        return len(lab.run_data.targets) != len(self.results.get("rows", [])) and not self.running

    def _picked(self) -> dict[str, Any]:
        folder = Path.cwd()
        lab = self.session
        models, samples = (
            pick.models(self._namespace, folder),
            pick.samples(self._namespace, folder),
        )
        if lab is not None and not self.picked:  # opened by a cell
            models.insert(0, pick.as_open(lab))
            samples.insert(0, pick.as_open(lab))
        return {
            "models": models,
            "samples": samples,
            "machine": pick.machine(None if lab is None else lab.run_data.host),
            "chosen": {k: self.picked.get(k, "") for k in ("model", "samples")},
            "session": None if lab is None else pick.opened(lab),
            **self._opening,
        }

    def _wrong(self, error: Exception) -> None:
        words = (
            error.message
            if isinstance(error, NavigatorError)
            else f"{type(error).__name__}: {error}"
        )
        remedy = getattr(error, "remedy", "")
        if self.session is None:
            self._opening = {"state": "failed", "words": "", "error": words, "remedy": remedy}
            self.pick = self._picked()
        else:
            self.run_state = {**self.run_state, "error": words, "remedy": remedy}

    # on demand

    def _show_log(self, content: Mapping[str, Any]) -> None:
        lab, step = self._lab(), str(content.get("step", ""))
        if target := str(content.get("target", "")):
            texts = [f"── {stage}\n{text}" for stage, text in lab[target].logs.items() if text]
            self._shown_log = target
            self.printed = {"step": target, "text": _bounded("\n".join(texts))}
            return
        self._shown_log = step
        path = lab.root / self._logs.get(step, "") if step else None
        if path is not None and step in self._logs and path.is_file():
            text = path.read_text(errors="replace")
        else:
            text = "\n".join(line for line in self._said if not step or f"  {step}" in line)
        failed = next(
            (s.outcome for r in lab.run_data.targets for s in r.steps if s.label == step), None
        )
        trace = getattr(getattr(failed, "failure", None), "trace", "")
        self.printed = {"step": step, "text": _bounded(text + trace)}

    def _show_detail(self, content: Mapping[str, Any]) -> None:
        cell = results.detail(self._lab(), str(content["target"]), str(content["output"]))
        self.detail = {**self.detail, "cell": cell}

    def _show_reproduce(self, content: Mapping[str, Any]) -> None:
        target = str(content["target"])
        found = self._lab()[target].reproduce
        text = "\n".join(found.values()) or "No step of it ran in this workspace."
        self.detail = {**self.detail, "reproduce": {"target": target, "text": text}}

    # display

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)
        self._static = display(HTML(self.static_html()), display_id=True)

    def static_html(self) -> str:
        """The results as HTML that needs neither kernel nor script."""
        return snapshot.static_html(self.session, self.results, self.choice)

    def _snapshot(self, last: bool) -> None:
        """Keep the copy in the notebook's file true: every few seconds, and at the end."""
        if self._static is None or (not last and time.monotonic() - self._static_at < 5):
            return
        from IPython.display import HTML

        text = self.static_html()
        if text != getattr(self, "_static_text", ""):
            self._static_text, self._static_at = text, time.monotonic()
            self._static.update(HTML(text))


def _bounded(text: str, lines: int = 400) -> str:
    kept = text.splitlines()[-lines:]
    return "\n".join(line[:2000] for line in kept)


def _shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def _names(shell: Any) -> dict[str, Any]:
    return shell.user_ns if shell is not None else {}
