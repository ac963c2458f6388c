"""How a panel comes onto a page: in its cell, beside the notebook, and as a copy in the file."""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakValueDictionary

from ...errors import RequestError
from ..panels import snapshot
from ..widgets.panel import Panel

_IN_CELLS: WeakValueDictionary[str, Panel] = WeakValueDictionary()


class Displayed(Panel):
    """A panel with a static copy beside it, for where no kernel answers."""

    session: Any
    _shell: Any
    _static: Any = None
    _static_at = 0.0
    _static_text = ""

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        # A cell that is run again replaces what it showed: that panel is not needed any more.
        if cell := _cell(self._shell):
            before = _IN_CELLS.get(cell)
            if before is not None and before is not self:
                before.close()
            _IN_CELLS[cell] = self
        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)
        self._static = display(HTML(self.static_html()), display_id=True)

    def aside(self) -> None:
        """Show it in a panel beside the notebook: it stays there whatever the cells do.

        Raises:
            RequestError: the package that can is not installed.
        """
        from IPython.display import display

        try:
            from sidecar import Sidecar
        except ModuleNotFoundError:
            raise RequestError(
                "a panel beside the notebook needs the package sidecar",
                "pip install sidecar, then load the page anew; or %navigator without --side",
            ) from None
        name = self.session.name if self.session is not None else "a model"
        with Sidecar(title=f"Navigator: {name}", anchor="split-right"):
            display(self)

    def static_html(self) -> str:
        """The results as HTML that needs neither kernel nor script."""
        return snapshot.static_html(self.session, self.results, self.choice)

    def _snapshot(self, last: bool) -> None:
        """Keep the copy in the notebook's file true: every few seconds, and at the end."""
        if self._static is None or (not last and time.monotonic() - self._static_at < 10):
            return
        from IPython.display import HTML

        text = self.static_html()
        if text != self._static_text:
            self._static_text, self._static_at = text, time.monotonic()
            self._static.update(HTML(text))


def _cell(shell: Any) -> str:
    """The notebook's cell that is being run; "" where the front end doesn't say."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else None
    return str(((parent or {}).get("metadata") or {}).get("cellId") or "")
