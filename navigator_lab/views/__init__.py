"""How results read: plain data first (`rows`, `info`), then a drawing of it.

Looks at types only: it is given runs, never an engine or a store. ``nav.views.pareto.info(lab)``
gives data, ``nav.views.pareto.draw(…)`` of it a plotly figure; so `drift`, `graph`,
`heatmap`, `latency`, `load`, `mixer`, `parallel`, `roofline`, `timeline`, `compare` and
`surface`. `report` makes one file of them.
"""

from __future__ import annotations

import importlib
from typing import Any

VIEWS = (
    "compare", "drift", "graph", "heatmap", "latency", "load", "mixer", "parallel", "pareto", "report",
    "roofline", "surface", "theme", "timeline",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """The views, each brought when first asked for."""
    if name in VIEWS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
