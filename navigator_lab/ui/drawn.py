"""A view in a notebook: its data, its figure, and words for where no figure can be drawn."""

from __future__ import annotations

import json
from typing import Any

from ..views.theme import CONFIG


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
        made["application/vnd.plotly.v1+json"] = {**figure, "config": CONFIG}
        if self._html:
            made["text/html"] = self._html
        return made

    def __repr__(self) -> str:
        return self.words
