"""AOTInductor packages: compiled code, called through a thin shell of Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from navigator_lab.formats._torch_reasons import explain
from navigator_lab.formats.aoti import CUDA, FORMAT
from navigator_lab.types.plugin import Opening, runner

from ._torch import PRECISIONS, Session, is_flat, refuses, session

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product


@runner(
    "aoti",
    FORMAT.name,
    devices=("cpu",),
    precisions=PRECISIONS,
    refuses=refuses,
    family="AOTInductor",
    needs=("torch",),
    explain=explain,
)
@contextmanager
def aoti(model: Product, opening: Opening) -> Iterator[Session]:
    """AOTInductor's compiled code on the CPU."""
    with _opened(model, opening) as running:
        yield running


@runner(
    "aoti-cuda",
    CUDA.name,
    devices=("cuda",),
    precisions=PRECISIONS,
    refuses=refuses,
    family="AOTInductor",
    needs=("torch",),
    explain=explain,
)
@contextmanager
def aoti_cuda(model: Product, opening: Opening) -> Iterator[Session]:
    """AOTInductor's compiled code on the GPU."""
    with _opened(model, opening) as running:
        yield running


@contextmanager
def _opened(model: Product, opening: Opening) -> Iterator[Session]:
    def load(device: torch.device) -> Any:
        from torch._inductor import aoti_load_package

        index = -1 if device.index is None else device.index
        return aoti_load_package(str(model.path / FORMAT.filename), device_index=index)

    # Compiled code doesn't look at the shapes it is given: it would read past the end of an input.
    with session(opening, load, flat=is_flat(model.value), checked=True) as running:
        yield running
