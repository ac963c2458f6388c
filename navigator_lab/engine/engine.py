"""Brings goals about: each step once, from the store if it can, else in a worker.

One thread decides (`run`); workers only send it messages. What a step costs beyond its action is
one look into the store, one line of JSON each way and two events. How work is laid on the machine
is `navigator_lab.engine.floor`'s.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalog import Catalog
from ..errors import NavigatorError
from ..types.codec import canonical, decode, encode
from ..types.event import Event, Finished, Planned, Progressed, Started
from ..types.outcome import Cancelled, Done, Failed, Failure, Outcome, Product, Skipped
from ..types.plugin import Host
from ..types.step import Given, Step, in_order
from .floor import Floor, Limits, Work
from .forecast import Forecast, forecast
from .keys import Codes, difference, key
from .store import Store
from .surroundings import Surroundings
from .wall import Wall, how_it_ended

Listener = Callable[[Event], None]
_TICK_S = 0.25
_TIMEOUT_S = 1800.0


@dataclass
class _Run:
    """All that one call of `Engine.run` keeps."""

    outcomes: dict[Step, Outcome] = field(default_factory=dict)
    missing: dict[Step, int] = field(default_factory=dict)
    dependants: dict[Step, list[Step]] = field(default_factory=dict)
    ready: deque[Step] = field(default_factory=deque)
    elsewhere: list[Step] = field(default_factory=list)  # another process works on them
    retry_failed: bool = False


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
        self.store = store
        self.around = Surroundings(catalog, host, version_in, Codes(store), environments or {})
        self.catalog, self.host = catalog, host
        self.version = self.around.version
        self.listeners: list[Listener] = []
        self._inbox: queue.Queue[tuple[Wall | None, dict[str, Any]]] = queue.Queue()
        self._floor = Floor(
            limits or Limits(), lambda wall, message: self._inbox.put((wall, message))
        )
        self._cancelled = threading.Event()
        self._one = threading.Lock()
        self._known: dict[str, Product] = {}

    # what a user of the engine calls

    @property
    def limits(self) -> Limits:
        """How much of the machine a run may use; of the next run, if it is set."""
        return self._floor.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._floor.limits = limits

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
                self._abandon()
            return state.outcomes

    def cancel(self) -> None:
        """End the run under way: what runs is killed, what waits is not begun."""
        self._cancelled.set()
        self._inbox.put((None, {}))

    def close(self) -> None:
        """End all workers."""
        self.cancel()
        self._floor.close()

    def preview(self, goals: Iterable[Step]) -> list[Forecast]:
        """What a run of these goals would do. Runs nothing."""
        return forecast(goals, self.store, self.around)

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
        if self._floor.watch():
            state.ready.extend(state.elsewhere)
            state.elsewhere.clear()
            if state.ready:
                return
        self._floor.dispatch(self._start)
        if not (self._floor.busy or state.elsewhere):
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
        known = self.around.facts(step, inputs)
        if known is None:
            self._finish(state, step, self.around.unavailable(step))
            return
        name = key(known)
        if self._recall(state, step, name):
            return
        claim = self.store.claims.take(name)
        if claim is None:
            state.elsewhere.append(step)
            return
        if self._recall(state, step, name):  # made while we asked
            self.store.claims.release(claim)
            return
        last = self.store.last(str(step))
        why = difference(last[0] if last else None, known)
        action = self.catalog.actions[step.action]
        actions = self.around.actions(step) or []
        work = Work(
            step, action, name, known, claim, inputs, why, self.around.python(step),
            any(a.fresh for a in actions),
            self.limits.timeout_s
            or max((a.timeout_s for a in actions if a.timeout_s), default=_TIMEOUT_S),
            self.store.step_folder(name),
            next((a.apart for a in actions if a.apart), ""),
        )  # fmt: skip
        work.log.unlink(missing_ok=True)
        self._floor.queue(work)

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

    # acting

    def _start(self, work: Work, wall: Wall) -> None:
        work.out = self.store.scratch()
        step = work.step
        job = {
            "action": step.action,
            "about": None if step.about is None else str(step.about),
            "options": encode(step.options),
            "run_options": encode(step.run_options),
            "uses": [f"runner {name}" for name in step.uses],
            "inputs": encode(work.inputs),
            "out": str(work.out),
            "log": str(work.log),
            "plugins": list(self.catalog.plugins),
            # What is measured has the machine to itself; the rest shares it.
            "threads": None
            if work.action.measures
            else max(1, self.host.cores // self.limits.slots),
        }
        (work.folder / "job.json").write_bytes(canonical(job))
        self._tell(Started(str(step), work.why, time.time()))
        wall.send(job)

    def _hear(self, state: _Run, wall: Wall, message: dict[str, Any]) -> None:
        work = self._floor.whose(wall, message)
        if work is None:
            return
        match message:
            case {"say": text, **more}:
                share = more.get("share")
                share = float(share) if isinstance(share, int | float) else None
                self._tell(Progressed(str(work.step), str(text), share, time.time()))
            case {"turn": _}:
                self._floor.turn(work)
            case {"done": value}:
                self._floor.release(work, reuse=True)
                self._keep(state, work, value)
            case {"failed": said}:
                self._floor.release(work, reuse=True)
                self._fail(state, work, decode(Failure, said))
            case {"garbage": said}:
                wall.kill()
                work.killed = Failure(
                    "Garbage", f"the worker wrote {said!r} where a message belongs",
                    "something in it writes to a file descriptor that is not its own", "")  # fmt: skip
            case {"ended": code}:
                self._floor.release(work, reuse=False)
                words, lasting = how_it_ended(int(code))
                remedy = f"its log tells more: {work.log}"
                died = Failure("WorkerDied", words, remedy, "", lasting)
                self._fail(state, work, work.killed or died)
            case _:
                pass  # "ready"

    def _keep(self, state: _Run, work: Work, value: Any) -> None:
        assert work.out is not None
        step, seconds = work.step, work.spent()
        try:
            product = self.store.keep(work.out, value)
            self.store.remember(work.key, str(step), work.facts, product, seconds)
        except NavigatorError as error:
            failure = Failure(type(error).__name__, error.message, error.remedy, "", lasting=False)
            self._fail(state, work, failure)
            return
        self.store.claims.release(work.claim)
        self._finish(state, step, Done(product, seconds, False, "; ".join(work.why)), work.key)

    def _fail(self, state: _Run, work: Work, failure: Failure) -> None:
        if work.out is not None:
            shutil.rmtree(work.out, ignore_errors=True)
        seconds = work.spent()
        if failure.lasting:
            self.store.remember_failure(work.key, str(work.step), work.facts, failure, seconds)
        self.store.claims.release(work.claim)
        self._finish(state, work.step, Failed(failure, seconds), work.key)

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

    def _cancel_rest(self, state: _Run) -> None:
        self._floor.kill()
        for step in state.missing:
            if step not in state.outcomes:
                self._finish(state, step, Cancelled())

    def _abandon(self) -> None:
        """Leave nothing behind, however the run ended."""
        for work in self._floor.clear():
            self.store.claims.release(work.claim)
            if work.out is not None:
                shutil.rmtree(work.out, ignore_errors=True)

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
