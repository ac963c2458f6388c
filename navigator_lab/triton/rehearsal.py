"""Does Triton's own backend compute what was measured? Tried before a package is called good.

The package is opened in a process of its own as the backend would open it, with the flags that
``config.pbtxt`` can say and no others, and its answers are held against the measured runner's.
A runtime's flags that a configuration can't express show here, and so does a crash at load.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..types import samples as stored
from ..types.signature import Signature
from ..types.target import Precision

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

SCRIPT = Path(__file__).with_name("backends") / "rehearse.py"
TIMEOUT_S = 600
# How far two runs of one runtime may be apart, as a share of the output's size: its kernels add up
# in another order when threads are shared out in another way.
_SAME = {Precision.FP32: 1e-3, Precision.INT8: 1e-2, Precision.INT8_DYNAMIC: 1e-2}
_SAME_LOW = 2e-2


def requests(samples: Sequence[Arrays], signature: Signature, largest: int) -> list[Arrays]:
    """A few requests: samples alone, and one batch where there is one."""
    made = [dict(one) for one in samples[:4]]
    size = min(4, largest) if largest else 1
    if size > 1:
        made.append(stored.batch_of(samples, signature, size))
    return made


def rehearse(
    folder: Path,
    config: Any,
    backend: str,
    version: int,
    feeds: Sequence[Arrays],
    direct: Callable[[Arrays], Arrays] | None,
    names: Mapping[str, str],
    precision: Precision,
) -> str:
    """Why the backend would not serve what was measured, or "".

    ``direct`` is the measured runner, None for a model whose answers can't be held against each
    other (it keeps state): it must then only load and answer. ``names`` are those that are served under another name.
    """
    import numpy as np
    from google.protobuf import json_format

    with tempfile.TemporaryDirectory(prefix="navigator-lab-rehearsal-") as made:
        scratch = Path(made)
        (scratch / "feeds").mkdir()
        (scratch / "answers").mkdir()
        for i, one in enumerate(feeds):
            np.savez(scratch / f"feeds/{i:03}.npz", **{names.get(k, k): v for k, v in one.items()})
        job = {
            "backend": backend,
            "config": json_format.MessageToDict(config, preserving_proto_field_name=True),
            "model": str(folder),
            "version": str(version),
            "feeds": str(scratch / "feeds"),
            "answers": str(scratch / "answers"),
        }
        (scratch / "job.json").write_text(json.dumps(job))
        problem = _run(scratch / "job.json")
        if problem or direct is None:
            return problem
        for i, one in enumerate(feeds):
            with np.load(scratch / f"answers/{i:03}.npz", allow_pickle=True) as file:
                got = {name: file[name] for name in file.files}
            wanted = {names.get(k, k): v for k, v in direct(one).items()}
            for name, array in got.items():
                problem = differing(name, array, np.asarray(wanted[name]), precision)
                if problem:
                    return problem
    return ""


def _run(job: Path) -> str:
    command = [sys.executable, str(SCRIPT), str(job)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it does not load and answer within {TIMEOUT_S} s"
    if done.returncode < 0:
        return f"it crashes (signal {-done.returncode}) when the file is opened and run as it does"
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = lines[-1].partition(": ")[2] or lines[-1] if lines else str(done.returncode)
        return f"it refuses: {said[:300]}"
    return ""


def differing(name: str, got: np.ndarray, wanted: np.ndarray, precision: Precision) -> str:
    """What tells two answers apart beyond the noise of one runtime, or ""."""
    import numpy as np

    if got.shape != wanted.shape and got.size != wanted.size:
        return f"{name} comes with the shape {list(got.shape)}, measured was {list(wanted.shape)}"
    if got.dtype.kind in "OUS":
        return "" if got.ravel().tolist() == wanted.ravel().tolist() else f"{name} reads otherwise"
    one, other = got.ravel(), wanted.ravel()
    if one.dtype.kind in "biu":
        share = float(np.mean(one == other)) if one.size else 1.0
        enough = 1.0 if precision is Precision.FP32 else 0.99
        return "" if share >= enough else f"{1 - share:.1%} of {name} are other numbers"
    one, other = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(other)
    if not np.array_equal(finite, np.isfinite(one)):
        return f"{name} has NaN or infinity elsewhere than measured"
    if not finite.any():
        return ""
    size = float(np.abs(other[finite]).max())
    error = float(np.abs(one[finite] - other[finite]).max())
    if error <= _SAME.get(precision, _SAME_LOW) * size:
        return ""
    share = error / size if size else float("inf")
    return f"{name} is up to {error:.3g} away from what was measured ({share:.1%} of its size)"


def _run_apart() -> None:
    """Never called. Names what runs in the other process, so that its code enters the key."""
    from .backends import navigator_standin, rehearse  # noqa: F401
    from .backends.onnxruntime import model as _onnxruntime  # noqa: F401
    from .backends.openvino import model as _openvino  # noqa: F401
    from .backends.pytorch import model as _pytorch  # noqa: F401
