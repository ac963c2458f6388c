"""Loads on a live server: closed loop, open loop, the highest rate within a limit, settings swept.

The requests leave from processes of their own (`navigator_lab.triton.pressing`); here is decided
what is asked next, and what the times say. Latency counts from when a request was meant to leave.
"""

from .press import Press, schedule
from .search import SWEPT, highest, sweep

__all__ = ["SWEPT", "Press", "highest", "schedule", "sweep"]
