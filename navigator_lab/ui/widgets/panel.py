"""The widget: what is shown and what was done with it, as synced traits. It decides nothing.

Traits that the kernel writes are plain data for drawing; those that a user moves (`wanted`,
`selection`, `chosen`, `tolerance`, `limits`, …) can be set and observed from Python all the same.
"""

from __future__ import annotations

from typing import Any

import anywidget  # noqa: TID253 -- the class itself is a widget; this module is loaded by a dashboard only
import traitlets as t

from .assemble import assembled, style

IDLE = {"state": "idle", "until": "", "targets": [], "steps": {}, "states": {}, "left": None}


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
    exported = _shown()
    code = _shown()
    answered = t.Int(0).tag(sync=True)

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
    tab = t.Unicode("table").tag(sync=True)
    axis = t.Unicode("p50_ms").tag(sync=True)
    batch = t.Int(0).tag(sync=True)
    folds = t.Dict({"pick": True}).tag(sync=True)
