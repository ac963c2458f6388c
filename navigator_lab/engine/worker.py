"""The other side of the wall: one process, jobs in on stdin, messages out on a descriptor of its
own, both as JSON lines. Arrays and models are files.

``python -m navigator_lab.engine.worker --job FILE`` does one job again, as it was, in the
foreground: what reproduces a step under a debugger.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import faulthandler
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..catalog import Catalog
from ..types.codec import canonical, decode, encode
from ..types.outcome import Failure, Product
from ..types.plugin import At
from ..types.target import Target, Variant

Say = Callable[[dict[str, Any]], None]
# What libraries use to report home. They fork for it, in a process with threads: the forks hang
# and stay, half a gigabyte each. Whoever misses one of these goes on without.
SILENT = ("openvino_telemetry",)


def perform(job: dict[str, Any], say: Say, turn: Callable[[], None]) -> Any:
    """Call the job's action; what it returns."""
    catalog = Catalog.installed(job["plugins"])
    action = catalog.actions.get(job["action"])
    if action is None:
        broken = "; ".join(f"{name}: {why}" for name, why in catalog.broken.items())
        raise LookupError(f"this interpreter has no action {job['action']!r} {broken}")
    about = job["about"]
    if about is not None:
        about = Target.parse(about) if "@" in about else Variant.parse(about)
    inputs = {name: decode(Product, product) for name, product in job["inputs"].items()}
    options = job["options"]
    if action.options is not None:
        options = decode(action.options, options or {})
    out, run_options = Path(job["out"]), job.get("run_options")
    if run_options is not None:
        runner = catalog.runners[about.runner]
        run_options = decode(runner.action.options, run_options)
    at = At(
        out, about, options, catalog.formats, catalog.runners, sys.executable, run_options,
        job.get("threads"), _say=lambda text, share: say({"say": text, "share": share}), _turn=turn,
    )  # fmt: skip
    return action.fn(at, **inputs)


def failure(error: BaseException, job: dict[str, Any]) -> Failure:
    """An error as data. Its remedy: its own, its notes', or what the plug-in knows."""
    remedy = str(getattr(error, "remedy", "") or " ".join(getattr(error, "__notes__", ())))
    if not remedy:
        catalog = Catalog.installed(job["plugins"])
        known = [job["action"], *job.get("uses", ())]
        for name in known:
            action = catalog.actions.get(name)
            if action and action.explain and (remedy := action.explain(error)):
                break
    message = str(getattr(error, "message", "") or error).strip() or type(error).__name__
    passing = isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EMFILE)
    )
    kind = type(error).__name__
    if "out of memory" in message.lower() or isinstance(error, MemoryError):
        kind, passing = "OutOfMemory", True
        remedy = remedy or "use a smaller batch or a smaller model, or free memory, and run again"
    return Failure(kind, message, remedy, traceback.format_exc(), lasting=not passing)


def _answer(job: dict[str, Any], say: Say, turn: Callable[[], None]) -> dict[str, Any]:
    try:
        return {"done": encode(perform(job, say, turn))}
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return {"failed": encode(failure(error, job))}


def serve(wire: int) -> None:
    """Do jobs until stdin closes."""
    _die_with_parent()
    faulthandler.enable()  # where a crash happened, in the step's log: stderr is redirected there
    # Processes that foreign code forks or starts must not keep the wire open: its end says ours.
    os.set_inheritable(wire, False)
    os.register_at_fork(after_in_child=lambda: os.close(wire))
    sys.modules.update(dict.fromkeys(SILENT))  # type: ignore[arg-type]  # importing None raises
    lock = threading.Lock()
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def send(message: dict[str, Any]) -> None:
        line = canonical(message) + b"\n"
        with lock:
            while line:
                line = line[os.write(wire, line) :]

    def listen() -> None:
        for line in sys.stdin:
            inbox.put(json.loads(line))
        os._exit(0)  # the kernel is gone, or closed us: nothing here is worth finishing

    told = 0.0

    def tell(message: dict[str, Any]) -> None:
        """Progress, at most five times a second: more is read by nobody."""
        nonlocal told
        if time.monotonic() - told >= 0.2:
            told = time.monotonic()
            send(message)

    def turn() -> None:
        send({"turn": True})
        inbox.get()

    threading.Thread(target=listen, daemon=True).start()
    send({"ready": os.getpid()})
    while True:
        job = inbox.get()
        _redirect(job["log"])
        answer = _answer(job, tell, turn)
        sys.stdout.flush()
        sys.stderr.flush()
        send(answer)


def _redirect(log: str) -> None:
    """Everything that this process prints from now on is the log of the step."""
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _die_with_parent() -> None:
    """No worker outlives its kernel, however that ends, stopped or not (Linux)."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(0)


def again(path: Path, out: Path | None) -> int:
    """Do the job of a file in the foreground; 0 if it is done, 1 if it fails as it did."""
    try:
        job = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        print(f"{path} is no job: {error}", file=sys.stderr)  # noqa: T201
        return 2
    for name, product in job["inputs"].items():
        if not Path(product["path"]).is_dir():
            print(  # noqa: T201
                f"the input {name} is no longer at {product['path']}; run the session again first",
                file=sys.stderr,
            )
            return 2
    job["out"] = str(out or tempfile.mkdtemp(prefix="navigator-lab-"))
    Path(job["out"]).mkdir(parents=True, exist_ok=True)
    answer = _answer(job, lambda m: print(m.get("say", "")), lambda: None)  # noqa: T201
    if "done" in answer:
        print(json.dumps({"done": answer["done"], "files": job["out"]}, indent=2))  # noqa: T201
        return 0
    said = answer["failed"]
    print(said["trace"], file=sys.stderr)  # noqa: T201
    print(f"{said['kind']}: {said['message']}\n{said['remedy']}", file=sys.stderr)  # noqa: T201
    return 1


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m navigator_lab.engine.worker")
    parser.add_argument("--wire", type=int, help="descriptor for messages (the engine's own use)")
    parser.add_argument("--job", type=Path, help="a job.json: do that step again")
    parser.add_argument("--out", type=Path, help="with --job: where its files go")
    asked = parser.parse_args()
    if asked.job is not None:
        return again(asked.job, asked.out)
    if asked.wire is None:
        parser.error("--job FILE is needed")
    serve(asked.wire)
    return 0


if __name__ == "__main__":
    sys.exit(main())
