"""The view of loads as one HTML file, that needs neither a kernel nor a network."""

from __future__ import annotations

from html import escape
from typing import Any

from ..theme import CONFIG
from .data import info, tests_of
from .drawing import draw


def page(test: Any) -> str:
    """The plots, and beneath them what a terminal shows."""
    drawn = draw(info(test)).to_html(include_plotlyjs=True, full_html=False, config=CONFIG)
    told = "\n\n".join(map(str, tests_of(test)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>load</title></head>'
        f'<body>{drawn}<pre style="white-space: pre-wrap">{escape(told)}</pre></body></html>'
    )
