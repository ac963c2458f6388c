"""A view in a notebook: its data, its figure, and words for where no figure can be drawn."""

from __future__ import annotations

import json
from typing import Any

from ..views.theme import CONFIG
from . import static

_WORDS = {
    "pareto": static.front_text,
    "heatmap": static.heatmap_text,
    "latency": static.latency_text,
    "parallel": static.parallel_text,
    "timeline": static.timeline_text,
    "surface": static.surface_text,
}
_HTML = {"pareto": static.pareto_html, "heatmap": static.heatmap_html}


class Drawn:
    """``.info`` is the data, ``.figure`` the plotly figure; a cell shows it as its value."""

    def __init__(self, view: Any, info: Any, words: str, html: str = "", **how: Any) -> None:
        self.info = info
        self.words = words
        self._html = html
        self._view, self._how, self._figure = view, how, None

    @property
    def figure(self) -> Any:
        """The figure, drawn when first asked for."""
        if self._figure is None:
            self._figure = self._view.draw(self.info, **self._how)
        return self._figure

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"text/plain": self.words}
        try:
            figure = json.loads(self.figure.to_json())
        except ImportError as error:
            made["text/plain"] += f"\n(no drawing: {error.name} is missing; pip install plotly)"
            return made
        # Not plotly's own renderer: its button that uploads the chart must be off here.
        made["application/vnd.plotly.v1+json"] = {
            **figure,
            # Lab sizes a figure by itself; told to be responsive, it would forget its height.
            "config": {**CONFIG, "responsive": False},
        }
        if self._html:
            made["text/html"] = self._html
        return made

    def __repr__(self) -> str:
        return self.words


def show(view: Any, given: Any, *args: Any, dark: bool = False, **how: Any) -> Drawn:
    """A view as a cell shows it: ``show(nav.views.pareto, [lab, nav.load("old.nav")], "p99_ms")``.

    The other arguments are those of the view's ``info``; ``dark`` is for a dark notebook.
    """
    info = view.info(given, *args, **how)
    name = view.__name__.rpartition(".")[2]
    words, html = _WORDS.get(name, repr), _HTML.get(name)
    return Drawn(view, info, words(info), html(info) if html else "", dark=dark)
