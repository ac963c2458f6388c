"""What every runner on PyTorch shares: a session with transfers apart, and flags put back on close.

It declares no runner. Warm workers open one model after another, so nothing set here may outlive
its opening.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from navigator_lab.formats._torch import array_of, is_flat, is_leaf, tensor_of, tensors_of
from navigator_lab.types.plugin import Device, Opening, Precision
from navigator_lab.types.pytree import flatten, unflatten

if TYPE_CHECKING:
    import numpy as np
    import torch

    from navigator_lab.types.signature import Signature

    Arrays = dict[str, np.ndarray]
    Call = Callable[..., Any]

PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
OF_MODULES = (*PRECISIONS, "int8-dynamic", "int8-weights", "fp8")  # torchao's, of a live module


def refuses(precision: Precision, device: Device) -> str:
    """Why a precision can't be on a device; "" if it can."""
    if precision is Precision.TF32 and device.kind == "cpu":
        return "TF32 is a mode of CUDA tensor cores; a CPU has none"
    if precision is Precision.FP8 and device.kind == "cpu":
        return "torch multiplies fp8 on GPUs only"
    return ""


class Session:
    """An opened torch callable: ``put``, ``run`` and ``get`` apart, outputs by the signature's names."""

    def __init__(
        self,
        call: Call,
        device: torch.device,
        opening: Opening,
        *,
        flat: bool = False,
        channels_last: bool = False,
        checked: bool = False,
    ) -> None:
        self.call: Call | None = call
        self.device = device
        self.signature = opening.signature
        self.flat = flat
        self.channels_last = channels_last
        self.checked = checked

    def put(self, feeds: Arrays) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the call, as tensors on the device."""
        import torch

        tensors = tensors_of(feeds, self.signature, self.device)
        if self.checked:
            fits(feeds, self.signature)
        if self.channels_last:
            tensors = [
                t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t
                for t in tensors
            ]
        self._wait()
        if self.flat:
            return tensors, {}
        names = [spec.name for spec in self.signature.inputs]
        return unflatten(self.signature.call, dict(zip(names, tensors, strict=True)))

    def run(self, bound: tuple[list[Any], dict[str, Any]]) -> Any:
        """Compute; on CUDA until the device is done."""
        import torch

        if self.call is None:
            raise RuntimeError("this session is closed")
        args, kwargs = bound
        with torch.inference_mode():
            raw = self.call(*args, **kwargs)
        self._wait()
        return raw

    def get(self, raw: Any) -> Arrays:
        """Numpy arrays by output name."""
        import numpy as np
        import torch

        found = flatten(raw, is_leaf)
        names = [name for name, _ in found]
        wanted = [spec.name for spec in self.signature.outputs]
        if wanted and len(wanted) != len(names):
            raise ValueError(
                f"the model gave {len(names)} outputs where its signature has {len(wanted)}: {wanted}"
            )
        # By name where the names are the same in another order (a dict), else by position.
        if wanted and set(wanted) != set(names):
            names = wanted
        made = {
            name: array_of(leaf) if isinstance(leaf, torch.Tensor) else np.asarray(leaf)
            for name, (_, leaf) in zip(names, found, strict=True)
        }
        return {name: made[name] for name in wanted or names}

    def close(self) -> None:
        self.call = None

    def _wait(self) -> None:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)


def fits(feeds: Arrays, signature: Signature) -> None:
    """Refuse feeds that the signature does not allow.

    Raises:
        ValueError: the input, what it is and what it may be.
    """
    for spec in signature.inputs:
        array = feeds[spec.name]
        right = array.dtype.name == spec.dtype and array.ndim == len(spec.shape)
        for size, wanted in zip(array.shape, spec.shape, strict=False):
            if isinstance(wanted, int):
                right &= size == wanted
            else:
                axis = signature.axis(wanted)
                right &= axis.min <= size <= axis.max
        if not right:
            ranges = [
                s if isinstance(s, int) else f"{s} {signature.axis(s).min}..{signature.axis(s).max}"
                for s in spec.shape
            ]
            raise ValueError(
                f"input {spec.name!r} is {array.dtype.name}{list(array.shape)}, but what was "
                f"compiled takes {spec.dtype}{ranges}"
            )


@contextmanager
def prepared(opening: Opening) -> Iterator[torch.device]:
    """The device, with every global setting of torch kept; all is put back on leaving."""
    import torch

    cudnn, mha = torch.backends.cudnn, torch.backends.mha
    before = (
        torch.get_float32_matmul_precision(),
        cudnn.allow_tf32,
        cudnn.deterministic,
        cudnn.benchmark,
        mha.get_fastpath_enabled(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )
    where = torch.device(str(opening.target.device))
    index = torch.cuda.current_device() if where.type == "cuda" else None
    try:
        if index is not None:
            torch.cuda.set_device(where)
        if opening.threads is not None:
            torch.set_num_threads(opening.threads)
        yield where
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before[1:4]
        mha.set_fastpath_enabled(before[4])
        torch.set_num_threads(before[5])
        torch.set_default_dtype(before[6])
        torch.set_grad_enabled(before[7])
        gc.collect()
        if index is not None:
            torch.cuda.synchronize(where)
            torch.cuda.empty_cache()
            torch.cuda.set_device(index)


@contextmanager
def precise(opening: Opening) -> Iterator[None]:
    """The arithmetic that the precision names. Entered after loading: a model's own modules may
    set the same flags when they are imported."""
    import torch

    fast = opening.target.precision is Precision.TF32 and not opening.reference
    # This sets matmul.allow_tf32 too; torch refuses a mix of its older and newer switches.
    torch.set_float32_matmul_precision("high" if fast else "highest")
    torch.backends.cudnn.allow_tf32 = fast
    with ExitStack() as stack:
        if opening.reference:
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
            torch.backends.mha.set_fastpath_enabled(False)
            kernel = torch.nn.attention.SDPBackend.MATH
            stack.enter_context(torch.nn.attention.sdpa_kernel(kernel))
        yield


@contextmanager
def session(
    opening: Opening,
    load: Callable[[torch.device], Call],
    *,
    flat: bool = False,
    channels_last: bool = False,
    checked: bool = False,
) -> Iterator[Session]:
    """``load(device)`` opened as a session; on leaving, weights and flags are gone.

    ``flat``: it takes the inputs positionally. ``checked``: it does not look at shapes itself.
    """
    with prepared(opening) as device:
        call = load(device)
        with precise(opening):
            made = Session(
                call, device, opening, flat=flat, channels_last=channels_last, checked=checked
            )
            del call
            try:
                yield made
            finally:
                made.close()


__all__ = [
    "OF_MODULES",
    "PRECISIONS",
    "Session",
    "fits",
    "is_flat",
    "precise",
    "prepared",
    "refuses",
    "session",
    "tensor_of",
]
