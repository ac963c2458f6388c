"""Interpreters by name, for what can't live beside the rest: TF-TRT wants TensorFlow 2.17, …

A format or runner says which one it wants (`Action.environment`); where that name is registered its
steps run there, in a worker like any other. Made ones are virtual environments that see this very
code and none of our packages. No step is run from here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .engine.host import versions_of
from .errors import RequestError, WorkspaceError, unknown
from .types.cache import cache_folder

# What a worker itself imports, besides what its steps need.
WORKER = ("cloudpickle>=3", "numpy>=1.26", "psutil>=5.9")
RECIPES = {
    # The last release whose wheel holds the converter; its TensorRT is 8.6, which NVIDIA's index has.
    "tf-trt": ("tensorflow==2.17.1",),
    # The same module as onnxruntime's; and what packaging its targets takes.
    "ort-openvino": (
        "onnxruntime-openvino>=1.24",
        "onnx>=1.17",
        "ml_dtypes>=0.5",
        "tritonclient>=2.50",
        "protobuf>=5",
    ),
}
# Of those, what raises a NavigatorError there while something is missing that pip doesn't tell.
PROBES = {"tf-trt": "navigator_lab.formats.tf_trt:loaded"}
_ASK = """
import importlib, sys
from navigator_lab.errors import NavigatorError
module, _, name = sys.argv[1].partition(":")
try:
    getattr(importlib.import_module(module), name)()
except NavigatorError as error:
    print("\\n" + error.message + " → " + error.remedy, end="")
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter with a name. ``made``: by us, so that `remove` deletes its folder."""

    name: str
    python: str
    made: bool = False

    @property
    def versions(self) -> dict[str, str]:
        """What is installed there.

        Raises:
            RequestError: it can't be started, or can't see navigator_lab.
        """
        return versions_of(self.python)

    def problem(self) -> str:
        """What is still missing there for what its name says, and the remedy; "" for nothing.

        Raises:
            RequestError: it can't be asked.
        """
        probe = PROBES.get(self.name)
        return _run([self.python, "-c", _ASK, probe]).rpartition("\n")[2] if probe else ""


def environment(name: str, python: str | Path | None = None) -> Environment:
    """Register an interpreter under a name, for this and later sessions; or look one up.

    Raises:
        RequestError: it can't be used for workers, or there is none of that name.
    """
    known = registered()
    if python is None:
        if name not in known:
            raise unknown("environment", name, known or ["none yet: navigator-lab env create NAME"])
        return known[name]
    found = shutil.which(str(Path(python).expanduser()))
    if found is None:
        raise RequestError(f"the interpreter {python} can't be run", "give the path of its python")
    made = Environment(_checked(name), os.path.abspath(found))
    made.versions  # noqa: B018 -- refuses what is none
    _write({**known, name: made})
    return made


def create(
    name: str,
    packages: Sequence[str] = (),
    python: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Environment:
    """Make a virtual environment, install packages into it, and register it.

    ``packages``: as pip takes them; of a name in `RECIPES` they are known. ``python``: what it is
    made from; this interpreter by default.

    Raises:
        RequestError: there is one already, nothing is to be installed, or pip refuses.
    """
    wanted = (*RECIPES.get(_checked(name), ()), *packages)
    if not wanted:
        raise RequestError(
            f"what is to be in the environment {name!r}?",
            f"name packages; known without: {', '.join(RECIPES)}",
        )
    if name in registered():
        raise RequestError(f"there is an environment {name!r}", "remove it first")
    home = cache_folder() / "environments" / name
    shutil.rmtree(home, ignore_errors=True)  # what was left half made
    own = home / "bin" / "python"
    try:
        say(f"making {home}")
        _run([str(python or sys.executable), "-m", "venv", str(home)])
        say(f"installing {', '.join(wanted)}")
        _run([str(own), "-m", "pip", "install", "--quiet", *WORKER, *wanted])
        asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(_run([str(own), "-c", asked]).strip())
        (site / "navigator_lab").symlink_to(Path(__file__).parent, target_is_directory=True)
        made = Environment(name, str(own), made=True)
        made.versions  # noqa: B018 -- a worker can start there
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    _write({**registered(), name: made})
    return made


def remove(name: str) -> None:
    """Forget an environment; what was made for it is deleted.

    Raises:
        RequestError: there is none of that name.
    """
    known = registered()
    gone = environment(name)
    if gone.made:
        shutil.rmtree(Path(gone.python).parents[1], ignore_errors=True)
    _write({n: one for n, one in known.items() if n != name})


def registered() -> dict[str, Environment]:
    """All environments by name.

    Raises:
        WorkspaceError: the file that keeps them is damaged.
    """
    path = cache_folder() / "environments.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return {n: Environment(n, one["python"], one["made"]) for n, one in said.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkspaceError(f"{path} is damaged: {error}", "delete it") from error


def interpreters(asked: Mapping[str, str | Path] | Sequence[str]) -> dict[str, str]:
    """Interpreters by the name of what runs in them: the registered, and what is asked for.

    ``asked``: a path of a python, or the name of a registered environment, by the name of a format,
    runner or action; or texts ``"name=python"``.

    Raises:
        RequestError: a text says no such thing, or an interpreter can't be run.
    """
    known = registered()
    made = {name: one.python for name, one in known.items()}
    if not isinstance(asked, Mapping):
        pairs = [text.partition("=") for text in asked]
        if wrong := next((name for name, _, python in pairs if not python), None):
            raise RequestError(
                f"{wrong!r} doesn't say where it runs",
                "write NAME=ENVIRONMENT, as jit=torch-2-13 or jit=/path/to/bin/python",
            )
        asked = {name.strip(): python.strip() for name, _, python in pairs}
    for name, python in asked.items():
        found = made.get(str(python)) or shutil.which(str(Path(python).expanduser()))
        if found is None:
            raise RequestError(
                f"the interpreter {python} for {name!r} can't be run",
                "give the path of its python, or the name of an environment "
                f"({', '.join(known) or 'none yet: navigator-lab env create NAME'})",
            )
        made[name] = found
    return made


def _checked(name: str) -> str:
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise RequestError(f"{name!r} is no name of an environment", "use letters, digits and -")
    return name


def _write(known: dict[str, Environment]) -> None:
    path = cache_folder() / "environments.json"
    said = {n: {"python": one.python, "made": one.made} for n, one in sorted(known.items())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(said, indent=1), encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        raise WorkspaceError(
            f"environments can't be kept in {path.parent}: {error.strerror}",
            "set NAVIGATOR_LAB_CACHE to a folder that can be written",
        ) from error


def _run(command: list[str]) -> str:
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        wrong = [line for line in lines if line.lower().startswith("error")] or lines
        raise RequestError(
            f"{' '.join(command[:4])} …: {wrong[-1] if wrong else error}",
            "check the names and the connection to the package index",
        ) from error
    return made.stdout
