"""What changed is drawn by one thread of its own, four times a second at most; the last always."""

from __future__ import annotations

import threading
from collections.abc import Callable

PAUSE_S = 0.25


class Pump:
    """``mark`` says what is no longer as drawn; ``draw`` is called with all marks gathered.

    While ``draw`` answers True it is called again every second, marked ``beat``.
    """

    def __init__(self, draw: Callable[[set[str]], bool], pause_s: float = PAUSE_S) -> None:
        self._draw, self._pause_s = draw, pause_s
        self._marked: set[str] = set()
        self._change = threading.Condition()
        self._closed = False
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name="navigator-panel", daemon=True)
        self._thread.start()

    def mark(self, *names: str) -> None:
        """May be called from any thread, as often as one likes."""
        with self._change:
            self._marked |= set(names)
            self._idle.clear()
            self._change.notify()

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was marked is drawn."""
        if threading.current_thread() is self._thread:
            return False
        return self._idle.wait(timeout_s)

    def close(self) -> None:
        """No drawing after this, but for one that is under way."""
        with self._change:
            self._closed = True
            self._change.notify()

    def _run(self) -> None:
        again = False
        while True:
            with self._change:
                if not self._marked:
                    self._idle.set()
                heard = self._change.wait_for(
                    lambda: bool(self._marked) or self._closed, 1.0 if again else None
                )
                if self._closed:
                    self._idle.set()
                    return
                marks = self._marked if heard else {"beat"}
                self._marked = set()
            again = self._draw(marks)
            with self._change:
                self._change.wait_for(lambda: self._closed, self._pause_s)
