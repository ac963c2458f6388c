"""TensorRT and TensorRT-RTX: one API in two libraries, loaded, and heard.

Nothing is built and nothing is run here.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from navigator_lab.errors import NavigatorError
from navigator_lab.types.cache import cache_folder

LEAST = (10, 13)  # of TensorRT: where the strongly typed path has all that is used here


@dataclass(frozen=True, slots=True)
class Library:
    """One of the two: ``name`` is its distribution and the format that it builds."""

    name: str
    module: str
    title: str
    needs: tuple[str, ...]


TENSORRT = Library("tensorrt", "tensorrt", "TensorRT", ("tensorrt|tensorrt-cu13|tensorrt-cu12",))
RTX = Library(
    "tensorrt-rtx",
    "tensorrt_rtx",
    "TensorRT-RTX",
    ("tensorrt-rtx|tensorrt-rtx-cu13|tensorrt-rtx-cu12",),
)


def loaded(library: Library) -> Any:
    """The library's Python module.

    Raises:
        NavigatorError: it can't be loaded, or is too old.
    """
    try:
        trt = importlib.import_module(library.module)
    except (ImportError, OSError) as error:
        raise NavigatorError(
            f"{library.title} is installed but can't be loaded: {error}",
            f"pip install --force-reinstall {library.name}: its libraries come with it",
        ) from error
    if library is TENSORRT and numbers(trt.__version__)[:2] < LEAST:
        raise NavigatorError(
            f"TensorRT {trt.__version__} is older than {'.'.join(map(str, LEAST))}",
            "pip install --upgrade tensorrt",
        )
    return trt


def numbers(version: str) -> tuple[int, ...]:
    """A version's leading numbers, as they compare."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def polygraphy(library: Library) -> Any:
    """Polygraphy's loaders, on that library: it serves one of the two in a process.

    Raises:
        NavigatorError: it serves the other one already.
    """
    from polygraphy import config

    wanted = library is RTX
    if "polygraphy.backend.trt" not in sys.modules:
        config.USE_TENSORRT_RTX = wanted  # its loaders look at it once, when they are imported
    elif wanted != config.USE_TENSORRT_RTX:
        raise NavigatorError(
            f"Polygraphy serves {(TENSORRT if wanted else RTX).title} in this process, and not "
            f"{library.title}",
            "build it in a process of its own, as a session's workers do",
        )
    from polygraphy.backend import trt

    return trt


@cache
def log(trt: Any) -> Any:
    """The library's logger. It takes one for the whole process, and keeps to it.

    ``errors`` are those since they were last cleared: what is raised says less.
    """

    class Log(trt.ILogger):  # type: ignore[misc]  # its base has no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, said: str) -> None:
            if severity in (self.ERROR, self.INTERNAL_ERROR):
                self.errors.append(said)
            if severity != self.VERBOSE:
                sys.stderr.write(f"{severity.name.lower()}: {said}\n")

    made = Log()
    trt.init_libnvinfer_plugins(made, "")
    return made


def capability(member: str) -> str:
    """``SM89`` as ``8.9``."""
    digits = member.removeprefix("SM")
    return f"{digits[:-1]}.{digits[-1]}" if digits.isdigit() else ""


def capabilities(trt: Any) -> tuple[str, ...]:
    """The compute capabilities that this TensorRT-RTX can build for."""
    return tuple(c for c in map(capability, trt.ComputeCapability.__members__) if c)


def kept(kind: str, *facts: str) -> Path:
    """The file in the user's cache for what is found out on a machine and good for another time."""
    name = "".join(c if c.isalnum() or c in ".-" else "-" for c in "-".join(facts))
    return cache_folder() / kind / f"{name}.cache"


def sm(capability: str) -> str:
    """``8.9`` as ``sm_89``."""
    return "sm_" + capability.replace(".", "")
