"""The program of torch.export, run as it lies: one operator at a time, without the model's Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from navigator_lab.formats._torch_reasons import explain
from navigator_lab.formats.torch_export import FORMAT
from navigator_lab.types.plugin import Opening, runner

from ._torch import PRECISIONS, Session, is_flat, refuses, session

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product


@runner(
    "export",
    FORMAT.name,
    devices=("cpu", "cuda"),
    precisions=PRECISIONS,
    refuses=refuses,
    reference=True,
    family="PyTorch",
    needs=("torch",),
    explain=explain,
)
@contextmanager
def export(model: Product, opening: Opening) -> Iterator[Session]:
    """The exported graph, operator by operator."""

    def opened(device: torch.device) -> torch.nn.Module:
        import torch
        from torch.export.passes import move_to_device_pass

        program = torch.export.load(model.path / FORMAT.filename)
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
        return program.module()

    with session(opening, opened, flat=is_flat(model.value)) as running:
        yield running
