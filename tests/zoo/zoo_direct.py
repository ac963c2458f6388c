"""The zoo's models called with their own runtime and nothing of ours: what is right."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np


def answers(model, samples):
    """The flat outputs of each sample as arrays, straight from torch or ONNX Runtime."""
    import onnx
    import onnxruntime
    import torch
    from torch.utils._pytree import tree_leaves, tree_map

    if isinstance(model, Path) and model.suffix == ".jit":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit.load is deprecated
            model = torch.jit.load(model)
    elif isinstance(model, Path | onnx.ModelProto):
        data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # old files warn about initialisers among the inputs
        session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
        return [[np.asarray(a) for a in session.run(None, s)] for s in samples]

    made = []
    for sample in samples:
        # A module may change its inputs in place.
        fed = tree_map(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, sample)
        with torch.no_grad():
            if isinstance(fed, dict):
                out = model(**fed)
            else:
                out = model(*fed) if isinstance(fed, tuple) else model(fed)
        made.append([leaf.numpy() for leaf in tree_leaves(out) if leaf is not None])
    return made


def moves(arrays):
    """True if an output is not the same for all samples."""
    return any(
        a.shape != arrays[0].shape
        or not np.array_equal(a, arrays[0], equal_nan=a.dtype.kind == "f")
        for a in arrays[1:]
    )
