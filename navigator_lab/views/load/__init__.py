"""Loads on a live server: latency by rate, where the time goes, and which batches were made."""

from .data import Bar, Curve, Info, Point, info
from .drawing import draw
from .page import page

__all__ = ["Bar", "Curve", "Info", "Point", "draw", "info", "page"]
