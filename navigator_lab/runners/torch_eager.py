"""PyTorch as written, one operator at a time; the reference for torch sources.

`eager-graphs` is the same recorded once per shape as a CUDA graph and replayed: no launch cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.formats._torch import load
from navigator_lab.formats._torch_reasons import explain
from navigator_lab.formats.torch_module import FORMAT
from navigator_lab.types.plugin import Opening, Proposal, option, runner

from ._torch import OF_MODULES, Session, refuses, session

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product
    from navigator_lab.types.signature import Signature


@dataclass(frozen=True, slots=True)
class EagerOptions:
    """How a module is run."""

    channels_last: bool = option(
        False, "weights and 4-D inputs in channels-last memory format: faster convolutions in fp16"
    )


def images(signature: Signature) -> bool:
    """Is there an input that channels-last memory can matter for?"""
    return any(len(spec.shape) == 4 and spec.dtype.startswith("float") for spec in signature.inputs)


# Which layout is faster depends on the precision and the kernels that a GPU's libraries have, so
# both are measured. On a CPU it is asked for by its text: there each compilation takes a minute.
CHANNELS_LAST = Proposal({"channels_last": True}, ("cuda",), images)


@runner(
    "eager",
    FORMAT.name,
    devices=("cpu", "cuda"),
    precisions=OF_MODULES,
    refuses=refuses,
    reference=True,
    family="PyTorch",
    needs=("torch",),
    options=EagerOptions,
    explain=explain,
)
@contextmanager
def eager(model: Product, opening: Opening) -> Iterator[Session]:
    """PyTorch, operator by operator."""
    options = opening.options or EagerOptions()

    def opened(device: torch.device) -> torch.nn.Module:
        return on(device, model, options.channels_last)

    with session(opening, opened, channels_last=options.channels_last) as running:
        yield running


@runner(
    "eager-graphs",
    FORMAT.name,
    devices=("cuda",),
    precisions=OF_MODULES,
    refuses=refuses,
    family="PyTorch",
    needs=("torch",),
    options=EagerOptions,
    proposes=(CHANNELS_LAST,),
    fresh=True,  # a capture that fails can leave the CUDA context of its process unusable
    explain=explain,
)
@contextmanager
def eager_graphs(model: Product, opening: Opening) -> Iterator[Session]:
    """PyTorch, recorded once per shape as a CUDA graph."""
    options = opening.options or EagerOptions()

    def opened(device: torch.device) -> Graphs:
        return Graphs(on(device, model, options.channels_last))

    with session(opening, opened, channels_last=options.channels_last) as running:
        yield running


def on(device: torch.device, model: Product, channels_last: bool) -> torch.nn.Module:
    """The module of a product, on a device."""
    import torch

    module = load(model.path / FORMAT.filename).to(device)
    if channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


class Graphs:
    """A callable as CUDA graphs, one for each set of shapes; answers live until the next call."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.recorded: dict[Any, tuple[Any, list[Any], Any]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import torch
        from torch.utils import _pytree as tree

        given, spec = tree.tree_flatten((args, kwargs))
        key = tuple(
            (tuple(v.shape), v.dtype, v.stride()) if isinstance(v, torch.Tensor) else v
            for v in given
        )
        if key not in self.recorded:
            self.recorded[key] = self._record(given, spec)
        graph, held, answer = self.recorded[key]
        for place, value in zip(held, given, strict=True):
            if isinstance(place, torch.Tensor):
                place.copy_(value)
        graph.replay()
        return answer

    def _record(self, given: list[Any], spec: Any) -> tuple[Any, list[Any], Any]:
        import torch
        from torch.utils import _pytree as tree

        held = [v.clone() if isinstance(v, torch.Tensor) else v for v in given]
        args, kwargs = tree.tree_unflatten(held, spec)
        # Libraries choose their kernels and workspaces on the first calls, which a capture forbids.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self.call(*args, **kwargs)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = self.call(*args, **kwargs)
        return graph, held, answer
