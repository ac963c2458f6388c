"""What ``%navigator`` shows: a session as one panel, and every gesture as a line of Python."""

from .dashboard import Dashboard

__all__ = ["Dashboard"]
