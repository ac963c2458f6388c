"""The widget: what is shown and what was done with it, as synced traits. It decides nothing.

Traits that the kernel writes are plain data for drawing; of them only what changed goes over the
wire (`wire`). Those that a user moves (`wanted`, `selection`, `chosen`, `tolerance`, `limits`, …)
can be set and observed from Python all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import anywidget  # noqa: TID253 -- the class itself is a widget; this module is loaded by a dashboard only
import traitlets as t

from . import wire
from .assemble import assembled, style

IDLE: dict[str, Any] = {
    "state": "idle",
    "until": "",
    "targets": [],
    "steps": {},
    "states": {},
    "left": None,
}


SHOWN = (
    "pick", "matrix", "run_state", "results", "accuracy", "tolerances", "choice", "detail",
    "printed", "configured", "exported", "code",
)  # fmt: skip


def _shown(default: Any = None) -> Any:
    return t.Dict(default or {}).tag(sync=True)


class Panel(anywidget.AnyWidget):
    """Everything that the browser draws."""

    _esm = assembled()
    _css = style()

    # the kernel's word
    pick = _shown()
    matrix = _shown()
    run_state = _shown(IDLE)
    results = _shown()
    accuracy = _shown()
    tolerances = _shown()
    choice = _shown()
    detail = _shown()
    printed = _shown()
    configured = _shown()
    exported = _shown()
    code = _shown()
    answered = t.Int(0).tag(sync=True)
    # The number of each of these when it was sent whole last: it stands for all changes up to it.
    sent = t.Dict(dict.fromkeys(SHOWN, 0)).tag(sync=True)

    # the user's
    picked = t.Dict().tag(sync=True)
    wanted = t.List(t.Unicode()).tag(sync=True)
    settings = t.Dict().tag(sync=True)
    until = t.Unicode("profile").tag(sync=True)
    selection = t.List(t.Unicode()).tag(sync=True)
    chosen = t.Unicode("").tag(sync=True)
    tolerance = t.Dict(default_value=None, allow_none=True).tag(sync=True)
    limits = t.Dict().tag(sync=True)
    objective = t.Unicode("throughput").tag(sync=True)
    repository = t.Unicode("model_repository").tag(sync=True)
    configuration = t.Dict().tag(sync=True)
    tab = t.Unicode("table").tag(sync=True)
    axis = t.Unicode("p50_ms").tag(sync=True)
    batch = t.Int(0).tag(sync=True)
    folds = t.Dict({"pick": True}).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._wire = threading.RLock()
        self._numbers = dict.fromkeys(SHOWN, 0)  # of the last change
        self._there: dict[str, Any] = {}  # what the browser has, of that which was sent
        self._behind: set[str] = set()  # traits that the browser put together from changes
        # A change is lost on a browser that listens not yet: until one says it does, all is whole.
        self._heard = False
        self._gathered: set[str] = set()
        self._gatherer = 0  # the thread that gathers
        super().__init__(**traits)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """What this thread changes meanwhile goes in one message at the end."""
        self._gatherer = threading.get_ident()
        try:
            yield
        finally:
            self._gatherer = 0
            self.flush()

    def flush(self) -> None:
        """Send what was gathered so far."""
        with self._wire:
            names, self._gathered = self._gathered, set()
            self._send_now(names)

    def whole(self) -> None:
        """Send whole what went as changes: a saved notebook keeps no changes, and what was lost
        on the way is there again."""
        with self._wire:
            names, self._behind = self._behind, set()
            self._send_whole(names)

    def seen(self, numbers: dict[str, int]) -> None:
        """A browser listens from now on, and has these: it is sent what is newer."""
        with self._wire:
            self._heard = True
            self._send_whole({name for name in SHOWN if numbers.get(name) != self._numbers[name]})

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Of all traits: what they are now, whatever was sent before."""
        with self._wire:
            state: dict[str, Any] = super().get_state(key, drop_defaults)
            return state if key is not None else {**state, "sent": dict(self._numbers)}

    def send_state(self, key: str | Iterable[str] | None = None) -> None:
        """Called by every trait that is set; ``None`` is a browser that asks for all there is."""
        with self._wire:
            if key is None:
                self._there = {name: getattr(self, name) for name in SHOWN}
                self._behind = set()
                super().send_state(None)
                return
            names = {key} if isinstance(key, str) else set(key)
            if self._gatherer == threading.get_ident():
                self._gathered |= names
            else:
                self._send_now(names)

    def _send_now(self, names: set[str]) -> None:
        changes, whole = {}, set()
        for name in names & set(SHOWN):
            new = getattr(self, name)
            if name not in self._there:
                whole.add(name)
                continue
            change = wire.change(self._there[name], new)
            if change is None:
                continue
            if self._heard and wire.worth(change, new):
                self._numbers[name] += 1
                changes[name] = [self._numbers[name], change]
                self._there[name] = new
                self._behind.add(name)
            else:
                whole.add(name)
        if changes:
            self.send({"changes": changes})
        self._send_whole(whole, names - {*SHOWN, "sent"})

    def _send_whole(self, shown: set[str], more: Iterable[str] = ()) -> None:
        for name in shown:
            self._numbers[name] += 1
            self.sent[name] = self._numbers[name]
            self._there[name] = getattr(self, name)
            self._behind.discard(name)
        names = {*shown, *more, *(["sent"] if shown else [])}
        if names:
            super().send_state(names)
