"""A run in the background: it survives the cell that started it, and can be awaited or cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

from ..views.board import Board
from ..views.results import Results


class Job:
    """``await job`` or ``job.wait()`` gives the results; ``job.cancel()`` ends it within a second."""

    def __init__(
        self,
        work: Callable[[], Any],
        results: Callable[[], Results],
        cancel: Callable[[], None],
        board: Board,
        request: str,
    ) -> None:
        self.board = board
        self.request = request
        self.error: BaseException | None = None
        self._results, self._cancel = results, cancel
        self._over = threading.Event()
        self._loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._run, args=(work,), name="navigator-run", daemon=True
        )
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- handed to whoever waits
            self.error = error
        finally:
            with self._lock:
                self._over.set()
                waiting, self._loops = self._loops, []
            for loop, future in waiting:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, future)

    @property
    def done(self) -> bool:
        return self._over.is_set()

    def wait(self, timeout_s: float | None = None) -> Results:
        """The results, once it is done.

        Raises:
            TimeoutError: it isn't done within ``timeout_s``; it goes on.
            NavigatorError: what ended the run itself. A step that fails is a row, no error.
        """
        if not self._over.wait(timeout_s):
            raise TimeoutError(f"not done after {timeout_s} s; it goes on, job.cancel() ends it")
        if self.error is not None:
            raise self.error
        return self._results()

    @property
    def results(self) -> Results:
        """What is known so far."""
        return self._results()

    def cancel(self) -> None:
        """End it: what runs is killed, finished steps are kept."""
        if not self.done:
            self._cancel()

    def __await__(self) -> Generator[Any, None, Results]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if not self._over.is_set():
                self._loops.append((loop, future))
            else:
                future.set_result(None)
        yield from future.__await__()
        return self.wait(0)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"job ended by {type(self.error).__name__}: {self.error}"
        total, settled = len(self.board.steps), self.board.settled
        if self.done:
            return f"job done: {settled} steps settled"
        running = ", ".join(self.board.running) or "planning"
        return f"job running: {settled} of {total} steps settled; now {running}"


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
