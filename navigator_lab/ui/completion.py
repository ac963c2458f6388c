"""Tab after ``%navigator``: commands, options, and the names that each option takes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..types.target import Precision
from .magic.arguments import OBJECTIVES, commands

if TYPE_CHECKING:
    from .magic.commands import Commands

_LINE = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%%?navigator[ \t]+(?P<rest>.*)$")
_PATHS = ("load", "save", "package")  # commands whose words are files
_COMMAND_ONLY = ("verify",)  # what a cell magic can be


class Completer:
    """Offers what can be typed next; reads the current session, changes nothing."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands

    def match(self, context: Any) -> dict[str, Any]:
        """IPython's matcher, version 2."""
        found = _LINE.match(context.text_until_cursor)
        if found is None or (context.cursor_line and "%%" in context.text_until_cursor):
            return {"completions": []}
        before, word = _split(found["rest"])
        typed = word.rpartition(",")[2]
        names = self.names(before, word, cell="%%" in context.text_until_cursor)
        near = [n for n in names if n.startswith(typed)]
        # IPython completes its own token, which ends sooner than a word: "onnx:int8@ort-cpu".
        token = context.token if typed.endswith(context.token) else typed
        cut = len(typed) - len(token)
        from IPython.core.completer import SimpleCompletion

        made = [SimpleCompletion(n[cut:], type="magic") for n in near]
        return {
            "completions": made,
            "matched_fragment": token,
            "suppress": bool(made),
            "ordered": True,
        }

    match.matcher_api_version = 2  # type: ignore[attr-defined]
    match.matcher_identifier = "navigator_lab"  # type: ignore[attr-defined]

    def names(self, before: list[str], word: str, cell: bool = False) -> list[str]:
        """What can stand in the place of ``word``, after the words before it."""
        known = commands(self.commands.tree)
        if not before:
            return [n for n in known if not cell or n in _COMMAND_ONLY]
        one = known.get(before[0])
        if one is None:
            return []
        options = {text: action for action in one._actions for text in action.option_strings}
        last = options.get(before[-1])
        if len(before) > 1 and last is not None and last.nargs != 0:
            return self._values(before[0], last)
        if word.startswith("-"):
            return [o for o in options if o.startswith("--")]
        places = [a for a in one._actions if not a.option_strings and a.dest != "help"]
        taken = _positionals(before[1:], options)
        many = places and places[-1].nargs == "+"
        if taken < len(places) or many:
            found = self._values(before[0], places[min(taken, len(places) - 1)])
            if found or before[0] in _PATHS:
                return found
        return [o for o in options if o.startswith("--")]

    def _values(self, command: str, action: argparse.Action) -> list[str]:
        """The values of an option or a place in the line."""
        if action.choices is not None:
            return [str(c) for c in action.choices]
        name = action.dest
        if name in ("model", "samples", "session", "metric", "out"):
            return self.commands.current.variables()
        if name == "id":
            kept = Path("navigator_workspace", "runs").glob("*/run.json")
            return sorted((path.parent.name for path in kept), reverse=True)[:50]
        if name == "precisions":
            return [str(p) for p in Precision]
        if name == "objective":
            return list(OBJECTIVES)
        if command in _PATHS and name != "target":
            return []
        return self._of_session(name)

    def _of_session(self, name: str) -> list[str]:
        from ..errors import RequestError
        from ..session import Session

        try:
            session = self.commands.current.get()
        except RequestError:
            return []
        ran = [str(t.target) for t in session.run_data.targets]
        if name in ("target", "against"):
            return ran
        if name == "targets":
            return ran or (session.targets.available if isinstance(session, Session) else [])
        if name == "output":
            return [spec.name for spec in session.signature.outputs]
        if name == "stage":
            return list(dict.fromkeys(s.stage for t in session.run_data.targets for s in t.steps))
        if name == "only":
            return [*(str(p) for p in Precision), *(s.name for s in session.signature.outputs)]
        part = {"formats": "format", "runners": "runner", "devices": "device"}.get(name)
        if part is None:
            return []
        if not isinstance(session, Session):
            return list(dict.fromkeys(str(getattr(r, part)) for r in session.results))
        return list(dict.fromkeys(str(getattr(s.target, part)) for s in session.targets))


def _split(rest: str) -> tuple[list[str], str]:
    """The whole words, and the one that is being typed."""
    words = rest.split(" ")
    return [w for w in words[:-1] if w], words[-1]


def _positionals(words: list[str], options: dict[str, argparse.Action]) -> int:
    count, skip = 0, False
    for word in words:
        if skip:
            skip = False
        elif word in options:
            skip = options[word].nargs != 0
        elif not word.startswith("-"):
            count += 1
    return count
