"""ES modules as one text: each becomes a function scope, in the order in which they need each other."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
_IMPORT = re.compile(r'^import (?:\{([^}]*)\}|\* as (\w+)) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|const|let|class) (\w+)", re.MULTILINE)


@cache
def assembled(entry: str = "panel") -> str:
    """The module ``entry`` and all that it imports, exporting ``{render}`` as anywidget asks.

    Raises:
        ValueError: modules that import each other in a circle, or an import that isn't understood.
    """
    texts: dict[str, str] = {}
    _collect(entry, texts, ())
    return "\n".join([*texts.values(), f"export default {{ render: {entry}_js.render }};", ""])


def _collect(name: str, texts: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"a circle of imports: {' -> '.join([*above, name])}")
    if name in texts:
        return
    source = (HERE / "js" / f"{name}.js").read_text(encoding="utf-8")
    for found in _IMPORT.finditer(source):
        _collect(found[3], texts, (*above, name))
    body = _IMPORT.sub(
        lambda m: f"const {m[2]} = {m[3]}_js;" if m[2] else f"const {{{m[1]}}} = {m[3]}_js;", source
    )
    names = [m[2] for m in _EXPORT.finditer(body)]
    body = _EXPORT.sub(r"\1 \2", body)
    if stray := re.search(r"^(?:import|export) .*$", body, re.MULTILINE):
        raise ValueError(f"{name}.js: {stray[0]!r} is not understood")
    texts[name] = f"const {name}_js = (() => {{\n{body}\nreturn {{ {', '.join(names)} }};\n}})();"


@cache
def style() -> str:
    """The style sheet."""
    return (HERE / "panel.css").read_text(encoding="utf-8")
