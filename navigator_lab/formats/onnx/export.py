"""From torch to ONNX: the exporter on torch.export, or the older one that traces.

The graph takes the signature's inputs in their order and gives its outputs in theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from navigator_lab.errors import ModelError
from navigator_lab.formats._torch import (
    CannotBuild,
    flat,
    is_flat,
    load,
    quiet_build,
    said,
    tensors_of,
    trials,
)
from navigator_lab.formats.torch_module import FORMAT as TORCH
from navigator_lab.types import pytree
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


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """How a TorchScript file becomes a graph."""

    opset: int = option(0, "version of the standard operators; 0: the exporter's own default")


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


@edge(
    "torch-export",
    "onnx",
    "fp32",
    needs=NEEDS,
    options=ExportOptions,
    timeout_s=1800,
    explain=explain,
)
def from_program(at: At, model: Product, samples: Product) -> graph.Graph:
    """Translate the exported program into an ONNX graph; what it fixed stays fixed."""
    import torch

    signature = samples.read(Signature)
    program = torch.export.load(model.path / "model.pt2")
    return export(at, program, (), signature, names=_in_order(model, signature))


def _from_script(at: At, model: Product, samples: Product) -> graph.Graph:
    """Export the traced or scripted file with the older exporter, the only one that reads it."""
    import torch

    signature = samples.read(Signature)
    options = ExportOptions("torchscript", (at.options or ScriptOptions()).opset)
    with quiet_build():
        module = torch.jit.load(str(model.path / "model.pt"), map_location="cpu").eval()
    args, kwargs = _example(samples, signature), {}
    if not is_flat(model.value):
        named = {spec.name: tensor for spec, tensor in zip(signature.inputs, args, strict=True)}
        given, kwargs = pytree.unflatten(signature.call, named)
        args = tuple(given)
    names = _in_order(model, signature)
    return export(replace(at, options=options), module, args, signature, names=names, kwargs=kwargs)


_script = {"needs": NEEDS, "options": ScriptOptions, "timeout_s": 1800, "explain": explain}
from_trace = edge("torchscript", "onnx", "fp32", **_script)(_from_script)
from_script = edge("torchscript-script", "onnx", "fp32", **_script)(_from_script)


def _in_order(model: Product, signature: Signature) -> list[str]:
    """The inputs in the order in which a file takes them: what we built takes the signature's."""
    if signature.call is None or is_flat(model.value):
        return [spec.name for spec in signature.inputs]
    return pytree.inputs_of(signature.call)


def _example(samples: Product, signature: Signature) -> tuple[Any, ...]:
    feeds = trials(stored.read(samples.path), signature)[0][1]
    return tuple(tensors_of(feeds, signature))


def export(
    at: At,
    module: Any,
    args: tuple[Any, ...],
    signature: Signature,
    *,
    names: list[str] | None = None,
    kwargs: dict[str, Any] | None = None,
) -> graph.Graph:
    """Export ``module`` into ``at.out``; ``names`` are its inputs in the order it takes them."""
    import torch

    options = at.options or ExportOptions()
    path = at.out / graph.FORMAT.filename
    inputs = names or [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]
    free = {s.name: axes for s, axes in zip(signature.inputs, free_axes(signature), strict=True)}
    program = isinstance(module, torch.export.ExportedProgram)
    at.say(f"exporting with {options.exporter}")
    with quiet_build() as notes:
        try:
            if options.exporter == "torchscript" and not program:
                torch.onnx.export(
                    module,
                    args,
                    str(path),
                    dynamo=False,
                    opset_version=options.opset or None,
                    input_names=inputs,
                    output_names=outputs,
                    dynamic_axes={name: axes for name, axes in free.items() if axes},
                    kwargs=kwargs or None,
                )
                made = graph.load(path)
                path.unlink()
            else:
                # DYNAMIC, not a named Dim: it refuses to fix an axis too, and takes what the
                # model says of its range, where a named one asks the user to spell it.
                dynamic = torch.export.Dim.DYNAMIC
                shapes = tuple(dict.fromkeys(free[n], dynamic) or None for n in inputs)
                written = torch.onnx.export(
                    module,
                    args,
                    dynamo=True,
                    opset_version=options.opset or None,
                    dynamic_shapes=None if program else shapes,
                    input_names=inputs,
                    output_names=outputs,
                    optimize=options.optimize,
                    verbose=False,
                )
                assert written is not None
                made = written.model_proto
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
