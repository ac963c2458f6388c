"""A model, samples and a signature as products in a folder: edges and runners without the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from navigator_lab.formats import onnx as onnx_format
from navigator_lab.formats import openvino as openvino_format
from navigator_lab.runners.onnxruntime import ort
from navigator_lab.runners.openvino import ov
from navigator_lab.types import samples as stored
from navigator_lab.types.codec import encode
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, Opening, Target, Variant
from navigator_lab.types.signature import Axis, Signature, TensorSpec

RUNNERS = {"ort": ort, "ov": ov}


def spec(name, dtype, *shape):
    return TensorSpec(name, dtype, shape)


def signature(inputs, outputs, call="args", **axes):
    """``axes`` are ``name=(min, opt, max)``; ``call="args"``: the inputs are positional."""
    if call == "args":
        call = {"args": [{"input": one.name} for one in inputs], "kwargs": {}}
    ranges = tuple(Axis(name, *limits) for name, limits in axes.items())
    return Signature(tuple(inputs), tuple(outputs), ranges, call)


class Bench:
    """Folders ``samples``, ``source`` and one for each thing that is built."""

    def __init__(self, folder: Path, signature: Signature, samples, source=None):
        self.folder, self.signature, self.samples = folder, signature, samples
        (folder / "samples").mkdir()
        stored.write(folder / "samples", samples)
        if source is not None:
            self.write(source)

    def write(self, source):
        import onnx

        (self.folder / "source").mkdir()
        if isinstance(source, onnx.ModelProto):
            onnx.save(source, self.folder / "source" / "model.onnx")
        else:
            import cloudpickle
            import torch

            torch.save(source, self.folder / "source" / "model.pt", pickle_module=cloudpickle)

    def product(self, name):
        value = encode(self.signature) if name == "samples" else None
        return Product("x", self.folder / name, value)

    def build(self, edge, variant, source="source", options=None, to=None):
        """Run an edge; the name of the folder that it built, and its value."""
        name = to or variant.replace(":", "-")
        (self.folder / name).mkdir()
        at = At(self.folder / name, Variant.parse(variant), options, {}, {})
        return name, edge.action.fn(at, self.product(source), self.product("samples"))

    def feeds(self):
        chosen = stored.cases(self.samples, self.signature)
        return list(stored.each(self.samples, chosen, self.signature))

    def run(self, name, target, feeds=None, **facts):
        """The outputs of every case, on a target."""
        target = Target.parse(target)
        opening = Opening(target, self.signature, **facts)
        with RUNNERS[target.runner].action.fn(self.product(name), opening) as running:
            # All bound before any is read: a runtime that reuses its buffers would show.
            return [running.get(running.run(running.put(one))) for one in (feeds or self.feeds())]


def torch_answers(module, bench):
    """What the module itself says, by output name, for every case."""
    import torch
    from torch.utils._pytree import tree_leaves

    made = []
    for feeds in bench.feeds():
        args = [torch.from_numpy(feeds[one.name]) for one in bench.signature.inputs]
        with torch.no_grad():
            leaves = tree_leaves(module(*args))
        names = [one.name for one in bench.signature.outputs]
        made.append({n: leaf.numpy() for n, leaf in zip(names, leaves, strict=True)})
    return made


def worst(got, wanted):
    """Largest error over all outputs, as a share of the output's largest value; types and shapes agree."""
    found = 0.0
    for one, right in zip(got, wanted, strict=True):
        assert list(one) == list(right)
        for name, array in right.items():
            assert one[name].dtype == array.dtype, name
            assert one[name].shape == array.shape, name
            error = np.abs(one[name].astype(np.float64) - array.astype(np.float64))
            found = max(found, float(error.max() / (np.abs(array).max() + 1e-9)))
    return found


__all__ = [
    "Bench",
    "onnx_format",
    "openvino_format",
    "replace",
    "signature",
    "spec",
    "torch_answers",
    "worst",
]
