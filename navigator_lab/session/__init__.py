"""What a user holds: the only room where everything is wired."""

from .explored import Explored
from .following import Followed, attach
from .job import Job
from .opening import explore
from .saving import load
from .session import Session
from .viewed import Best, TargetView

__all__ = [
    "Best", "Explored", "Followed", "Job", "Session", "TargetView", "attach", "explore", "load",
]  # fmt: skip
