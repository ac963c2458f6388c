"""The current session, and the user's variables: what names typed in a line mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import RequestError, unknown
from ...session import Explored, Session


class Current:
    """Which session a line is about, and what was asked of it last."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.session: Explored | None = None
        self.selection: dict[str, Any] = {}  # targets that the last stage was about
        self.how: dict[str, Any] = {}  # how it was timed: another way would be measured anew
        self.best: Any = None  # what was chosen last
        self.panel: Any = None  # the dashboard that was shown last: a model may be opened in it

    def take(self, session: Explored) -> None:
        """Make it the current one."""
        if session is not self.session:
            self.selection, self.how, self.best = {}, {}, None
        self.session = session

    def get(self) -> Explored:
        """The current session; or the only one that a variable holds.

        Raises:
            RequestError: there is none, or several.
        """
        session = self.find()
        if session is None:
            raise RequestError(
                "there is no session yet", "%navigator open MODEL --samples X, or load FILE"
            )
        return session

    def find(self) -> Explored | None:
        """The same; None if there is none.

        Raises:
            RequestError: there are several.
        """
        if self.session is not None:
            return self.session
        opened = getattr(self.panel, "session", None)
        if opened is not None:
            self.take(opened)
            return self.session
        found = {
            id(value): name
            for name, value in self.shell.user_ns.items()
            if isinstance(value, Explored) and not name.startswith("_")
        }
        if len(found) > 1:
            names = ", ".join(found.values())
            raise RequestError(f"several sessions are open: {names}", "%navigator use NAME")
        if found:
            self.take(self.shell.user_ns[next(iter(found.values()))])
        return self.session

    def live(self) -> Session:
        """The current session, if it can run something.

        Raises:
            RequestError: it is a loaded run, or there is none.
        """
        session = self.get()
        if not isinstance(session, Session):
            raise RequestError(
                f"{session.name} was loaded from a file: it holds results and nothing to run",
                "%navigator open MODEL --samples X runs; in the same workspace nothing is rebuilt",
            )
        return session

    def variables(self) -> list[str]:
        """The user's own names."""
        hidden = getattr(self.shell, "user_ns_hidden", {})
        return [
            n for n in self.shell.user_ns if not n.startswith("_") and n not in hidden and n != "In"
        ]

    def value(self, text: str, what: str) -> Any:
        """A variable (``model``, ``digits.model``), else a path or ``module:function`` as text.

        Raises:
            RequestError: neither; it suggests the nearest variable.
        """
        first, *rest = text.split(".")
        if first in self.shell.user_ns:
            value = self.shell.user_ns[first]
            for name in rest:
                if not hasattr(value, name):
                    have = [n for n in dir(value) if not n.startswith("_")]
                    raise unknown(f"part of {first}", name, have)
                value = getattr(value, name)
            return value
        if ":" in text or "/" in text or "\\" in text or Path(text).expanduser().exists():
            return text
        if Path(text).suffix:  # it looks like a file
            raise RequestError(f"{what} {text!r} is no variable, and there is no such file")
        raise unknown("variable", text, self.variables() or ["(none yet)"])

    def function(self, text: str) -> Any:
        """A variable that holds a function.

        Raises:
            RequestError: it doesn't.
        """
        made = self.value(text, "function")
        if not callable(made):
            raise RequestError(f"{text!r} is no function but a {type(made).__name__}")
        return made
