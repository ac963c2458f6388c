"""The shipping side: what goes into a Triton model repository, and a server to try it on.

- `config`, `fields`, `modelconfig`: Triton's own ``ModelConfig``, as text, in Python, and back
- `defaults`: what of it follows from what was measured, and why
- `tensors`, `native`, `carry`: how a target is said to Triton: its backend, or the Python backend
  with the measured runner
- `artefact`: what a model file says of itself
- `rehearsal`: whether the backend computes what was measured
- `repository`, `objectstore`, `additions`: adding to a repository, whole or not at all; `repositories`: listing,
  comparing and editing one; `placing`: a file from elsewhere in it
- `labels`, `environment`: what may lie beside a configuration: names of an output's elements, a packed
  environment of the Python backend
- `pythonmodel`, `ensembles`: Python functions as models, and pipelines of models
- `checks`: what a server would refuse, in its words
- `runtime`, `server`, `keeper`, `backends`: a real ``tritonserver`` on loopback; `remote`: one that
  runs already
- `wire`: its HTTP protocol, for a user's own process; `sending`, `sender`, `pressing`: the processes
  that replays and loads go out from; `perf_analyzer`: NVIDIA's, beside them
- `samples`: what a repository itself has to send

Which package a user gets is the stage's business (`navigator_lab.stages.package`); nothing here
knows of engines or sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checks import Finding, check, check_config, check_model
    from .ensembles import Ensemble, Step, ensemble
    from .modelconfig import ModelConfig
    from .pythonmodel import PythonModel, python_model
    from .repositories import Repository

_WHERE = {
    "Ensemble": "ensembles",
    "Finding": "checks",
    "ModelConfig": "modelconfig",
    "PythonModel": "pythonmodel",
    "Repository": "repositories",
    "Step": "ensembles",
    "check": "checks",
    "check_config": "checks",
    "check_model": "checks",
    "ensemble": "ensembles",
    "python_model": "pythonmodel",
}

__all__ = [
    "Ensemble",
    "Finding",
    "ModelConfig",
    "PythonModel",
    "Repository",
    "Step",
    "check",
    "check_config",
    "check_model",
    "ensemble",
    "python_model",
]


def __getattr__(name: str) -> Any:
    """Names of this room, brought when first asked for."""
    import importlib

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
