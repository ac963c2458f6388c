"""AOTInductor packages: compiled code, called through a thin shell of Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from navigator_lab.formats._torch import explain
from navigator_lab.formats.aoti import CUDA, FORMAT
from navigator_lab.types.plugin import Opening, runner

from ._torch import PRECISIONS, Session, is_flat, refuses, session

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product

_CHECK = "AOTI_RUNTIME_CHECK_INPUTS"


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

    before = os.environ.get(_CHECK)
    # Without it the code reads past the end of an input whose shape it was not compiled for.
    os.environ[_CHECK] = "1"
    try:
        with session(opening, load, flat=is_flat(model.value)) as running:
            yield running
    finally:
        if before is None:
            del os.environ[_CHECK]
        else:
            os.environ[_CHECK] = before
