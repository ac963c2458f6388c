"""Whose code it is: an installed package's, known by its version, or the user's own."""

from __future__ import annotations

import sys
import sysconfig
import types
from functools import cache
from pathlib import Path


def installed_version(module_name: str | None) -> str | None:
    """The version of the installed package that a module is of; None for the user's own.

    The user's own is what runs as ``__main__`` (a notebook too), was made without a file, or lies
    outside the folders of installed packages, editable installs among them.
    """
    if not module_name or module_name == "__main__":
        return None
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"python {sys.version_info.major}.{sys.version_info.minor}"
    # A part of a compiled extension is a module without a file of its own.
    files = (_file(sys.modules[name]) for name in (module_name, top) if name in sys.modules)
    return _version(top, next((file for file in files if file), ""))


def _file(module: types.ModuleType) -> str:
    file = getattr(module, "__file__", None)
    if file:
        return str(file)
    spec = getattr(module, "__spec__", None)  # a namespace package has folders only
    return next(iter(getattr(spec, "submodule_search_locations", None) or ()), "")


@cache
def _version(top: str, file: str) -> str | None:
    if not file or not any(Path(file).resolve().is_relative_to(one) for one in _folders()):
        return None
    version = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(version, str):
        return version
    from importlib import metadata

    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:
        # A distribution with another name: reading all of them takes long, so it comes last.
        names = metadata.packages_distributions().get(top, ())
        return ",".join(f"{name} {metadata.version(name)}" for name in sorted(names)) or "?"


@cache
def _folders() -> tuple[Path, ...]:
    import site

    names = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    names.add(site.getusersitepackages())
    names.update(site.getsitepackages())
    return tuple(Path(name).resolve() for name in names if name)
