"""Brings goals about: each step once, from the store if it can, else in a worker.

One thread decides (`run`); workers only send it messages. What a step costs beyond its action is
one look into the store, one line of JSON each way and two events.

How work is laid on the machine: builds share ``slots`` workers. So does what measures, until it
asks for its first turn (`At.turn`): to import and to open a model is no measurement. From there on
it runs when nothing else does, several candidates open at once and one after the other: at each
turn the one is stopped (SIGSTOP: its threads spin for nobody) and the next goes on, so that a drift
of the machine hits all alike.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog import Catalog
from ..errors import NavigatorError
from ..types.codec import canonical, decode, encode
from ..types.event import Event, Finished, Planned, Progressed, Started
from ..types.outcome import Cancelled, Done, Failed, Failure, Outcome, Product, Skipped
from ..types.plugin import Action, Host
from ..types.step import Given, Step, in_order
from .keys import Codes, difference, facts, key
from .store import Store
from .wall import Wall, how_it_ended

Listener = Callable[[Event], None]
_TICK_S = 0.25
_TIMEOUT_S = 1800.0
_RETIRE_BYTES = 3 << 30  # a warm worker that holds more than this after a job is replaced


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the machine a run may use."""

    slots: int = 2  # builds at once
    together: int = 6  # measured candidates open at once
    memory_bytes: int = 0  # of one worker; 0: no limit
    timeout_s: float | None = None  # of one step; None: what its action says, or half an hour


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known of a step before it runs."""

    step: str
    state: str  # "fresh", "stale", "unknown" (its inputs are not settled yet), "failed"
    why: tuple[str, ...] = ()
    seconds: float | None = None  # expected, from earlier runs; None if nothing like it ran yet
    bytes: int | None = None


@dataclass(eq=False)
class _Running:
    """A step in work. ``deadline`` counts only the time in which it may run."""

    step: Step
    action: Action
    key: str
    facts: dict[str, Any]
    claim: int
    inputs: dict[str, Product]
    why: tuple[str, ...]
    python: str
    fresh: bool  # it, or a runner it uses, wants a process of its own
    timeout_s: float
    wall: Wall | None = None
    out: Path | None = None
    begun: float = 0.0
    left_s: float = 0.0
    resumed: float = 0.0
    spent_s: float = 0.0
    stage: str = "queued"  # queued, running, waiting (for its turn to measure), over
    killed: Failure | None = None

    def spent(self) -> float:
        """Seconds in which it ran, the time it was stopped left out."""
        return self.spent_s + (time.monotonic() - self.resumed if self.stage == "running" else 0)


@dataclass
class _Run:
    """All that one call of `Engine.run` keeps."""

    outcomes: dict[Step, Outcome] = field(default_factory=dict)
    missing: dict[Step, int] = field(default_factory=dict)
    dependants: dict[Step, list[Step]] = field(default_factory=dict)
    ready: deque[Step] = field(default_factory=deque)
    builds: deque[_Running] = field(default_factory=deque)
    measures: deque[_Running] = field(default_factory=deque)
    elsewhere: list[Step] = field(default_factory=list)  # another process works on them
    active: dict[Wall, _Running] = field(default_factory=dict)
    waiting: deque[_Running] = field(default_factory=deque)  # measured ones, for their turn
    holder: _Running | None = None  # whose turn it is
    retry_failed: bool = False
    watched: float = 0.0


class Engine:
    """Settles steps. One run at a time; `cancel` may come from any thread."""

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        host: Host,
        version_in: Callable[[str, str], str | None],
        *,
        limits: Limits | None = None,
        environments: Mapping[str, str] | None = None,
    ) -> None:
        self.catalog, self.store, self.host = catalog, store, host
        self.limits = limits or Limits()
        self.environments = dict(environments or {})
        self.listeners: list[Listener] = []
        self._version_in = version_in
        self._codes = Codes(store)
        self._inbox: queue.Queue[tuple[Wall | None, dict[str, Any]]] = queue.Queue()
        self._idle: list[Wall] = []
        self._cancelled = threading.Event()
        self._one = threading.Lock()
        self._known: dict[str, Product] = {}

    # what a user of the engine calls

    def run(
        self, goals: Iterable[Step], *, run: str = "", retry_failed: bool = False
    ) -> dict[Step, Outcome]:
        """Settle the goals and all that they rest on; an outcome for every step."""
        with self._one:
            order = tuple(in_order(goals))
            self._cancelled.clear()
            self._known.clear()
            state = self._begin(order)
            state.retry_failed = retry_failed
            self._tell(Planned(run, tuple(str(s) for s in order), time.time()))
            try:
                while len(state.outcomes) < len(order):
                    self._advance(state)
                self.store.used({p.digest for p in self._known.values()})
            finally:
                self._abandon(state)
            return state.outcomes

    def cancel(self) -> None:
        """End the run under way: what runs is killed, what waits is not begun."""
        self._cancelled.set()
        self._inbox.put((None, {}))

    def close(self) -> None:
        """End all workers."""
        self.cancel()
        for wall in self._idle:
            wall.close()
        self._idle.clear()

    def preview(self, goals: Iterable[Step]) -> list[Forecast]:
        """What a run of these goals would do. Runs nothing."""
        settled: dict[Step, Product] = {}
        made = []
        for step in in_order(goals):
            inputs = self._inputs(step, settled)
            cost = self.store.cost(str(step), step.action)
            seconds, size = cost or (None, None)
            if inputs is None:
                made.append(Forecast(str(step), "unknown", (), seconds, size))
                continue
            known = self._facts(step, inputs)
            if known is None:
                made.append(Forecast(str(step), "failed", ("it is not available here",)))
            elif found := self.store.recall(key(known)):
                settled[step] = found[1]
                made.append(Forecast(str(step), "fresh", (), 0.0, 0))
            elif self.store.failed(key(known)):
                made.append(Forecast(str(step), "failed", ("failed last time",), 0.0, 0))
            else:
                last = self.store.last(str(step))
                why = difference(last[0] if last else None, known)
                made.append(Forecast(str(step), "stale", why, seconds, size))
        return made

    def _inputs(self, step: Step, settled: Mapping[Step, Product]) -> dict[str, Product] | None:
        found = {}
        for name, needed in step.inputs:
            product = self._given(needed) if isinstance(needed, Given) else settled.get(needed)
            if product is None:
                return None
            found[name] = product
        return found

    # deciding

    def _begin(self, order: tuple[Step, ...]) -> _Run:
        state = _Run()
        for step in order:
            needed = {s for _, s in step.inputs if isinstance(s, Step)}
            needed |= {gate.step for gate in step.gates}
            state.missing[step] = len(needed)
            for one in needed:
                state.dependants.setdefault(one, []).append(step)
            if not needed:
                state.ready.append(step)
        return state

    def _advance(self, state: _Run) -> None:
        while state.ready and not self._cancelled.is_set():
            self._settle(state, state.ready.popleft())
        if self._cancelled.is_set():
            self._cancel_rest(state)
            return
        if time.monotonic() - state.watched > _TICK_S:
            state.watched = time.monotonic()
            self._watch(state)
            state.ready.extend(state.elsewhere)
            state.elsewhere.clear()
            if state.ready:
                return
        self._dispatch(state)
        if not (state.active or state.elsewhere or state.builds or state.measures):
            return
        try:
            wall, message = self._inbox.get(timeout=_TICK_S)
        except queue.Empty:
            return
        if wall is not None:
            self._hear(state, wall, message)

    def _settle(self, state: _Run, step: Step) -> None:
        for gate in step.gates:
            if (closed := _closed(gate.step, gate.field, state.outcomes[gate.step])) is not None:
                self._finish(state, step, closed)
                return
        inputs: dict[str, Product] = {}
        for name, needed in step.inputs:
            if isinstance(needed, Given):
                product = self._given(needed)
                if product is None:
                    self._finish(state, step, Skipped(
                        f"{needed.name} is no longer in the workspace", "open the session again"))  # fmt: skip
                    return
            else:
                outcome = state.outcomes[needed]
                if not isinstance(outcome, Done):
                    self._finish(state, step, _inherited(needed, outcome))
                    return
                product = outcome.product
            inputs[name] = product
        known = self._facts(step, inputs)
        if known is None:
            self._finish(state, step, self._unavailable(step))
            return
        name = key(known)
        if self._recall(state, step, name):
            return
        claim = self.store.try_claim(name)
        if claim is None:
            state.elsewhere.append(step)
            return
        if self._recall(state, step, name):  # made while we asked
            self.store.release(claim)
            return
        last = self.store.last(str(step))
        why = difference(last[0] if last else None, known)
        action = self.catalog.actions[step.action]
        with contextlib.suppress(FileNotFoundError):
            (self.store.step_folder(name) / "log.txt").unlink()
        actions = self._actions(step) or []
        running = _Running(
            step, action, name, known, claim, inputs, why, self._python(step),
            any(a.fresh for a in actions),
            self.limits.timeout_s
            or max((a.timeout_s for a in actions if a.timeout_s), default=_TIMEOUT_S),
        )  # fmt: skip
        (state.measures if action.measures else state.builds).append(running)

    def _recall(self, state: _Run, step: Step, name: str) -> bool:
        if found := self.store.recall(name):
            record, product = found
            outcome: Outcome = Done(product, record.seconds, True, "from the store")
            self._finish(state, step, outcome, name)
            return True
        if not state.retry_failed and (failed := self.store.failed(name)):
            failure, seconds = failed
            self._finish(state, step, Failed(failure, seconds, recalled=True), name)
            return True
        return False

    def _given(self, given: Given) -> Product | None:
        if given.digest not in self._known:
            product = self.store.product(given.digest)
            if product is None:
                return None
            self._known[given.digest] = product
        return self._known[given.digest]

    def _actions(self, step: Step) -> list[Action] | None:
        names = (step.action, *(f"runner {name}" for name in step.uses))
        found = [self.catalog.actions.get(name) for name in names]
        return None if None in found else [a for a in found if a is not None]

    def _facts(self, step: Step, inputs: Mapping[str, Product]) -> dict[str, Any] | None:
        actions, python = self._actions(step), self._python(step)
        if actions is None:
            return None

        def versions(name: str, action: Action | None = None) -> str | None:
            return self._version_in(python, name)

        for action in actions:
            if self.catalog.unavailable(action, self.host, versions):
                return None
        digests = {n: p.digest for n, p in inputs.items()}
        return facts(step, actions, digests, self.host, versions, self._codes)

    def version(self, name: str, action: Action) -> str | None:
        """The version of a distribution where an action would run; None if it isn't there."""
        return self._version_in(self._in_environment(self.catalog.aliases(action)), name)

    def _in_environment(self, names: Iterable[str]) -> str:
        return next((self.environments[n] for n in names if n in self.environments), sys.executable)

    def _unavailable(self, step: Step) -> Skipped:
        python = self._python(step)
        for action in self._actions(step) or ():
            why = self.catalog.unavailable(
                action, self.host, lambda name, _: self._version_in(python, name)
            )
            if why:
                return Skipped(why.reason, why.remedy)
        return Skipped(f"no plug-in declares {step.action!r}", "install the plug-in that did")

    def _python(self, step: Step) -> str:
        names = [step.action, *step.uses]
        if step.about is not None:
            names.append(step.about.format)
        return self._in_environment(names)

    # acting

    def _dispatch(self, state: _Run) -> None:
        """Lay what waits on the machine: builds first, then what measures, in turn."""
        if state.holder is not None:
            return
        working = [r for r in state.active.values() if r.stage == "running"]
        opened = sum(r.action.measures for r in state.active.values())
        while len(working) < self.limits.slots:
            if state.builds:
                running = state.builds.popleft()
            elif state.measures and opened < self.limits.together:
                running = state.measures.popleft()
                opened += 1
            else:
                break
            self._start(state, running, self._wall(running))
            working.append(running)
        if working or not state.waiting:
            return
        running = state.holder = state.waiting.popleft()
        assert running.wall is not None
        self._quiet(True)
        running.wall.resume()
        running.stage, running.resumed = "running", time.monotonic()
        running.wall.send({"go": True})

    def _wall(self, running: _Running) -> Wall:
        if not running.fresh:
            for wall in self._idle:
                if wall.python == running.python and wall.alive:
                    self._idle.remove(wall)
                    if wall.stopped:
                        wall.resume()
                    return wall
        log = self.store.step_folder(running.key) / "log.txt"
        return Wall(
            lambda wall, message: self._inbox.put((wall, message)),
            log,
            running.python,
            sharing=not running.action.measures,
        )

    def _start(self, state: _Run, running: _Running, wall: Wall) -> None:
        running.wall, running.out = wall, self.store.scratch()
        running.stage = "running"
        running.begun = running.resumed = time.monotonic()
        running.left_s = running.timeout_s
        folder = self.store.step_folder(running.key)
        step = running.step
        job = {
            "action": step.action,
            "about": None if step.about is None else str(step.about),
            "options": encode(step.options),
            "run_options": encode(step.run_options),
            "uses": [f"runner {name}" for name in step.uses],
            "inputs": encode(running.inputs),
            "out": str(running.out),
            "log": str(folder / "log.txt"),
            "plugins": list(self.catalog.plugins),
            # What is measured has the machine to itself; the rest shares it.
            "threads": None
            if running.action.measures
            else max(1, self.host.cores // self.limits.slots),
        }
        (folder / "job.json").write_bytes(canonical(job))
        state.active[wall] = running
        self._tell(Started(str(step), running.why, time.time()))
        wall.send(job)

    def _hear(self, state: _Run, wall: Wall, message: dict[str, Any]) -> None:
        running = state.active.get(wall)
        if running is None:
            if "ended" in message and wall in self._idle:
                self._idle.remove(wall)
            return
        match message:
            case {"say": text, **more}:
                share = more.get("share")
                share = float(share) if isinstance(share, int | float) else None
                self._tell(Progressed(str(running.step), str(text), share, time.time()))
            case {"turn": _}:
                self._turn(state, running, wall)
            case {"done": value}:
                self._release(state, running, reuse=True)
                self._keep(state, running, value)
            case {"failed": said}:
                self._release(state, running, reuse=True)
                self._fail(state, running, decode(Failure, said))
            case {"garbage": said}:
                wall.kill()
                running.killed = Failure(
                    "Garbage", f"the worker wrote {said!r} where a message belongs",
                    "something in it writes to a file descriptor that is not its own", "")  # fmt: skip
            case {"ended": code}:
                self._release(state, running, reuse=False)
                words, lasting = how_it_ended(int(code))
                remedy = f"its log tells more: {self._log(running)}"
                died = Failure("WorkerDied", words, remedy, "", lasting)
                self._fail(state, running, running.killed or died)
            case _:
                pass  # "ready"

    def _turn(self, state: _Run, running: _Running, wall: Wall) -> None:
        if state.holder is running:
            if not (state.waiting or state.builds or state.measures):
                wall.send({"go": True})
                return
            state.holder = None
        running.spent_s, running.stage = running.spent(), "waiting"
        wall.stop()
        state.waiting.append(running)

    def _release(self, state: _Run, running: _Running, *, reuse: bool) -> None:
        wall = running.wall
        assert wall is not None
        running.spent_s, running.stage = running.spent(), "over"
        state.active.pop(wall, None)
        if state.holder is running:
            state.holder = None
            if not state.waiting:
                self._quiet(False)
        with contextlib.suppress(ValueError):
            state.waiting.remove(running)
        spare = len(self._idle) < self.limits.slots and not running.fresh
        if reuse and spare and wall.memory_bytes(family=False) < _RETIRE_BYTES:
            self._idle.append(wall)
        else:
            wall.close()

    def _quiet(self, wanted: bool) -> None:
        """While something is measured, idle workers are stopped: their thread pools may spin."""
        for wall in self._idle:
            if wanted and not wall.stopped:
                wall.stop()
            elif not wanted and wall.stopped:
                wall.resume()

    def _keep(self, state: _Run, running: _Running, value: Any) -> None:
        assert running.out is not None
        step, seconds = running.step, running.spent_s
        try:
            product = self.store.keep(running.out, value)
            self.store.remember(running.key, str(step), running.facts, product, seconds)
        except NavigatorError as error:
            failure = Failure(type(error).__name__, error.message, error.remedy, "", lasting=False)
            self._fail(state, running, failure)
            return
        self.store.release(running.claim)
        self._finish(
            state, step, Done(product, seconds, False, "; ".join(running.why)), running.key
        )

    def _fail(self, state: _Run, running: _Running, failure: Failure) -> None:
        if running.out is not None:
            shutil.rmtree(running.out, ignore_errors=True)
        seconds = running.spent_s
        if failure.lasting:
            self.store.remember_failure(
                running.key, str(running.step), running.facts, failure, seconds
            )
        self.store.release(running.claim)
        self._finish(state, running.step, Failed(failure, seconds), running.key)

    def _finish(self, state: _Run, step: Step, outcome: Outcome, name: str = "") -> None:
        state.outcomes[step] = outcome
        if isinstance(outcome, Done):
            self._known[outcome.product.digest] = outcome.product
        for one in state.dependants.get(step, ()):
            state.missing[one] -= 1
            if not state.missing[one]:
                state.ready.append(one)
        log = f"steps/{name[:2]}/{name}/log.txt" if name else ""
        self._tell(Finished(str(step), outcome, time.time(), name, log))

    def _watch(self, state: _Run) -> None:
        """Kill what has used up its time or its memory."""
        for wall, running in state.active.items():
            if running.stage != "running" or running.killed:
                continue
            if running.spent() > running.left_s:
                running.killed = Failure(
                    "TimedOut", f"no answer within {running.left_s:g} s; the worker was ended",
                    "give it more time (timeout_s=…), or leave this target out", "", lasting=False)  # fmt: skip
            elif self._over(wall, running):
                limit = self.limits.memory_bytes / 2**30
                running.killed = Failure(
                    "MemoryLimit", f"the worker used more than {limit:.1f} GiB; it was ended",
                    "raise memory_limit_bytes, use a smaller batch, or leave this target out", "",
                    lasting=False)  # fmt: skip
            else:
                continue
            wall.kill()

    def _over(self, wall: Wall, running: _Running) -> bool:
        limit = self.limits.memory_bytes
        return bool(limit) and wall.memory_bytes(not running.action.measures) > limit

    def _cancel_rest(self, state: _Run) -> None:
        for wall in list(state.active):
            wall.kill()
        for step in state.missing:
            if step not in state.outcomes:
                self._finish(state, step, Cancelled())

    def _abandon(self, state: _Run) -> None:
        """Leave nothing behind, however the run ended."""
        for wall, running in state.active.items():
            wall.kill()
            self.store.release(running.claim)
            if running.out is not None:
                shutil.rmtree(running.out, ignore_errors=True)
        for running in (*state.builds, *state.measures):
            self.store.release(running.claim)
        state.active.clear()
        self._quiet(False)

    def _log(self, running: _Running) -> str:
        return f"{self.store.step_folder(running.key) / 'log.txt'}"

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


def _closed(step: Step, field: str, outcome: Outcome) -> Outcome | None:
    """Why a gate is closed; None if it is open."""
    if not isinstance(outcome, Done):
        return _inherited(step, outcome)
    if field and not (outcome.product.value or {}).get(field):
        return Skipped(f"{step}: {field} is not true")
    return None


def _inherited(needed: Step, outcome: Outcome) -> Outcome:
    """The outcome of a step whose input was not made: the reason travels down unchanged."""
    match outcome:
        case Failed(failure):
            return Skipped(f"{needed} failed: {failure.message}", failure.remedy)
        case Cancelled():
            return outcome
        case Skipped():
            return outcome
    raise AssertionError(outcome)
