"""NVIDIA's own load generator beside ours, where it is found: a second opinion on a closed loop."""

from __future__ import annotations

import base64
import csv
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError
from .wire import encode

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

LIMIT_S = 120.0


def find() -> Path | None:
    """``perf_analyzer`` on PATH; None if there is none."""
    found = shutil.which("perf_analyzer")
    return Path(found) if found else None


def ask(
    binary: Path,
    grpc: str,
    model: str,
    feeds: Sequence[Arrays],
    concurrency: int,
    *,
    batch: int = 1,
    batched: bool = False,
    sequence: int = 0,
) -> dict[str, float]:
    """What it measures at one concurrency: ``rate`` (requests a second) and latencies in ms.

    ``batch`` samples are in each request; ``batched``: the server adds their axis.
    ``sequence``: requests of each sequence, of which then so many are under way.

    Raises:
        NavigatorError: it fails, in its own words.
    """
    with tempfile.TemporaryDirectory(prefix="navigator-lab-perf-") as made:
        folder = Path(made)
        rows = [
            {name: _tensor(array[i] if batched else array) for name, array in one.items()}
            for one in feeds
            for i in range(batch if batched else 1)
        ]  # it makes batches of them by itself
        (folder / "data.json").write_text(json.dumps({"data": rows}), encoding="utf-8")
        command = [
            str(binary), "-b", str(batch if batched else 1), "-m", model, "-u", grpc, "-i", "grpc", "--async",
            "--concurrency-range", str(concurrency), "--input-data", str(folder / "data.json"),
            "--percentile", "99", "--measurement-interval", "2000", "--max-trials", "5",
            "--stability-percentage", "50", "-f", str(folder / "out.csv"),
        ]  # fmt: skip
        if sequence:
            command += ["--sequence-length", str(sequence), "--sequence-length-variation", "0"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NavigatorError(f"perf_analyzer did not end within {LIMIT_S:g} s") from None
        except OSError as error:
            raise NavigatorError(f"perf_analyzer can't be run: {error}") from error
        out = folder / "out.csv"
        if done.returncode or not out.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()
            raise NavigatorError(f"perf_analyzer: {said[-1] if said else done.returncode}")
        with out.open(encoding="utf-8", newline="") as file:
            (row, *_) = csv.DictReader(file)
    return {
        "concurrency": float(row["Concurrency"]),
        "rate": float(row["Inferences/Second"]) / (batch if batched else 1),
        **{f"p{q}_ms": float(row[f"p{q} latency"]) / 1e3 for q in (50, 90, 95, 99)},
    }


def _tensor(array: np.ndarray) -> dict[str, Any]:
    """A tensor as it reads it."""
    import numpy as np

    array = np.asarray(array)
    _, shape, data = encode(array)
    if array.dtype.kind in "USO":
        return {"content": [str(v) for v in array.ravel()], "shape": shape}
    return {"b64": base64.b64encode(data).decode(), "shape": shape}
