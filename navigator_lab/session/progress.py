"""A progress bar with an estimate of what is left, on a terminal. Draws a board, nothing else."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from ..views.numbers import seconds
from .job import Job


@contextlib.contextmanager
def shown(job: Job, wanted: bool | None) -> Iterator[None]:
    """A bar on stderr while the job runs; by default only where stderr is a terminal."""
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
    )
    over = threading.Event()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("planning", total=None, left="")

        def draw() -> None:
            while not over.wait(0.25):
                board = job.board
                left = board.seconds_left(time.time())
                now = board.running
                state = board.steps[now[-1]] if now else None
                text = f"{now[-1]}  {state.text}" if state else "planning"
                bar.update(
                    task,
                    total=len(board.steps) or None,
                    completed=board.settled,
                    description=text[: max(20, console.width - 60)],
                    left="" if left is None else f"about {seconds(left)} left",
                )

        thread = threading.Thread(target=draw, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
