"""Inputs and outputs: names, types, dims, reshape, formats, and the tensors that batching makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..config import messages
from .finding import Finding, noted, refused

_SHAPES = "give whole numbers from 1 on, and -1 where the size varies"


def tensors(config: Any, completes: bool = False) -> Iterator[Finding]:
    """Everything about inputs and outputs.

    ``completes``: the backend fills in what is missing of a tensor.
    """
    for kind, all_of_kind in (("input", config.input), ("output", config.output)):
        for io in all_of_kind:
            for one in _tensor(kind, io, config, completes):
                yield Finding("", f"{one.message} for {config.name}", one.remedy, one.error)
        for name, times in Counter(io.name for io in all_of_kind).items():
            if times > 1 and name:
                yield noted(
                    f"model {kind} '{name}' is there {times} times; the server uses the first"
                    + (", and takes no request: it waits for all" if kind == "input" else ""),
                    "remove or rename the others",
                )
    for one in _batch_tensors(config):
        yield refused(f"{one.message} for {config.name}", one.remedy)


def _tensor(kind: str, io: Any, config: Any, completes: bool) -> Iterator[Finding]:
    if not io.name:
        yield refused(f"model {kind} must specify 'name'", "every tensor has a name")
        return
    who = f"model {kind} '{io.name}' "
    lacks = noted if completes else refused
    if io.data_type == messages().TYPE_INVALID:
        yield lacks(f"{who}must specify 'data_type'", "as data_type: TYPE_FP32")
    if not io.dims:
        yield lacks(f"{who}must specify 'dims'", "without the batch axis where there is batching")
    if _wrong(io.dims):
        yield refused(
            f"{who}dimension must be integer >= 1, or -1 to indicate a variable-size dimension",
            f"it has {list(io.dims)}; {_SHAPES}",
        )
    if io.HasField("reshape"):
        yield from _reshape(io, who, config.max_batch_size)
    if kind == "input":
        formats = messages().ModelInput
        if io.format in (formats.FORMAT_NHWC, formats.FORMAT_NCHW) and len(io.dims) != 3:
            yield refused(
                "model input NHWC/NCHW require 3 dims",
                f"'{io.name}' has {len(io.dims)}; remove 'format', or the batch axis from dims",
            )
    tensorrt = config.platform == "tensorrt_plan"
    if io.is_shape_tensor and not tensorrt:
        yield refused(
            "shape tensors are only supported for TensorRT platform",
            f"remove is_shape_tensor from '{io.name}'",
        )
    if io.is_non_linear_format_io:
        if not tensorrt:
            yield refused(
                "Non-linear IO format is only supported for the TensorRT platform",
                f"remove is_non_linear_format_io from '{io.name}'",
            )
        elif len(io.dims) != 3:
            yield refused(
                f"Non-linear IO format {kind} requires 3 dims", f"'{io.name}' has {len(io.dims)}"
            )


def _wrong(dims: Any) -> bool:
    return any(d < 1 and d != -1 for d in dims)


def _reshape(io: Any, who: str, largest: int) -> Iterator[Finding]:
    shape = list(io.reshape.shape)
    if not shape and largest == 0:
        yield refused(
            f"{who}cannot have empty reshape for non-batching model as scalar tensors are not "
            "supported",
            "remove the reshape, or give max_batch_size",
        )
        return
    if _wrong(shape):
        yield refused(
            f"{who}reshape dimensions must be integer >= 1, or -1 to indicate a variable-size "
            "dimension",
            f"it has {shape}; {_SHAPES}",
        )
    if _wrong(io.dims) or not io.dims or _wrong(shape):
        return
    one, other = _runs(io.dims), _runs(shape)
    shown = f"dims {list(io.dims)}, reshape {shape}: both must hold the same elements"
    if (len(one) == 1) != (len(other) == 1) or one == other:
        different = one != other
    elif len(one) != len(other):
        yield refused(
            f"{who}has different number of variable-size dimensions for dims and reshape", shown
        )
        return
    else:
        different = True
    if different:
        yield refused(f"{who}has different size for dims and reshape", shown)


def _runs(dims: Any) -> list[int]:
    """Elements between the free axes: what a reshape must keep."""
    runs = [1]
    for dim in dims:
        if dim == -1:
            runs.append(1)
        else:
            runs[-1] *= dim
    return runs


def _batch_tensors(config: Any) -> Iterator[Finding]:
    inputs = {io.name for io in config.input}
    outputs = {io.name for io in config.output}
    module = messages()
    for one in config.batch_input:
        yield from _sources("input", one, module.BatchInput, inputs)
        if one.data_type == module.TYPE_INVALID:
            yield refused("unexpected batch input data type 'TYPE_INVALID'", "give its data_type")
        elif one.data_type not in (module.TYPE_INT32, module.TYPE_FP32):
            yield refused(
                "batch input data type must be TYPE_INT32 or TYPE_FP32", "change its data_type"
            )
    for one in config.batch_output:
        yield from _sources("output", one, module.BatchOutput, inputs)
        for name, times in Counter(one.target_name).items():
            if name not in outputs:
                yield refused(
                    f"unknown target output name '{name}'", f"outputs are {_names(outputs)}"
                )
            if times > 1:
                yield refused(
                    f"target output name '{name}' can only be specified once", "name it once"
                )


def _sources(what: str, one: Any, kinds: Any, inputs: set[str]) -> Iterator[Finding]:
    known = {value.number: value.name for value in kinds.DESCRIPTOR.enum_types[0].values}
    kind = known.get(one.kind, str(one.kind))
    if one.kind not in known:
        yield refused(
            f"unknown batch {what} kind '{kind}'", f"give one of {_names(known.values())}"
        )
    elif len(one.source_input) != 1:
        yield refused(
            f"batch {what} kind '{kind}' expects 1 source input, got {len(one.source_input)}",
            "name one of the model's inputs in source_input",
        )
    for name in one.source_input:
        if name not in inputs:
            yield refused(f"unknown source input name '{name}'", f"inputs are {_names(inputs)}")


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
