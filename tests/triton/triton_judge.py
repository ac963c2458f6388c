"""Asks the real server what it thinks of configurations: one server for any number of them.

The backends are stand-ins that take any model, so that the verdict is on the configuration (and on
the files that the server's core itself opens), never on a runtime that this machine lacks.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from navigator_lab.triton.runtime import ready
from navigator_lab.triton.server import KEEPER, _free_ports

# What a server may have; each takes all that the core lets through.
BACKENDS = (
    "onnxruntime", "openvino", "pytorch", "tensorrt", "tensorflow", "identity", "query",
    "iterative_sequence", "distributed_addsub", "vllm", "mine",
)  # fmt: skip
ANY = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        pass

    def execute(self, requests):
        return [pb_utils.InferenceResponse([]) for _ in requests]
"""
_POLL = "Poll failed for model directory '{name}': "
_PLAIN = re.compile(r"version \d+ is at UNAVAILABLE state: (\w+( argument)?: )?|;\s*$")
_SYNTAX = re.compile(r"Error parsing text-format inference\.ModelConfig: ([^\n]*)")


def judge(asked: dict[str, tuple[Path, str]]) -> dict[str, str]:
    """The server's words on each model of a repository, "" for one that it takes.

    ``asked``: repository and model by any key. What lies in the server's repository is swapped
    between two loads, so that models of one name may be judged too.
    """
    runtime = ready()
    folder = Path(tempfile.mkdtemp(prefix="navigator-lab-judge-"))
    port, grpc = _free_ports(2)
    log = folder / "log"
    prefix = f"navigator_lab_judge_{port}_"
    (folder / "repository").mkdir()
    runtime.lay_backends(folder / "backends")
    for name in BACKENDS:
        (folder / "backends" / name).mkdir(exist_ok=True)
        (folder / "backends" / name / "model.py").write_text(ANY)
    runtime.lay_python(folder / "python")
    command = [
        str(runtime.binary), f"--model-repository={folder / 'repository'}",
        f"--backend-directory={folder / 'backends'}", "--model-control-mode=explicit",
        "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
        f"--http-port={port}", f"--grpc-port={grpc}", "--allow-metrics=false",
        "--exit-timeout-secs=2", "--strict-readiness=false",
        *(f"--backend-config={name},shm-region-prefix-name={prefix}"
          for name in ("python", *BACKENDS)),
    ]  # fmt: skip
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(KEEPER), prefix, *command],
            stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT,
            env=runtime.environment(folder / "python"), cwd=folder,
        )  # fmt: skip
    try:
        _wait(process, f"http://127.0.0.1:{port}/v2/health/live", log)
        said, lying = {}, None
        for key, (repository, name) in asked.items():
            if repository != lying:
                shutil.rmtree(folder / "repository")
                shutil.copytree(repository, folder / "repository")
                lying = repository
            before = log.stat().st_size
            answer = _post(f"http://127.0.0.1:{port}/v2/repository/models/{name}/load")
            words = _words(answer, name, log, before)
            said[key] = words.replace(str(folder / "repository"), "…").replace(str(folder), "…")
            if not answer:
                _post(f"http://127.0.0.1:{port}/v2/repository/models/{name}/unload")
        return said
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _post(url: str) -> str:
    asked = urllib.request.Request(url, data=b"{}", method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=120):
            return ""
    except urllib.error.HTTPError as error:
        return str(json.loads(error.read())["error"])


def _words(answer: str, name: str, log: Path, before: int) -> str:
    """The reason: in the answer, or, where a configuration was not taken at all, in the log."""
    if "failed to poll from model repository" not in answer:
        return _PLAIN.sub("", answer.replace(f"load failed for model '{name}': ", "")).strip()
    with open(log, "rb") as file:
        file.seek(before)
        text = file.read().decode(errors="replace")
    _, _, said = text.partition(_POLL.format(name=name))
    syntax = _SYNTAX.search(text)
    said = said.splitlines()[0].rstrip('"').replace("\\n", "\n").replace('\\"', '"').strip()
    return f"{said} ({syntax[1]})" if syntax else said


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace"))
