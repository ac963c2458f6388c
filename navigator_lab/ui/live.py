"""A job as it goes: one output that is redrawn at most five times a second, the last one always.

What it leaves in the notebook is plain HTML, and text beside it: it reads the same without a
kernel. Draws a board; decides nothing.
"""

from __future__ import annotations

import threading
import time
from html import escape
from typing import TYPE_CHECKING, Any

from ..views.numbers import seconds
from ..views.theme import LIGHT

if TYPE_CHECKING:
    from ..session import Job

PERIOD_S = 0.25
_LOOK_S = 0.03  # so that the end of a short job is not waited for
_SHOWN = 6  # running and failed steps that are named


class Live:
    """The view of one job under a title: ``profile digits``."""

    def __init__(self, job: Job, title: str) -> None:
        self.job = job
        self.title = title
        self.note = ""
        self._began = time.time()
        self._handle: Any = None
        self._drawn = 0.0
        self._last: dict[str, str] = {}

    def follow(self) -> bool:
        """Show it until it is done. False if the user interrupted: the job goes on."""
        self._draw()
        try:
            while not self.job.done:
                # Not in `job.wait`: an error of the run belongs to whoever asks for its results.
                time.sleep(_LOOK_S)
                if time.monotonic() - self._drawn >= PERIOD_S:
                    self._draw()
        except KeyboardInterrupt:
            self.note = (
                "detached: the job goes on. %navigator wait attaches again, "
                "%navigator cancel ends it"
            )
            self._draw()
            return False
        self._draw()
        return True

    def pump(self) -> None:
        """Show it from a thread, until it is done."""
        self._draw()

        def work() -> None:
            while not self.job.done:
                time.sleep(PERIOD_S)
                self._draw()
            self._draw()

        threading.Thread(target=work, name="navigator-live", daemon=True).start()

    def _draw(self) -> None:
        from IPython.display import display

        self._drawn = time.monotonic()
        made = {"text/plain": self.text(), "text/html": self.html()}
        if made == self._last:
            return
        self._last = made
        if self._handle is None:
            self._handle = display(made, raw=True, display_id=True)
        else:
            self._handle.update(made, raw=True)

    # what it says

    def _said(self) -> tuple[str, list[tuple[str, str, str]], float]:
        """The headline, (mark, step, text) of what is worth a line, and how far it is."""
        board, job = self.job.board, self.job
        steps = dict(board.steps)
        total = len(steps)
        failed = [(n, s) for n, s in steps.items() if s.state == "failed"]
        ran = sum(1 for s in steps.values() if s.state == "done")
        parts = []
        if job.done:
            parts += [
                f"{ran} {'step' if ran == 1 else 'steps'} ran",
                f"{board.count('cached')} from the store",
            ]
            for word in ("failed", "skipped", "cancelled"):
                if count := board.count(word):
                    parts.append(f"{count} {word}")
            parts.append(seconds(time.time() - self._began))
            if job.error is not None:
                parts.append(f"ended by {type(job.error).__name__}: {job.error}")
        else:
            parts.append(f"{board.settled} of {total} steps" if total else "planning")
            parts.append(f"{seconds(time.time() - self._began)} so far")
            left = board.seconds_left(time.time())
            if left is not None and total:
                parts.append(f"about {seconds(left)} left")
        lines = []
        for name in board.running[:_SHOWN] if not job.done else []:
            lines.append(("◔", name, steps[name].text if name in steps else ""))
        lines += [("✗", name, state.text) for name, state in failed[:_SHOWN]]
        if len(failed) > _SHOWN:
            lines.append(("✗", f"and {len(failed) - _SHOWN} more", ""))
        share = 1.0 if job.done else board.settled / total if total else 0.0
        return f"{self.title}: {' · '.join(parts)}", lines, share

    def text(self) -> str:
        """For a terminal, and for those who read the file."""
        headline, lines, _ = self._said()
        made = [
            headline,
            *(f"  {mark} {name}  {_cut(text)}".rstrip() for mark, name, text in lines),
        ]
        return "\n".join([*made, *([f"  {self.note}"] if self.note else [])])

    def html(self) -> str:
        """For a notebook. Styles are inline: a file that is shown elsewhere keeps them."""
        headline, lines, share = self._said()
        colour = LIGHT.running if not self.job.done else LIGHT.done
        rows = "".join(
            f'<tr><td style="text-align:left;padding:0 6px 0 0;color:'
            f'{LIGHT.failed if mark == "✗" else LIGHT.running}">{mark}</td>'
            f'<td style="text-align:left;padding:0 12px 0 0"><code>{escape(name)}</code></td>'
            f'<td style="text-align:left;padding:0">{escape(_cut(text))}</td></tr>'
            for mark, name, text in lines
        )
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        table = f'<table style="margin:4px 0">{rows}</table>' if rows else ""
        return (
            f'<div class="navigator-live"><div>{escape(headline)}</div>'
            f'<div style="height:3px;width:320px;max-width:100%;margin:4px 0;'
            f'background:rgba(128,128,128,.25)"><div style="height:3px;width:{share:.1%};'
            f'background:{colour}"></div></div>{table}{note}</div>'
        )


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 140 else plain[:139] + "…"
