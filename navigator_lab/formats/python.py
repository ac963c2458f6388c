"""The user's own python callable, as it is: the source of models that no framework made.

It is written with cloudpickle when it is captured, so nothing here builds it.
"""

from __future__ import annotations

from ..types.plugin import Format

FORMAT = Format(
    "python",
    "callable.pkl",
    "a python callable of numpy arrays, pickled by value",
    family="Python",
)
