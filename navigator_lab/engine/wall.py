"""This side of a worker: start it, send it jobs, hear it, stop it, kill it.

A crash, a hang or garbage there is a message here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..types.codec import canonical

# The system kills a worker when the *thread* that started it ends (PR_SET_PDEATHSIG), so all are
# started by one thread that lives as long as the process.
_starter: ThreadPoolExecutor | None = None
_starter_lock = threading.Lock()


def _start(make: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    global _starter
    with _starter_lock:
        if _starter is None:
            _starter = ThreadPoolExecutor(1, thread_name_prefix="navigator-starter")
    return _starter.submit(make).result()


def _guard(group: int) -> subprocess.Popen[bytes]:
    """A shell that outlives us for a moment: if we die without a word, it kills a worker's group.

    A worker dies with us by itself, but not what it forked (pools of compilers do that).
    """
    return _start(
        lambda: subprocess.Popen(
            ["/bin/sh", "-c", 'read -r word || kill -KILL "-$1"', "sh", str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    )


class Wall:
    """One worker process. ``hear(wall, message)`` is called on a thread of its own; the last
    message is ``{"ended": exit code}``. ``sharing``: others work beside it on the same cores."""

    def __init__(
        self,
        hear: Callable[[Wall, dict[str, Any]], None],
        log: Path,
        python: str = sys.executable,
        *,
        sharing: bool = False,
    ) -> None:
        self.python = python
        self.hear = hear
        self.stopped = False
        self.apart = ""  # what its work shares processes with: see `Action`
        read, write = os.pipe()
        env = dict(os.environ)
        if python == sys.executable:
            here = [os.path.abspath(p) for p in sys.path]
            env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(here))
        else:
            env.pop("PYTHONPATH", None)
        env["PYTHONUNBUFFERED"] = "1"
        if sharing:
            # Threads that wait spin by default, and take the core from those that work: two
            # workers on two cores were measured to be a hundred times slower than one.
            env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            env.setdefault("KMP_BLOCKTIME", "0")
        with log.open("ab") as sink:
            self.process = _start(
                lambda: subprocess.Popen(
                    # -P: our own folder is on the path where it should be, and nowhere else
                    [python, "-P", "-m", "navigator_lab.engine.worker", "--wire", str(write)],
                    stdin=subprocess.PIPE,
                    stdout=sink,
                    stderr=sink,
                    pass_fds=(write,),
                    env=env,
                    process_group=0,  # so that its own children can be killed with it
                )
            )
        os.close(write)
        self.pid = self.process.pid
        self._guard = _guard(self.pid)
        threading.Thread(
            target=self._listen, args=(read,), daemon=True, name=f"navigator-wall-{self.pid}"
        ).start()

    def _listen(self, read: int) -> None:
        with os.fdopen(read, "rb") as wire:
            for line in wire:
                try:
                    message = json.loads(line)
                except ValueError:
                    message = {"garbage": line[:200].decode(errors="replace")}
                if not isinstance(message, dict):
                    message = {"garbage": repr(message)[:200]}
                self.hear(self, message)
        # Its children end with it. Not reaped yet, its id can't be another group's.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.kill()
        code = self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.close()
        self._guard.communicate(b"over\n")
        self.hear(self, {"ended": code})

    def send(self, message: Any) -> None:
        """A job, or the word that it is its turn. A dead worker has said so, or will."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(canonical(message) + b"\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        """Halt it where it is, with its threads and children: it uses no CPU until `resume`."""
        self._signal(signal.SIGSTOP)
        self.stopped = True

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self.stopped = False

    def kill(self) -> None:
        """End it and its children at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """End it in peace."""
        if self.stopped:
            self.resume()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError, OSError):
            self.process.stdin.close()

    def _signal(self, which: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, which)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def memory_bytes(self, family: bool = True) -> int:
        """Resident memory of the process and, with ``family``, its children: finding those reads
        all of the system's processes, which takes milliseconds."""
        import psutil

        try:
            whole = psutil.Process(self.pid)
            found: Iterable[Any] = [whole, *(whole.children(recursive=True) if family else ())]
        except psutil.Error:
            return 0
        total = 0
        for one in found:
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
        return total


def how_it_ended(code: int) -> tuple[str, bool]:
    """An exit code in words, and whether the same job would end so again."""
    if code >= 0:
        return f"the worker process ended with exit code {code}", True
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    lasting = name not in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")
    words = f"the worker process was ended by signal {-code} ({name})"
    if name == "SIGKILL":
        words += ": most likely the system's out-of-memory killer"
    return words, lasting
