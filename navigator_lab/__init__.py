"""navigator_lab: from a model to its best deployment on Triton Inference Server, interactively.

The map of rooms:

- `types`: the nouns, frozen dataclasses and one JSON codec
- `errors`: what can be wrong, drawn as a tree; each with its remedy
- `sources`: how a model and samples are taken in and fingerprinted
- `formats`: what a model can be built as; one file a format, with its edges
- `runners`: what executes a format; one file a runtime
- `stages`: what is asked of a target: infer, compare, profile, verify, package
- `catalog`: collects what plug-ins declare; what is reachable, what is missing and why
- `plan`: a request becomes steps; pure
- `engine`: settles steps, from the store or in a worker process
- `environments`: interpreters by name, for what can't live beside the rest
- `choose`: rows, an objective and limits become a choice; pure
- `triton`: the shipping side: configuration, repository, checks, server
- `views`: how results read: plain data first, then a drawing
- `session`: what a user holds; where all of the above is wired
- `cli`: the same requests from a shell; `demo` its embedded default, `doctor` what is missing
- `ui`: where a user touches in a notebook: the magic, the dashboard
- `lab`: JupyterLab on a copy of the `notebooks`
- `testing`: a toy format for tests, and contract tests for plug-in authors

Importing the package loads no framework and sets nothing global.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environments import environment
    from .session import Explored, Job, Session, attach, explore, load
    from .types.measure import Tolerance
    from .types.request import Load, Request
    from .types.target import Device, Precision, Target, Variant

__version__ = "0.1.0"

_WHERE = {
    "Device": "types.target",
    "Explored": "session",
    "Job": "session",
    "Load": "types.request",
    "Precision": "types.target",
    "Request": "types.request",
    "Session": "session",
    "Target": "types.target",
    "Tolerance": "types.measure",
    "Variant": "types.target",
    "attach": "session",
    "environment": "environments",
    "explore": "session",
    "load": "session",
}

__all__ = [
    "Device",
    "Explored",
    "Job",
    "Load",
    "Precision",
    "Request",
    "Session",
    "Target",
    "Tolerance",
    "Variant",
    "__version__",
    "attach",
    "environment",
    "explore",
    "load",
]


def __getattr__(name: str) -> Any:
    """Names of the front door, brought when first asked for; submodules too (``nav.errors``)."""
    import importlib

    if name in _WHERE:
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    elif name.startswith("_"):
        raise AttributeError(name)
    else:
        try:
            value = importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext navigator_lab`` in a notebook: brings ``%navigator``."""
    from .ui import load_ipython_extension as load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext navigator_lab``: takes it away."""
    from .ui import unload_ipython_extension as unload

    unload(shell)


def __dir__() -> list[str]:
    return __all__
