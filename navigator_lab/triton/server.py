"""A live Triton server on an exported repository, byte for byte, on loopback, gone when we are.

What it proves: that the real server core takes the repository, batches, checks and answers as
configured. What it can't: the C++ backends' speed, and anything on a GPU; their places are taken
by Python stand-ins (see `navigator_lab.triton.backends`).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError, PackageError
from .repository import CONFIG
from .runtime import STANDINS, TRITON, WHEEL, Runtime, on_path, ready
from .wire import Http

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

KEEPER = Path(__file__).with_name("keeper.py")
_FAILED = re.compile(r"failed to load '(?P<name>.+?)' version (?P<version>\d+): (?P<why>.*)")
_UNREAD = re.compile(r"Poll failed for model directory '(?P<name>.+?)': (?P<why>.*)")
_SYNTAX = re.compile(r"Error parsing text-format inference\.ModelConfig: (.*)")
_TAKEN = "already in use"


class Server:
    """A running server. Made by `serve`, which also ends it, or by `navigator_lab.triton.remote`.

    ``words`` say what it is; ``standins`` is True where Python stand-ins take the C++ backends'
    places; ``process`` is None where the server isn't ours.
    """

    def __init__(
        self,
        http: str,
        grpc: str,
        words: str,
        *,
        process: subprocess.Popen[bytes] | None = None,
        log: Path | None = None,
        standins: bool = False,
    ) -> None:
        self.wire = Http(http)
        self.http = self.wire.address
        self.grpc = grpc
        self.words = words
        self.process = process
        self.log_path = log
        self.standins = standins
        self.changed: set[str] = set()  # models whose configuration is not that of their files
        self.notes: list[str] = []

    def infer(self, name: str, feeds: Mapping[str, np.ndarray], version: int = 0) -> Arrays:
        """One request over HTTP; the outputs by name.

        Raises:
            NavigatorError: the server refuses it, in the server's words.
        """
        return self.wire.infer(name, feeds, version)

    def config(self, name: str) -> dict[str, Any]:
        """The configuration as the server completed it."""
        return self.wire.config(name)

    def statistics(self, name: str) -> dict[str, Any]:
        """The server's own counts and times of one model."""
        return self.wire.statistics(name)

    def index(self) -> list[dict[str, Any]]:
        """Every model of the server's repository, with its state and the reason."""
        return self.wire.index()

    def load(self, name: str, config: Mapping[str, Any] | None = None) -> None:
        """Load a model (again). ``config`` takes the place of its file, which is not touched.

        Raises:
            NavigatorError: the server refuses it, in the server's words.
        """
        try:
            self.wire.load(name, config)
        except NavigatorError as error:
            why = _FAILED.search(self.log()[-20_000:])
            said = f"{error.message}: {_plain(why['why'])}" if why else error.message
            raise NavigatorError(f"the server does not load {name!r}: {said}") from error
        if config is not None:
            self.changed.add(name)

    def restore(self, name: str) -> None:
        """Load a model as its files say: a mere load keeps what took their place before."""
        self.wire.unload(name)
        until = time.monotonic() + 60
        while self.wire.model_ready(name) and time.monotonic() < until:
            time.sleep(0.02)
        self.load(name)
        self.changed.discard(name)

    def running(self) -> bool:
        """Whether it answers."""
        return (self.process is None or self.process.poll() is None) and self.wire.ready()

    def log(self) -> str:
        """All that the server has said; nothing where it isn't ours."""
        if self.log_path is None:
            return ""
        return self.log_path.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def serve(
    repository: Path,
    models: Iterable[str] | None = None,
    *,
    timeout_s: float = 180.0,
    say: Callable[[str], None] = lambda text: None,
    which: str = "auto",
) -> Iterator[Server]:
    """Start a server on ``repository``, wait until its models are ready, and end it in any case.

    ``models``: the names to load; None: all that have a folder. ``which``: ``"path"`` is the
    ``tritonserver`` on PATH, ``"wheel"`` that of the wheel, ``"auto"`` the former where it is.

    Raises:
        PackageError: the server refuses a model; the message is the server's own.
        NavigatorError: there is no server, or it doesn't come up.
    """
    repository = Path(repository).resolve()
    chosen = _models(repository, models)
    binary = None if which == "wheel" else on_path()
    if binary is None and which == "path":
        raise NavigatorError(
            "there is no tritonserver on PATH", "start it in Triton's container, or which='wheel'"
        )
    runtime = ready(say) if binary is None else None
    folder = Path(tempfile.mkdtemp(prefix="navigator-lab-triton-"))
    try:
        if runtime is not None:
            runtime.lay_backends(folder / "backends")
            runtime.lay_python(folder / "python")
        for attempt in range(3):
            ports = _free_ports(3)
            log = folder / f"server-{attempt}.log"
            process = _start(runtime, binary, repository, chosen, folder, ports, log)
            try:
                say("waiting until the models are ready")
                if not _wait(process, ports[0], log, timeout_s):
                    continue
                yield Server(
                    f"127.0.0.1:{ports[0]}",
                    f"127.0.0.1:{ports[1]}",
                    f"tritonserver {TRITON} of {WHEEL}" if binary is None else str(binary),
                    process=process,
                    log=log,
                    standins=binary is None,
                )
                return
            finally:
                _stop(process)
        raise NavigatorError("no free ports were found for a Triton server in three tries")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _models(repository: Path, models: Iterable[str] | None) -> list[str]:
    if not repository.is_dir():
        raise PackageError(f"there is no model repository {repository}", "package a target first")
    there = sorted(p.name for p in repository.iterdir() if p.is_dir())
    chosen = there if models is None else list(models)
    missing = [name for name in chosen if name not in there]
    if missing or not chosen:
        what = f"no model {missing[0]!r}" if missing else "no models"
        raise PackageError(
            f"{repository} holds {what}; it holds {', '.join(there) or 'nothing'}",
            f"a model is a folder with a {CONFIG}",
        )
    return chosen


def _start(
    runtime: Runtime | None,
    binary: Path | None,
    repository: Path,
    models: list[str],
    folder: Path,
    ports: list[int],
    log: Path,
) -> subprocess.Popen[bytes]:
    prefix = f"navigator_lab_{os.getpid()}_{ports[0]}_"
    command = [
        str(runtime.binary if runtime else binary),
        f"--model-repository={repository}",
        *([f"--backend-directory={folder / 'backends'}"] if runtime else []),
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in models),
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        f"--http-port={ports[0]}",
        f"--grpc-port={ports[1]}",
        f"--metrics-port={ports[2]}",
        "--allow-gpu-metrics=false",
        "--exit-timeout-secs=2",
        *(
            f"--backend-config={name},shm-region-prefix-name={prefix}"
            for name in ("python", *(STANDINS if runtime else ()))
        ),
    ]
    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, "-S", "-E", str(KEEPER), prefix, *command],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=runtime.environment(folder / "python") if runtime else None,
            cwd=folder,
        )


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, timeout_s: float) -> bool:
    """True when the server is ready; False if a port was taken meanwhile.

    Raises:
        PackageError, NavigatorError: it gave up, or the time is over.
    """
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if process.poll() is not None:
            text = log.read_text(encoding="utf-8", errors="replace")
            if _TAKEN in text:
                return False
            raise _refusal(text)
        try:
            url = f"http://127.0.0.1:{port}/v2/health/ready"
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    text = log.read_text(encoding="utf-8", errors="replace")
    raise NavigatorError(
        f"the Triton server was not ready after {timeout_s:g} s; it said last: {_last(text)}",
        "give it more time with timeout_s, or look at the model that it loads",
    )


def _refusal(log: str) -> NavigatorError:
    """Why the server gave up, from its log."""
    found = {m["name"]: _plain(m["why"]) for m in _FAILED.finditer(log)}
    for match in _UNREAD.finditer(log):
        syntax = _SYNTAX.search(log, 0, match.start())
        found[match["name"]] = _plain(match["why"]) + (f" ({syntax[1]})" if syntax else "")
    if found:
        said = "; ".join(f"{name!r}: {why}" for name, why in found.items())
        return PackageError(f"Triton refuses the repository: {said}", "correct the model's package")
    return NavigatorError(f"the Triton server ended at once; it said last: {_last(log)}")


def _plain(text: str) -> str:
    """A quoted log line as it was before quoting."""
    return text.strip().rstrip('"').replace("\\n", "\n").replace('\\"', '"').strip()


def _last(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the keeper end the server; it does so when its standard input ends."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()  # the server dies with its keeper
        process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
