"""What a user holds: the only room where everything is wired."""

from .explored import Best, Explored, TargetView
from .following import Followed, attach
from .job import Job
from .opening import explore
from .saving import load
from .session import Session

__all__ = [
    "Best", "Explored", "Followed", "Job", "Session", "TargetView", "attach", "explore", "load",
]  # fmt: skip
