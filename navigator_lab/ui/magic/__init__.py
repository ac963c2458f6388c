"""``%navigator``: every step of the work as one line in a cell. Parses, calls a session, shows."""

from __future__ import annotations

from typing import Any

from ...errors import NavigatorError
from ..completion import Completer
from .arguments import Asked, documentation, parser
from .commands import Commands

_LOADED = "_navigator_lab_magic"  # where the shell keeps what must be taken away again


def load(shell: Any) -> None:
    """Register the magic and its completions with a shell; again is harmless."""
    if getattr(shell, _LOADED, None) is not None:
        return
    commands = Commands(shell)

    def navigator(line: str, cell: str | None = None) -> Any:
        from IPython.core.error import UsageError

        try:
            return commands(line, cell)
        except Asked as help:
            print(help)  # noqa: T201 -- it was asked for
        except NavigatorError as error:
            # The fact and the remedy are all there is to say: no trace of our own code.
            raise UsageError(str(error)) from None
        return None

    navigator.__doc__ = documentation(parser())
    shell.register_magic_function(navigator, magic_kind="line_cell", magic_name="navigator")
    completer = Completer(commands)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(completer.match)
    setattr(shell, _LOADED, (commands, completer))


def unload(shell: Any) -> None:
    """Take the magic and its completions away."""
    loaded = getattr(shell, _LOADED, None)
    if loaded is None:
        return
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("navigator", None)
    matchers = shell.Completer.custom_matchers
    shell.Completer.custom_matchers = [m for m in matchers if m != loaded[1].match]
    setattr(shell, _LOADED, None)
