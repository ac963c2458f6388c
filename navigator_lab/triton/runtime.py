"""A real ``tritonserver`` on this machine, set up on first use and kept in the user's cache.

It is the one inside the ``nvidia-pytriton`` wheel. Its Python stub breaks every answer under
numpy 2, so a numpy 1.26 lies beside it, which only the stub sees; all else comes from the
interpreter that we run in. Nothing is started here.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import NavigatorError
from ..types.cache import cache_folder

WHEEL = "nvidia-pytriton==0.7.0"
NUMPY = "numpy==1.26.4"
TRITON = "2.51.0"
BACKENDS = Path(__file__).with_name("backends")
STANDINS = ("onnxruntime", "openvino", "pytorch")
_PROGRESS = re.compile(r"^Progress (\d+) of (\d+)")
_BRIDGE = """import importlib

_there = importlib.import_module("numpy.core.{name}")


def __getattr__(name):
    return getattr(_there, name)
"""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the parts of the server lie."""

    server: Path  # the unpacked wheel
    numpy: Path  # what only the stub sees

    @property
    def binary(self) -> Path:
        return self.server / "pytriton/tritonserver/bin/tritonserver"

    @property
    def libraries(self) -> Path:
        return self.server / "nvidia_pytriton.libs"

    def environment(self, python: Path) -> dict[str, str]:
        """The variables that the server and its stubs need, over our own. ``python``: see
        `lay_python`."""
        libraries = [str(self.libraries), sysconfig.get_config_var("LIBDIR") or ""]
        variables = dict(os.environ)
        for name in ("PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONPATH"):
            variables.pop(name, None)
        before = variables.get("LD_LIBRARY_PATH", "")
        variables |= {
            # The stub takes the python3 that it finds first, and heeds no PYTHONPATH.
            "PATH": f"{python / 'bin'}{os.pathsep}{variables.get('PATH', '')}",
            "LD_LIBRARY_PATH": os.pathsep.join(p for p in [*libraries, before] if p),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        return variables

    def lay_python(self, folder: Path) -> None:
        """Make ``folder`` a virtual environment in which numpy 1.26 comes before all of ours."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self._bridge()
        packages = folder / "lib" / version / "site-packages"
        packages.mkdir(parents=True)
        (folder / "bin").mkdir()
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        (folder / "bin/python3").symlink_to(base)
        (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
        ours = "".join(f"import site; site.addsitedir({path!r})\n" for path in _site_packages())
        (packages / "a.pth").write_text(f"{self.numpy}\n{BACKENDS}\n{ours}")

    def _bridge(self) -> None:
        """Let numpy 1.26 open what numpy 2 pickled: its modules there are called ``numpy._core``.

        It has a few of those names itself; the rest is added to our copy.
        """
        for module in sorted((self.numpy / "numpy/core").glob("*.py")):
            there = self.numpy / "numpy/_core" / module.name
            if module.stem.startswith("__") or there.exists():
                continue
            made = there.with_name(f".{module.name}.{os.getpid()}")
            made.write_text(_BRIDGE.format(name=module.stem))
            os.replace(made, there)

    def lay_backends(self, folder: Path) -> None:
        """Make ``folder`` the server's backend directory."""
        parts = self.server / "pytriton/tritonserver"
        python = folder / "python"
        python.mkdir(parents=True)
        for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
            _place(parts / "backends/python" / name, python / name)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = parts / "python_backend_stubs" / version / "triton_python_backend_stub"
        _place(stub, python / stub.name)
        for name in STANDINS:
            (folder / name).mkdir()
            shutil.copyfile(BACKENDS / name / "model.py", folder / name / "model.py")


def _place(source: Path, target: Path) -> None:
    """A second name for a file: Triton refuses symbolic links that lead out of the folder."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def on_path() -> Path | None:
    """The ``tritonserver`` of this machine, as in Triton's own container; None if there is none."""
    found = shutil.which("tritonserver")
    return Path(found) if found else None


def ready(say: Callable[[str], None] = lambda text: None) -> Runtime:
    """The server's parts; the first time they are brought from PyPI (about 75 MB).

    Raises:
        NavigatorError: there is no such server for this machine, or it can't be installed.
    """
    problem = _impossible()
    if problem:
        raise NavigatorError(
            f"no Triton server can be set up here: {problem}",
            "use Linux on x86-64 with glibc 2.35 or newer and Python 3.11 or 3.12",
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"tritonserver-{TRITON}-{WHEEL.partition('==')[2]}-py{version}"
    home = cache_folder() / name
    runtime = Runtime(home / "server", home / "numpy")
    if (home / "complete").exists():
        return runtime
    with _lock(cache_folder() / f"{name}.lock"):
        if (home / "complete").exists():
            return runtime
        made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache_folder()))
        try:
            say(f"bringing {WHEEL}")
            _install(WHEEL, made / "server", say)
            say(f"bringing {NUMPY}")
            _install(NUMPY, made / "numpy", say)
            for stub in (made / "server").rglob("triton_python_backend_stub"):
                stub.chmod(0o755)
            (made / "server/pytriton/tritonserver/bin/tritonserver").chmod(0o755)
            (made / "complete").touch()
            shutil.rmtree(home, ignore_errors=True)
            os.rename(made, home)
            say("brought; it is kept in " + str(home))
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return runtime


def _impossible() -> str:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"the wheel is for Linux on x86-64, this is {sys.platform} on {platform.machine()}"
    library, _, version = "".join(os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    if library != "glibc" or tuple(map(int, version.split(".")[:2])) < (2, 35):
        return f"it needs glibc 2.35 or newer, this is {library or 'another C library'} {version}"
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        return (
            "its Python stub needs numpy 1.26, which exists for Python 3.11 and 3.12 only; this is "
            f"{platform.python_version()}"
        )
    return ""


def _install(requirement: str, target: Path, say: Callable[[str], None]) -> None:
    """Put one distribution, without what it depends on, into a folder."""
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--no-input"]
        if _pip() >= (24, 1):
            command.append("--progress-bar=raw")  # as lines: "Progress 1024 of 53000000"
    elif shutil.which("uv"):
        command = ["uv", "pip", "install", "--python", sys.executable]
    else:
        raise NavigatorError(
            f"{requirement} can't be installed: this Python has no pip, and there is no uv",
            f"{sys.executable} -m ensurepip",
        )
    command += ["--no-deps", "--only-binary", ":all:", "--target", str(target), requirement]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, errors="replace",
    ) as installing:  # fmt: skip
        assert installing.stdout is not None
        for line in installing.stdout:
            found = _PROGRESS.search(line)
            if found:
                share = int(found[1]) / max(int(found[2]), 1)
                bar = "█" * round(20 * share) + "░" * (20 - round(20 * share))
                say(f"bringing {requirement}  {bar} {share:.0%} of {int(found[2]) / 1e6:.0f} MB")
            elif line.strip():
                lines.append(line.strip())
    if installing.returncode:
        wrong = [line for line in lines if line.lower().startswith("error")] or lines
        raise NavigatorError(
            f"{requirement} could not be installed: {wrong[-1] if wrong else installing.returncode}",
            "check the connection to the package index, then try again",
        )


def _pip() -> tuple[int, ...]:
    version = importlib.metadata.version("pip").split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in version)


def _site_packages() -> list[str]:
    """The folders that packages are imported from here (a venv's stub would find its own)."""
    found = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time sets the server up."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise NavigatorError(
            f"the server can't be kept in {path.parent}: {error.strerror}",
            "set NAVIGATOR_LAB_CACHE to a folder that can be written",
        ) from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
