"""A package that Triton's Python backend serves with the very runner that was measured.

The version folder gets the model, ``model.py`` and the code of the runner, so that the server needs
the framework and nothing of ours. No second implementation of any runner lives here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import json
import pickletools
import re
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PackageError
from ..types.codec import encode
from ..types.outcome import Product
from ..types.plugin import Runner, alternatives
from ..types.signature import Signature
from ..types.target import Target

HOME = Path(__file__).resolve().parents[1]
ROOMS = ("types", "formats", "runners")  # what a runner may look into
CARRIED = "carried"
ARTEFACT = "artefact"
_SUBIMPORT = "\0subimport"
_PYTHON_2 = {"__builtin__", "copy_reg", "exceptions"}  # how old pickles call the standard library
MAX_PICKLE = 256 << 20  # bytes of a pickle's own stream that are looked through


@dataclass(frozen=True, slots=True)
class Carried:
    """The files of a version folder by relative path, and what a server must have besides."""

    files: dict[str, Path]
    requirements: tuple[str, ...]
    notes: tuple[str, ...]


def carry(
    target: Target,
    runner: Runner,
    model: Product,
    signature: Signature,
    made: Path,
    options: Any = None,
    why: str = "",
) -> Carried:
    """What must lie in the version folder. New files are written to ``made``, an empty folder.

    ``options``: the runner's. ``why``: the reason, where Triton has a backend of its own for the format.

    Raises:
        PackageError: the runner's code has no file that could be carried.
    """
    files = {f"{ARTEFACT}/{name}": model.path / name for name in artefact_files(model)}
    files["model.py"] = Path(__file__).with_name("carried") / "model.py"
    for room in ROOMS:
        for path in sorted((HOME / room).rglob("*.py")):
            files[f"{CARRIED}/navigator_lab/{path.relative_to(HOME)}"] = path
    files[f"{CARRIED}/navigator_lab/errors.py"] = HOME / "errors.py"
    front = made / "__init__.py"
    front.write_text('"""The part of navigator_lab that this model\'s runner needs."""\n')
    files[f"{CARRIED}/navigator_lab/__init__.py"] = front

    module = sys.modules[runner.action.fn.__module__]
    names = [name for name, value in vars(module).items() if value is runner]
    if not names:
        raise PackageError(
            f"the runner {runner.name!r} is no module-level value of {module.__name__}",
            "declare it with @runner at the top level of its file",
        )
    needed: set[str] = set()
    local: dict[str, Path] = {}
    modules = {module.__name__.partition(".")[0], *pickled_modules(model)}
    if module.__name__.startswith("navigator_lab."):
        path = Path(str(module.__file__)).resolve()
        files[f"{CARRIED}/navigator_lab/{path.relative_to(HOME)}"] = path
    for name in sorted(modules - {"navigator_lab", "__main__", "builtins"}):
        _place(name, local, needed)
    files |= {f"{CARRIED}/{name}": path for name, path in local.items()}

    requirements = sorted({*_installed(runner.action.needs), *needed, *_installed(("numpy",))})
    (made / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
    files["requirements.txt"] = made / "requirements.txt"
    serve = {
        "target": str(target),
        "signature": encode(signature),
        "runner": {"module": module.__name__, "name": names[0]},
        "options": encode(options),
        "threads": None,
        "value": model.value,
        "environment": {},
    }
    (made / "serve.json").write_text(json.dumps(serve, indent=1, sort_keys=True))
    files["serve.json"] = made / "serve.json"
    why = why or f"Triton has no backend of its own for {target.variant} on {runner.name}"
    notes = [
        f"{why}; so the Python backend serves it with the runner that was measured. The server's "
        f"Python must be 3.11 or newer and needs {', '.join(requirements)} (requirements.txt)"
    ]
    if local:
        own = sorted({name.partition("/")[0].removesuffix(".py") for name in local})
        notes.append(f"the model's own code is carried along: {', '.join(own)}")
    return Carried(files, tuple(requirements), tuple(notes))


def artefact_files(model: Product) -> list[str]:
    """The files of a product, by relative path."""
    return sorted(
        str(path.relative_to(model.path)) for path in model.path.rglob("*") if path.is_file()
    )


def _place(name: str, local: dict[str, Path], needed: set[str]) -> None:
    """Decide where a top-level module comes from: the standard library, a package, or the user."""
    if name in sys.stdlib_module_names:
        return
    found = sys.modules.get(name)
    origin = getattr(found, "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        origin = spec.origin if spec else None
    if origin is None:
        needed.add(name)
        return
    path = Path(origin).resolve()
    installed = {Path(sysconfig.get_path(p)).resolve() for p in ("purelib", "platlib", "stdlib")}
    if any(path.is_relative_to(folder) for folder in installed):
        packages = importlib.metadata.packages_distributions().get(name, [name])
        needed.update(_installed((packages[0],)) or (packages[0],))
    elif path.name == "__init__.py":
        for one in sorted(path.parent.rglob("*.py")):
            local[f"{name}/{one.relative_to(path.parent)}"] = one
    else:
        local[f"{name}.py"] = path


def _installed(needs: tuple[str, ...]) -> list[str]:
    """Distributions as requirement lines, with the version that is installed here."""
    lines = []
    for need in needs:
        for name, _ in alternatives(need):
            try:
                version = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
            lines.append(f"{name}=={version.partition('+')[0]}")
            break
    return lines


def pickled_modules(model: Product) -> set[str]:
    """The top-level modules that the product's pickles import when they are opened.

    The streams are read, never run.
    """
    found: set[str] = set()
    for name in artefact_files(model):
        path = model.path / name
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                for entry in file.infolist():
                    if entry.filename.endswith(".pkl") and entry.file_size < MAX_PICKLE:
                        found |= _modules(io.BytesIO(file.read(entry)))
        elif path.suffix in (".pkl", ".pickle", ".pt", ".pth"):
            with open(path, "rb") as file:
                found |= _modules(file)
    return {name for name in found if name.isidentifier()}


def _modules(stream: Any) -> set[str]:
    """Top-level names of the modules that one pickle names."""
    found: set[str] = set()
    strings: list[str] = []  # the latest texts that were pushed
    memo: dict[int, str] = {}
    last = ""  # what was pushed last: a text, or that it is cloudpickle's ``subimport``
    try:
        for code, value, _ in pickletools.genops(stream):
            before, last = last, ""
            if code.name == "GLOBAL" or (code.name == "STACK_GLOBAL" and len(strings) >= 2):
                pair = str(value).split(" ") if code.name == "GLOBAL" else strings[-2:]
                found.add(pair[0])
                last = _SUBIMPORT if pair[-1] == "subimport" else ""
            elif "UNICODE" in code.name:
                last = str(value)
                strings.append(last)
                if before == _SUBIMPORT:
                    found.add(last)  # the module is its argument
            elif code.name == "MEMOIZE":
                memo[len(memo)] = last = before
            elif code.name in ("BINPUT", "LONG_BINPUT", "PUT"):
                memo[int(value)] = last = before
            elif code.name in ("BINGET", "LONG_BINGET", "GET"):
                last = memo.get(int(value), "")
                if last and last != _SUBIMPORT:
                    strings.append(last)
                    if before == _SUBIMPORT:
                        found.add(last)
            del strings[:-4]
    except ValueError:
        # Not a pickle after all, or a torn one: opening it is the runner's business.
        pass
    tops = {name.partition(".")[0] for name in found}
    return {name for name in tops if re.fullmatch(r"\w+", name)} - _PYTHON_2


def _copied() -> None:
    """Never called. Names what is copied, so that its code enters the key of what it is part of."""
    from .carried import model  # noqa: F401
