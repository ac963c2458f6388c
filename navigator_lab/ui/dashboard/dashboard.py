"""The dashboard of a session: what is clicked sets state or starts a job, and returns at once.

Nothing is worked out in a comm's handler: handlers mark what changed, and one thread draws it
(`pump`). The job itself is the session's; this is a view of it, and may come and go.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import traitlets as t

from ...errors import NavigatorError, RequestError
from ...session import mixing
from ...types.event import Event, Finished, Progressed, Started
from ...types.measure import Tolerance
from ...types.outcome import Done, Outcome
from ...types.request import Load
from . import drawing, opening, shipping, showing
from .configuring import Configuring
from .displayed import Displayed
from .pump import Pump

SETTINGS = {"max_batch": Load().max_batch, "seconds": Load().seconds}
_EVERYTHING = ("pick", "matrix", "run", "results", "choice", "code")
# What each trait of the user's changes in what is shown.
_CHANGES = {
    "wanted": ("code",), "settings": ("matrix", "code"), "until": ("code",),
    "selection": ("code",), "chosen": ("code",), "limits": ("choice", "code"),
    "objective": ("choice", "code"), "repository": ("code",), "axis": ("code",),
    "configuration": ("config", "code"),
}  # fmt: skip


_POINTED = ("selection", "chosen", "limits")  # the session has them too


class Dashboard(Displayed):
    """``Dashboard(lab)``, or ``Dashboard()`` to pick a model in it. Display it as a cell's value.

    The traits that a user moves: `wanted` (targets), `settings` (how they are timed), `selection`,
    `chosen`, `tolerance` (None: the defaults by precision), `limits` (as `Session.choose` takes
    them), `objective`, `configuration` (fields of the package: see `panels.configure.FIELDS`),
    `tab`, `axis`, `batch`, `folds`. All can be set and observed from cells.

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
        self._steps: dict[str, dict[str, Any]] = {}
        self._logs: dict[str, str] = {}
        self._accuracies: dict[str, Any] = {}
        self._said: deque[str] = deque(maxlen=200)
        self._shown_log = ""
        self._asked: list[str] = []
        self._began = 0.0
        self._job: Any = None  # that this panel started
        self._run_data: Any = None  # as it was drawn
        self._kept: Any = None  # (job, what it was at its end)
        self._opening: dict[str, str] = {"state": "", "words": "", "error": "", "remedy": ""}
        self._opened_as = ""
        self._cancelling = False
        self._ended: Any = None  # the job whose end was drawn
        self._targets: Any = None
        super().__init__(settings=dict(SETTINGS))
        self.pick = drawing.picked(self)
        self._pump = Pump(self._draw)
        self._configuring = Configuring(self)
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
        self._runnable()
        if not self.wanted:
            raise RequestError("no target is selected", "select some in the matrix")
        return self._start(list(self.wanted), until or self.until)

    def mix(self, target: str, keep: Sequence[int]) -> Any:
        """Run a target with so many of its most sensitive nodes in fp32: a `Job` at once."""
        return self._start(mixing.asked(target, keep), "profile", stay=True)

    def _start(self, targets: list[str], until: str, stay: bool = False) -> Any:
        lab = self._runnable()
        asked: dict[str, Any] = {"targets": targets, "until": until, **self.settings}
        if until == "verify" and self.verify is not None:
            asked["verify"] = self.verify
        self._asked, self._began = targets, time.time()
        self._said.clear()
        self._cancelling = False
        job = self._job = lab.start(**asked)
        if stay:  # targets that the matrix doesn't know yet
            self._targets = None
            self._pump.mark("matrix")
        else:
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

    def preview(self, target: str | None = None) -> None:
        """Show the configuration of a target's package, to be edited; nothing is written."""
        self._configuring.show(target or self.target)

    def export(self, target: str | None = None, repository: str | Path | None = None) -> None:
        """Put a target's package into a Triton repository, in the background."""
        shipping.start(self, target or self.target, str(repository or self.repository))

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
        if not hasattr(self, "_pump"):  # it never came to be: ipywidgets 7 closes that, too
            return
        self._pump.close()
        self._listen(self.session, None)
        if self._shell is not None:
            self._shell.events.unregister("post_run_cell", self._after_cell)
            self._shell = None
        super().close()

    def _runnable(self) -> Any:
        lab = self._lab()
        if not hasattr(lab, "start"):
            whose = "another kernel's" if hasattr(lab, "poll") else "loaded from a file"
            raise RequestError(
                f"this run is {whose}: its results are here, and no models",
                "open the model with nav.explore(...): what is in its workspace is not done again",
            )
        return lab

    def _lab(self) -> Any:
        if self.session is None:
            raise RequestError("no model is open", "open one, or dashboard.session = lab")
        return self.session

    # what is heard

    def _message(self, _: Any, content: Any, __: Any) -> None:
        """A click. Nothing here takes time; what goes wrong is shown, never lost."""
        does: dict[str, Callable[[], Any]] = {
            "open": lambda: opening.start_picked(self),
            "run": lambda: self.run(content.get("until")),
            "cancel": self.cancel,
            "export": lambda: self.export(content.get("target")),
            "preview": lambda: self.preview(content.get("target")),
            "log": lambda: showing.log(self, content),
            "detail": lambda: showing.detail(self, content),
            "mix": lambda: self.mix(content.get("target"), content.get("keep") or ()),
            "reproduce": lambda: showing.reproduce(self, content),
            "seen": lambda: self.seen(content.get("sent") or {}),
        }
        action = does.get(str(content.get("do"))) if isinstance(content, dict) else None
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
            if change["name"] in _POINTED and self.session is not None:
                try:
                    setattr(self.session, change["name"], change["new"])
                except RequestError as error:  # of a click: it has no caller
                    self._wrong(error)
            self._pump.mark(*_CHANGES[change["name"]])

    def _pointed(self, change: dict[str, Any]) -> None:
        """A cell, or another panel, pointed at something of the session."""
        if change["name"] == "tolerance":
            self._pump.mark("cell")
        elif getattr(self, change["name"]) != change["new"]:
            setattr(self, change["name"], change["new"])

    def _changed_session(self, change: Any) -> None:
        self._listen(change["old"], change["new"])
        self._steps, self._targets, self._job = {}, None, None
        new = change["new"]
        self.selection, self.chosen = (new.selection, new.chosen) if new is not None else ([], "")
        if new is not None:
            self.limits = new.limits or self.limits
        self.wanted = []
        self.exported, self.detail, self.configuration = {}, {}, {}
        self._configuring.target = ""
        # Of a run that was loaded from a file nothing can be run: its results are what there is.
        runs = new is None or hasattr(new, "start") or hasattr(new, "poll")
        self.folds = {**self.folds, "pick": runs, "targets": runs, "run": runs}
        self._ended = None
        self._pump.mark(*_EVERYTHING)

    def _listen(self, old: Any, new: Any) -> None:
        if old is not None:
            old.unobserve(self._pointed)
        if new is not None:
            new.observe(self._pointed)
        for lab, there in ((old, False), (new, True)):
            listeners = getattr(lab, "listeners", None)
            if listeners is None:
                continue
            if there:
                for event in list(getattr(lab, "finished", {}).values()):
                    self._hear(event)
                listeners.append(self._hear)
            elif self._hear in listeners:
                listeners.remove(self._hear)

    def _hear(self, event: Event) -> None:
        """From the engine's thread: note it, mark it, go."""
        stamp = time.strftime("%H:%M:%S", time.localtime(event.at or None))
        match event:
            case Started(step, why, _):
                self._said.append(f"{stamp}  {step}  starts: {'; '.join(why) or 'asked for'}")
            case Progressed(step, text, _, _):
                self._said.append(f"{stamp}  {step}  {text}")
            case Finished(step, outcome, _, _, log):
                if log:
                    self._logs[step] = log
                self._said.append(f"{stamp}  {step}  {_ended(outcome)}")
                self._pump.mark("results")
        self._pump.mark("run")

    def _after_cell(self, *_: Any) -> None:
        """A cell may have made variables, run the session or moved its tolerance."""
        self._pump.mark("pick", "cell")

    # what is drawn, in the pump's thread

    def _draw(self, marks: set[str]) -> bool:
        ended = self._ended
        try:
            with self.gathered():
                drawing.draw(self, marks)
            if ended is not self._ended:
                self.whole()
        except Exception as error:  # noqa: BLE001 -- the thread must live, and the panel say why
            self._wrong(error)
        # Not "is it running": it may have ended since it was drawn, and the end is to be drawn too.
        job = getattr(self.session, "job", None)
        return job is not None and self._ended is not job

    def _wrong(self, error: Exception) -> None:
        words = (
            error.message
            if isinstance(error, NavigatorError)
            else f"{type(error).__name__}: {error}"
        )
        remedy = getattr(error, "remedy", "")
        if self.session is None:
            self._opening = {"state": "failed", "words": "", "error": words, "remedy": remedy}
            self.pick = drawing.picked(self)
        else:
            self.run_state = {**self.run_state, "error": words, "remedy": remedy}


def _ended(outcome: Outcome) -> str:
    if isinstance(outcome, Done):
        return "from the store" if outcome.cached else f"done in {outcome.seconds:.2g} s"
    return outcome.reason


def _shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def _names(shell: Any) -> dict[str, Any]:
    return shell.user_ns if shell is not None else {}
