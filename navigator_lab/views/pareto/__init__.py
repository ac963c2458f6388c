"""Throughput against latency (or memory, size, load time): which targets no other beats in both."""

from .data import LIMITS, Info, Line, Point, info
from .drawing import draw

__all__ = ["LIMITS", "Info", "Line", "Point", "draw", "info"]
