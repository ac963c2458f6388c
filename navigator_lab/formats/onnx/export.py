"""From torch to ONNX: the exporter on torch.export, or the older one that traces.

The graph takes the signature's inputs in their order and gives its outputs in theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types import pytree
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, edge, option
from navigator_lab.types.signature import Signature

from . import graph
from .reasons import explain

if TYPE_CHECKING:
    import numpy as np

NEEDS = ("torch", "onnx", "onnxscript")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a torch model becomes a graph."""

    exporter: str = option(
        "dynamo",
        "dynamo captures with torch.export; torchscript is the older one, which traces",
        choices=("dynamo", "torchscript"),
    )
    opset: int = option(0, "version of the standard operators; 0: the exporter's own default")
    optimize: bool = option(True, "let the dynamo exporter fold constants and merge nodes")


def example(signature: Signature, samples: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The feeds to export with: a batch of two where there is one, and the largest free axes.

    An exporter takes a size of one for a constant, so samples with it are the last choice.
    """
    sizes = [
        sum(
            size
            for spec in signature.inputs
            for name, size in zip(spec.shape, one[spec.name].shape, strict=True)
            if isinstance(name, str) and name != "batch"
        )
        for one in samples
    ]
    largest = samples[sizes.index(max(sizes))]
    batched = signature.batched and all(
        axis.max > 1 for axis in signature.axes if axis.name == "batch"
    )
    return stored.together([largest] * (2 if batched else 1), signature)


def free_axes(signature: Signature) -> list[dict[int, str]]:
    """Of each input, the axes that vary and can: one that may only be one element is fixed."""
    fixed = {axis.name for axis in signature.axes if axis.max == axis.min}
    return [
        {i: n for i, n in enumerate(spec.shape) if isinstance(n, str) and n not in fixed}
        for spec in signature.inputs
    ]


@edge("torch", "onnx", "fp32", needs=NEEDS, options=ExportOptions, timeout_s=1800, explain=explain)
def from_torch(at: At, model: Product, samples: Product) -> graph.Graph:
    """Export the torch model as an ONNX graph."""
    import torch

    signature = samples.read(Signature)
    flat = _flat(torch.load(model.path / "model.pt", weights_only=False, mmap=True), signature)
    feeds = example(signature, stored.read(samples.path))
    args = tuple(torch.from_numpy(feeds[spec.name]) for spec in signature.inputs)
    return export(at, flat, args, signature)


def _flat(module: Any, signature: Signature) -> Any:
    """``module`` with flat positional inputs and a flat tuple of outputs."""
    import torch

    names = [spec.name for spec in signature.inputs]

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            args, kwargs = pytree.unflatten(signature.call, dict(zip(names, tensors, strict=True)))
            made = pytree.flatten(self.module(*args, **kwargs), torch.is_tensor)
            return tuple(leaf for _, leaf in made)

    return Flat().eval()


def export(at: At, module: Any, args: tuple[Any, ...], signature: Signature) -> graph.Graph:
    """Export ``module``, which takes flat tensors and gives a tuple of them, into ``at.out``."""
    import torch

    options = at.options or ExportOptions()
    path = at.out / graph.FORMAT.filename
    inputs = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]
    free = free_axes(signature)
    asked: dict[str, Any] = {"opset_version": options.opset or None}
    at.say(f"exporting with {options.exporter}")
    with torch.no_grad():
        if options.exporter == "torchscript":
            torch.onnx.export(
                module,
                args,
                str(path),
                dynamo=False,
                input_names=inputs,
                output_names=outputs,
                dynamic_axes={n: axes for n, axes in zip(inputs, free, strict=True) if axes},
                **asked,
            )
            made = graph.load(path)
            path.unlink()
        else:
            # DYNAMIC, not a named Dim: it refuses to fix an axis too, and takes what
            # the model says of its range, where a named one asks the user to spell it.
            shapes = [dict.fromkeys(axes, torch.export.Dim.DYNAMIC) or None for axes in free]
            program = torch.onnx.export(
                module,
                args,
                dynamo=True,
                dynamic_shapes=(tuple(shapes),),
                input_names=inputs,
                output_names=outputs,
                optimize=options.optimize,
                verbose=False,
                **asked,
            )
            assert program is not None
            made = _proto(program)
    return finish(at, made, signature, options.exporter)


def _proto(program: Any) -> Any:
    """The exporter's program as a protobuf, also when it is larger than protobuf's limit."""
    return program.model_proto


def finish(at: At, made: Any, signature: Signature, exporter: str) -> graph.Graph:
    """Name what is free, write it, and check that it says what the signature says."""
    found = [o.name for o in made.graph.output]
    if len(found) != len(signature.outputs):
        raise ModelError(
            f"the exported graph has {len(found)} outputs; the model has {len(signature.outputs)}"
        )
    graph.name_axes(made, signature)
    graph.check(graph.save(made, at.out), signature)
    return graph.Graph(graph.opset(made), len(made.graph.node), exporter)
