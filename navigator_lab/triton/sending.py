"""Starts the processes that send requests, waits for them with a limit, and ends them in any case.

See `navigator_lab.triton.sender` for what they do. An interrupt goes to us, not to them; they are
killed on the way out, and die with us however we die.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError
from .wire import decode, encode

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0  # until a sender is connected


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back over one protocol: by request, output name -> array."""

    protocol: str
    outputs: tuple[Arrays, ...]
    seconds: float
    problem: str = ""  # why not all are there


@dataclass(slots=True)
class Sent:
    """What senders did together: a row a request (intended, sent, done in ns from the start; ok)."""

    rows: np.ndarray
    errors: dict[str, int] = field(default_factory=dict)
    over: str = ""  # why it ended early
    busy: float = 0.0  # share of a core that the busiest process used
    wall_s: float = 0.0


def write(folder: Path, job: dict[str, Any], feeds: Sequence[Arrays]) -> None:
    """A job's requests, for all who send them."""
    told, at = [], 0
    with open(folder / "requests.bin", "wb") as file:
        for one in feeds:
            tensors = []
            for name, array in one.items():
                datatype, shape, data = encode(array)
                file.write(data)
                tensors.append({"name": name, "datatype": datatype, "shape": shape, "at": at,
                                "size": len(data)})  # fmt: skip
                at += len(data)
            told.append(tensors)
    job |= {"blob": str(folder / "requests.bin"), "requests": told}


def replay(
    http: str,
    grpc: str,
    model: str,
    feeds: Sequence[Arrays],
    *,
    version: int = 0,
    protocols: Sequence[str] = ("http", "grpc"),
    sequence: str = "",
    secure: bool = False,
    timeout_s: float = 120.0,
    say: Callable[[str], None] = lambda text: None,
) -> list[Answers]:
    """Send each request once over each protocol, through ``tritonclient``.

    ``timeout_s``: of one request.

    Raises:
        NavigatorError: the sender itself failed.
    """
    with tempfile.TemporaryDirectory(prefix="navigator-lab-replay-") as made:
        folder = Path(made)
        job: dict[str, Any] = {
            "does": "replay", "http": http, "grpc": grpc, "model": model, "version": version,
            "protocols": list(protocols), "sequence": sequence, "secure": secure,
            "timeout_s": timeout_s,
        }  # fmt: skip
        write(folder, job, feeds)
        with _sender(folder, job) as child:
            for said in child.lines(START_S + timeout_s):
                if "done" in said:
                    say(f"{said['said']}: {said['done']} of {len(feeds)}")
            child.finish(START_S)
        return [_answers(folder, protocol) for protocol in protocols]


def _answers(folder: Path, protocol: str) -> Answers:
    said = json.loads((folder / f"answers-{protocol}.json").read_text(encoding="utf-8"))
    data = (folder / f"answers-{protocol}.bin").read_bytes()
    outputs = tuple(
        {t["name"]: decode(t["datatype"], t["shape"], data[t["at"] : t["at"] + t["size"]])
         for t in one}
        for one in said["answers"]
    )  # fmt: skip
    return Answers(protocol, outputs, said["seconds"], said["problem"])


def press(
    jobs: Sequence[dict[str, Any]],
    feeds: Sequence[Arrays],
    limit_s: float,
    started: Callable[[float], None] = lambda start: None,
) -> Sent:
    """Send a load from as many processes as there are ``jobs``, all starting together.

    ``limit_s``: how long they may take; what isn't done by then is ended. ``started`` is called
    with the time of the start, of ``time.monotonic``, shortly before it.

    Raises:
        NavigatorError: a sender could not connect, or did not end.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="navigator-lab-load-") as made:
        common: dict[str, Any] = {}
        write(Path(made), common, feeds)
        with contextlib.ExitStack() as stack:
            children = []
            for index, job in enumerate(jobs):
                folder = Path(made) / str(index)
                folder.mkdir()
                job = {**job, **common, "does": "load"}
                children.append(stack.enter_context(_sender(folder, job)))
            for child in children:
                child.until_ready(START_S)
            start = time.monotonic() + 0.1
            for child in children:
                child.tell(repr(start))
            started(start)
            for child in children:
                child.finish(max(1.0, start + limit_s - time.monotonic()))
        rows: list[Any] = []
        errors: dict[str, int] = {}
        over, busy, wall = "", 0.0, 0.0
        for index in range(len(jobs)):
            folder = Path(made) / str(index)
            said = json.loads((folder / "load.json").read_text(encoding="utf-8"))
            with np.load(folder / "load.npz", allow_pickle=False) as file:
                one = file["rows"]
            one[:, :3] -= said["began"]
            rows.append(one)
            for words, count in said["errors"].items():
                errors[words] = errors.get(words, 0) + count
            over = over or said["over"]
            busy, wall = max(busy, said["busy"]), max(wall, said["wall"])
    together = np.concatenate(rows)
    return Sent(together[np.argsort(together[:, 0], kind="stable")], errors, over, busy, wall)


class _Child:
    """One sender."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def lines(self, patience_s: float) -> Iterator[dict[str, Any]]:
        """What it says, until it ends.

        Raises:
            NavigatorError: it was silent for too long.
        """
        while True:
            try:
                said = self._lines.get(timeout=patience_s)
            except queue.Empty:
                raise NavigatorError(
                    f"the sender said nothing for {patience_s:g} s: the server does not answer"
                ) from None
            if said is None:
                return
            yield said

    def until_ready(self, patience_s: float) -> None:
        for said in self.lines(patience_s):
            if said.get("said") == "ready":
                return
        self.finish(patience_s)

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: `finish` says why
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()

    def finish(self, patience_s: float) -> None:
        """Wait for its end.

        Raises:
            NavigatorError: it did not come, or was a failure.
        """
        try:
            status = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise NavigatorError(
                f"a sender did not end within {patience_s:.0f} s and was ended",
                "the server is slower than this load allows: ask for less of it",
            ) from None
        if status:
            lines = (self.folder / "stderr.txt").read_text(errors="replace").strip().splitlines()
            said = lines[-1] if lines else str(status)
            lacking = "does not include" in said or "ModuleNotFoundError" in said
            raise NavigatorError(
                f"a sender failed: {said}", "pip install 'navigator-lab[triton]'" if lacking else ""
            )
        result = self.folder / "load.json"
        if result.exists():
            problem = json.loads(result.read_text(encoding="utf-8")).get("problem")
            if problem:
                raise NavigatorError(problem, "is this the server's gRPC address?")


@contextlib.contextmanager
def _sender(folder: Path, job: dict[str, Any]) -> Iterator[_Child]:
    job = {**job, "parent": os.getpid()}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "GRPC_VERBOSITY": "NONE",
    }
    command = [sys.executable, "-P", "-m", "navigator_lab.triton.sender", str(folder / "job.json")]
    with open(folder / "stderr.txt", "wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=variables,
            process_group=0,
        )  # fmt: skip
    try:
        yield _Child(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
