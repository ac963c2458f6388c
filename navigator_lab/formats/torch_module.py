"""The torch module itself, and the same module in another precision. No export happens here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.types.plugin import At, Format, edge, option
from navigator_lab.types.signature import Signature

from ._torch import LOW, load
from ._torch_reasons import explain

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product

FORMAT = Format("torch", "model.pt", "a torch.nn.Module, pickled", family="PyTorch")


@dataclass(frozen=True, slots=True)
class LowOptions:
    """How a module is brought to a lower precision."""

    how: str = option(
        "convert",
        "convert: all weights and floating inputs are cast once; autocast: torch.autocast casts op by op "
        "and leaves what is sensitive in fp32",
        choices=("convert", "autocast"),
    )


@edge(
    FORMAT.name,
    FORMAT.name,
    ("fp32", "fp16"),
    ("fp32", "bf16"),
    name="torch-low<-torch",
    needs=("torch", "cloudpickle"),
    options=LowOptions,
    timeout_s=600,
    explain=explain,
)
def lower(at: At, model: Product, samples: Product) -> None:
    """The module with weights and computation in fp16 or bf16, and its own types at the border."""
    module = load(model.path / FORMAT.filename)
    outside = tuple(spec.dtype for spec in samples.read(Signature).outputs)
    save(
        bordered(module, LOW[at.about.precision], outside, at.options.how), at.out / FORMAT.filename
    )


@edge(
    FORMAT.name,
    FORMAT.name,
    ("fp32", "tf32"),
    name="torch-tf32<-torch",
    needs=("torch",),
    timeout_s=600,
)
def tf32(at: At, model: Product, samples: Product) -> None:
    """The same module: TF32 is a mode that the runner sets."""
    shutil.copyfile(model.path / FORMAT.filename, at.out / FORMAT.filename)


def save(module: torch.nn.Module, path: Path) -> None:
    """A module as a ``model.pt``: classes of notebooks travel by value, weights are streamed."""
    import cloudpickle
    import torch

    torch.save(module, path, pickle_module=cloudpickle)


def bordered(
    module: torch.nn.Module, inside: str, outside: tuple[str, ...], how: str = "convert"
) -> torch.nn.Module:
    """``module`` computing in the dtype ``inside``; its floating outputs come back as ``outside``.

    The class is local so that it is pickled by value: the file opens without this package.
    """
    import torch

    class Border(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.inside, self.outside, self.how = inside, outside, how
            self.module = module.to(getattr(torch, inside)) if how == "convert" else module

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            import dataclasses
            from collections.abc import Mapping

            import torch

            low = getattr(torch, self.inside)
            wanted = [getattr(torch, name) for name in self.outside]
            count = 0

            def enter(value: Any) -> Any:
                if isinstance(value, torch.Tensor):
                    return value.to(low) if value.is_floating_point() else value
                if isinstance(value, tuple | list):
                    return type(value)([enter(one) for one in value])
                if isinstance(value, dict):
                    return {key: enter(one) for key, one in value.items()}
                return value

            def leave(value: Any) -> Any:
                nonlocal count
                if isinstance(value, torch.Tensor):
                    to = wanted[count] if count < len(wanted) else torch.float32
                    count += 1
                    return (
                        value.to(to)
                        if value.is_floating_point() and to.is_floating_point
                        else value
                    )
                if isinstance(value, tuple) and hasattr(value, "_fields"):
                    return type(value)(*[leave(one) for one in value])
                if isinstance(value, tuple | list):
                    return type(value)([leave(one) for one in value])
                if isinstance(value, Mapping):
                    return {key: leave(one) for key, one in value.items()}
                if dataclasses.is_dataclass(value) and not isinstance(value, type):
                    names = [field.name for field in dataclasses.fields(value)]
                    return {name: leave(getattr(value, name)) for name in names}
                if value is not None:
                    count += 1
                return value

            if self.how == "convert":
                return leave(self.module(*enter(args), **enter(kwargs)))
            device = "cpu"
            for tensor in self.module.parameters():
                device = tensor.device.type
                break
            # Without the cache a trace or an export sees every cast.
            with torch.autocast(device, dtype=low, cache_enabled=False):
                return leave(self.module(*args, **kwargs))

    return Border(module).eval()
