"""What every runner on TensorFlow shares: transfers apart, and the flags of a process set back.

It declares no runner. What TensorFlow prints goes where the worker's output goes, its log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError
from navigator_lab.formats import _tensorflow as shared
from navigator_lab.types.plugin import Device, Opening, Precision

if TYPE_CHECKING:
    import numpy as np

    from navigator_lab.types.outcome import Product

    Arrays = dict[str, np.ndarray]


def refuses(precision: Precision, device: Device) -> str:
    """Why a pair can't be."""
    if precision == "tf32" and device.kind == "cpu":
        return "TF32 is a mode of NVIDIA GPUs"
    return ""


# What every runner on TensorFlow declares; the TF-TRT one alone wants another TensorFlow.
RUNS: Any = {
    "devices": ("cpu", "cuda"),
    "refuses": refuses,
    "family": "TensorFlow",
    "needs": shared.NEEDS,
    "device_needs": {"cuda": ("tensorflow",)},  # tensorflow-cpu has no kernels for it
    "apart": shared.APART,
    "explain": shared.explain,
}


class Session:
    """A function of named tensors, opened on a device."""

    def __init__(self, call: Callable[..., dict[str, Any]], device: str) -> None:
        self.call, self.device = call, device

    def put(self, feeds: Arrays) -> dict[str, Any]:
        import tensorflow as tf

        with tf.device(self.device):
            made = {name: tf.convert_to_tensor(array) for name, array in feeds.items()}
        self._wait()
        return made

    def run(self, bound: dict[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        with tf.device(self.device):
            raw = self.call(**bound)
        self._wait()
        return raw

    def get(self, raw: dict[str, Any]) -> Arrays:
        import numpy as np

        return {name: _text(np.asarray(tensor)) for name, tensor in raw.items()}

    def _wait(self) -> None:
        if not self.device.endswith("CPU:0"):
            import tensorflow as tf

            tf.test.experimental.sync_devices()


def _text(array: np.ndarray) -> np.ndarray:
    """Text comes out as bytes."""
    if array.dtype.kind != "O":
        return array
    import numpy as np

    made = np.empty(array.shape, object)
    for place, value in np.ndenumerate(array):
        made[place] = value.decode()
    return made


@contextmanager
def session(opening: Opening, make: Callable[[], Callable[..., Any]]) -> Iterator[Session]:
    """``make`` is called with the device current; what it gives is run there.

    Raises:
        NavigatorError: TensorFlow sees no such GPU.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # which CPU flags it was built for: no news
    _without_jax()
    import tensorflow as tf

    device = opening.target.device
    name = "/CPU:0"
    if device.kind == "cuda":
        name = f"/GPU:{device.index or 0}"
        _take_gpu(device.index or 0)
    wanted = opening.target.precision == Precision.TF32 and not opening.reference
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(wanted)  # its own default is on
    try:
        with tf.device(name):
            call = make()
        yield Session(call, name)
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@contextmanager
def signed(
    model: Product, opening: Opening, opened: Callable[[Path], shared.Signed] = shared.opened
) -> Iterator[Session]:
    """A session of one signature, whose weights live while it is open."""
    kept: list[shared.Signed] = []

    def make() -> Callable[..., Any]:
        kept.append(opened(model.path))
        return kept[0].call

    with session(opening, make) as running:
        yield running


def _without_jax() -> None:
    """TensorFlow imports jax where it is installed, which breaks beside numpy 1.26, a stub's."""
    import numpy as np

    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        sys.modules.setdefault("jax", None)  # type: ignore[arg-type]  # importing None raises


def _take_gpu(index: int) -> None:
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if index >= len(found):
        raise NavigatorError(
            f"TensorFlow sees {len(found)} GPUs, so there is no GPU {index} for it",
            "its log says which library is missing: pip install 'tensorflow[and-cuda]'",
        )
    for one in found:  # else it takes all of the memory, beside the others
        tf.config.experimental.set_memory_growth(one, True)
