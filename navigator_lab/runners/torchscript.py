"""TorchScript, traced, scripted or given as a file, on its own interpreter."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.formats._torch_reasons import explain, said
from navigator_lab.formats.torchscript import FORMAT, SCRIPT
from navigator_lab.types.plugin import Opening, option, runner

from ._torch import PRECISIONS, Session, is_flat, refuses, session

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """How TorchScript is run."""

    freeze: bool = option(
        False, "fold the weights into the graph (torch.jit.freeze); Triton's backend doesn't"
    )
    profile: bool | None = option(
        None,
        "let the executor specialise on the shapes it saw first, and fuse. None: on a CPU only; on "
        "CUDA its fuser compiles a kernel for each shape, minutes for a large network",
    )


@runner(
    "jit",
    FORMAT.name,
    SCRIPT.name,
    devices=("cpu", "cuda"),
    precisions=PRECISIONS,
    refuses=refuses,
    reference=True,
    family="PyTorch",
    needs=("torch",),
    options=ScriptOptions,
    explain=explain,
)
@contextmanager
def jit(model: Product, opening: Opening) -> Iterator[Session]:
    """TorchScript's interpreter."""
    import torch

    options = opening.options or ScriptOptions()

    def opened(device: torch.device) -> Any:
        with warnings.catch_warnings():
            # That TorchScript is on its way out is known, and no news of this model.
            warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
            module = torch.jit.load(str(model.path / FORMAT.filename), map_location=device).eval()
            module = torch.jit.freeze(module) if options.freeze else module

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return module(*args, **kwargs)
            except RuntimeError as error:
                raise RuntimeError(said(error)) from error

        return call

    # The reference runs the operators as they lie, so that no fusion is in the right answer.
    wanted = opening.target.device.kind == "cpu" if options.profile is None else options.profile
    profile = wanted and not opening.reference
    with (
        torch.jit.optimized_execution(profile),
        session(opening, opened, flat=is_flat(model.value)) as running,
    ):
        yield running
