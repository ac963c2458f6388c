"""Finds plug-ins: our own files, entry points, and files or modules that are named.

It imports them, which brings nothing heavy, and runs none of their code.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType

ROOMS = ("formats", "runners", "stages")
ENTRY_POINTS = "navigator_lab"
VARIABLE = "NAVIGATOR_LAB_PLUGINS"  # files or modules, separated as PATH is


def named(plugins: Sequence[str | Path]) -> tuple[str, ...]:
    """Those of the environment variable, then ``plugins``."""
    always = [p for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    return tuple(str(p) for p in (*always, *plugins))


@lru_cache(maxsize=8)
def discovered(plugins: tuple[str, ...]) -> tuple[list[ModuleType], dict[str, str]]:
    """All plug-in modules, and why some could not be imported."""
    modules: list[ModuleType] = []
    broken: dict[str, str] = {}
    for room in ROOMS:
        package = importlib.import_module(f"navigator_lab.{room}")
        for found in pkgutil.iter_modules(package.__path__):
            modules.append(importlib.import_module(f"{package.__name__}.{found.name}"))
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            modules.append(point.load())
        except Exception as error:  # noqa: BLE001 -- foreign code: one bad plug-in is one row
            broken[point.value] = f"{type(error).__name__}: {error}"
    for plugin in plugins:
        try:
            modules.append(load_plugin(plugin))
        except Exception as error:  # noqa: BLE001 -- as above
            broken[plugin] = f"{type(error).__name__}: {error}"
    return modules, broken


def load_plugin(plugin: str) -> ModuleType:
    """A plug-in by its module name or by the path of its file."""
    if not plugin.endswith(".py"):
        return importlib.import_module(plugin)
    path = Path(plugin).resolve()
    name = f"navigator_lab_plugin_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no plug-in file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
