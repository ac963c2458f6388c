"""From torch to ONNX: the exporter on torch.export, or the older one that traces.

The graph takes the signature's inputs in their order and gives its outputs in theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from navigator_lab.errors import ModelError
from navigator_lab.formats._torch import (
    CannotBuild,
    flat,
    load,
    quiet_build,
    said,
    tensors_of,
    trials,
)
from navigator_lab.formats.torch_module import FORMAT as TORCH
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, edge, option
from navigator_lab.types.signature import Signature

from . import graph
from .reasons import explain

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
    signature = samples.read(Signature)
    module = flat(load(model.path / TORCH.filename), signature)
    return export(at, module, _example(samples, signature), signature)


def _example(samples: Product, signature: Signature) -> tuple[Any, ...]:
    feeds = trials(stored.read(samples.path), signature)[0][1]
    return tuple(tensors_of(feeds, signature))


def export(at: At, module: Any, args: tuple[Any, ...], signature: Signature) -> graph.Graph:
    """Export ``module``, which takes flat tensors and gives a tuple of them, into ``at.out``."""
    import torch

    options = at.options or ExportOptions()
    path = at.out / graph.FORMAT.filename
    inputs = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]
    free = free_axes(signature)
    at.say(f"exporting with {options.exporter}")
    with quiet_build() as notes:
        try:
            if options.exporter == "torchscript":
                torch.onnx.export(
                    module,
                    args,
                    str(path),
                    dynamo=False,
                    opset_version=options.opset or None,
                    input_names=inputs,
                    output_names=outputs,
                    dynamic_axes={n: axes for n, axes in zip(inputs, free, strict=True) if axes},
                )
                made = graph.load(path)
                path.unlink()
            else:
                # DYNAMIC, not a named Dim: it refuses to fix an axis too, and takes what the
                # model says of its range, where a named one asks the user to spell it.
                dynamic = torch.export.Dim.DYNAMIC
                program = torch.onnx.export(
                    module,
                    args,
                    dynamo=True,
                    opset_version=options.opset or None,
                    dynamic_shapes=tuple(dict.fromkeys(axes, dynamic) or None for axes in free),
                    input_names=inputs,
                    output_names=outputs,
                    optimize=options.optimize,
                    verbose=False,
                )
                assert program is not None
                made = program.model_proto
        except Exception as error:  # foreign code: any class may come
            raise CannotBuild(f"the ONNX exporter refuses the model: {_why(error)}") from error
    return finish(at, made, signature, options.exporter, tuple(notes))


def _why(error: BaseException) -> str:
    """The error that the exporter wraps: its own text is advice on filing issues with PyTorch."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {said(cause)}"


def finish(
    at: At, made: Any, signature: Signature, exporter: str, notes: tuple[str, ...] = ()
) -> graph.Graph:
    """Name what is free, write it, and check that it says what the signature says."""
    found = [o.name for o in made.graph.output]
    if len(found) != len(signature.outputs):
        raise ModelError(
            f"the exported graph has {len(found)} outputs; the model has {len(signature.outputs)}"
        )
    graph.name_axes(made, signature)
    graph.check(graph.save(made, at.out), signature)
    return graph.Graph(graph.opset(made), len(made.graph.node), exporter, notes=notes)
