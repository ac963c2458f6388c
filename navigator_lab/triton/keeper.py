"""Keeps one server process: when whoever started it goes, the server goes.

``keeper.py PREFIX COMMAND…`` runs the command in a group of its own until standard input ends,
which it does however the parent dies, then ends the whole group and removes the shared memory whose
name begins with PREFIX. It is run as a plain script and imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import selectors
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def main(prefix: str, command: list[str]) -> int:
    """Run ``command``; gives its exit status."""
    # A kernel's interrupt is sent to the whole foreground group; it is not for the server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    library = ctypes.CDLL(None)

    def bound() -> None:
        os.setpgid(0, 0)
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=bound)
    told: list[int] = []  # closing standard input instead would take it out of what is waited for
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(0, selectors.EVENT_READ)
            while child.poll() is None and not told:
                try:
                    if waiting.select(0.2) and not os.read(0, 4096):
                        break
                except OSError:
                    break
    finally:
        # At once: an orderly end takes seconds, and a server for tests and replays owns nothing
        # that it must save. Its children (one a model instance) are in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        status = child.wait()
        for path in glob.glob(f"/dev/shm/{glob.escape(prefix)}*"):  # noqa: S108
            with contextlib.suppress(OSError):
                os.unlink(path)
    return status


if __name__ == "__main__":
    sys.exit(abs(main(sys.argv[1], sys.argv[2:])))
