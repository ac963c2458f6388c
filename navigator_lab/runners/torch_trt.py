"""Torch-TensorRT: runs ``torch-trt``, a program with engines in it, on CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from navigator_lab.formats._torch_reasons import explain
from navigator_lab.formats.torch_trt import APART, FORMAT, NEEDS
from navigator_lab.types.plugin import Opening, runner

from ._torch import PRECISIONS, Session, is_flat, session

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product


@runner(
    "torch-trt",
    FORMAT.name,
    devices=("cuda",),
    precisions=PRECISIONS,
    family="Torch-TensorRT",
    needs=NEEDS,
    apart=APART,
    explain=explain,
)
@contextmanager
def torch_trt(model: Product, opening: Opening) -> Iterator[Session]:
    """The exported program, its engines by TensorRT and the rest by torch."""

    def opened(device: torch.device) -> Any:
        import torch_tensorrt

        return torch_tensorrt.load(str(model.path / FORMAT.filename)).module()

    with session(opening, opened, flat=is_flat(model.value), checked=True) as running:
        yield running
