"""What a device can do at most: matrix products and memory, measured here and now.

The roofline's two lines (Williams, Waterman, Patterson 2009), taken on the machine itself rather
than from a data sheet: what a large product of square matrices reaches in each precision, and how
fast a large copy goes. No model is part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..types.measure import Peaks
from ..types.plugin import At, action, option

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PeaksOptions:
    """How long is measured."""

    seconds: float = option(0.3, "for each precision, and for the copy", unit="s")


@action("peaks", needs=("torch",), options=PeaksOptions, measures=True, hardware=True, fresh=True)
def peaks(at: At) -> Peaks:
    """Measure the largest rate of matrix products by precision, and of memory."""
    import torch

    device = torch.device(str(at.about.device))
    seconds = (at.options or PeaksOptions()).seconds
    at.turn()
    flops: dict[str, float] = {}
    missing: dict[str, str] = {}
    size = 8192 if device.type == "cuda" else 1024
    for precision in ("fp32", "tf32", "fp16", "bf16", "int8", "fp8"):
        if device.type == "cpu" and precision != "fp32":
            # PyTorch's own kernels are a hundred times slower than a CPU can be.
            missing[precision] = "on a CPU only products in fp32 come near what it can do"
            continue
        at.say(f"products in {precision}")
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        try:
            call = _product(precision, size, device)
            flops[precision] = 2 * size**3 / _fastest(call, device, seconds)
        except (RuntimeError, NotImplementedError, AttributeError) as error:
            # This GPU or this torch has no such product: its line in the table says why.
            missing[precision] = str(error).strip().split("\n")[0][:200]
    at.say("memory")
    many = (1 << 30) if device.type == "cuda" else (1 << 27)  # far more than any cache
    source = torch.empty(many, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    source.zero_()  # else the pages of a CPU's memory don't exist yet
    took = _fastest(lambda: target.copy_(source), device, seconds)
    return Peaks(flops, 2 * many / took, missing)


def _product(precision: str, size: int, device: torch.device) -> Callable[[], Any]:
    import torch

    def made(dtype: torch.dtype) -> torch.Tensor:
        return torch.randn(size, size, device=device).to(dtype)

    if precision == "int8":
        a, b = made(torch.int8), made(torch.int8)
        return lambda: torch._int_mm(a, b)
    if precision == "fp8":
        a, b = made(torch.float8_e4m3fn), made(torch.float8_e4m3fn).t()
        one = torch.ones((), device=device)
        return lambda: torch._scaled_mm(a, b, one, one, out_dtype=torch.bfloat16)
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)
    a, b = made(dtype), made(dtype)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def _fastest(call: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """Seconds of the fastest of several calls: a peak is what nothing disturbed."""
    import torch

    def timed() -> float:
        began = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    timed()
    end = time.perf_counter() + seconds
    best = timed()
    while time.perf_counter() < end:
        best = min(best, timed())
    return best
