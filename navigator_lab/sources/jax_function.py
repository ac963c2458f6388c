"""A JAX function that `jax.jit` made, its parameters bound: ``jax.jit(functools.partial(apply, params))``.

It is written as any python callable is; what makes it more is that it can be traced and exported.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from . import python_callable
from .captured import Captured, How, variant


def recognise(model: Any) -> bool:
    """True if it is a jitted function."""
    stages = getattr(sys.modules.get("jax"), "stages", None)
    return stages is not None and isinstance(model, stages.Wrapped)


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError with the remedy."""
    return replace(python_callable.capture(model, how), variant=variant("jax"))
