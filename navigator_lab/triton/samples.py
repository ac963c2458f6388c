"""Samples and a signature where there is no session: from a repository's own files, or an ``.npz``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PackageError, SamplesError
from ..types.signature import BATCH, Axis, Signature, TensorSpec
from .config import dtype_name, type_text
from .repository import WARMUP
from .wire import decode

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

_LARGEST = 4096  # of a batch, where the configuration names none


def signature(config: Any) -> Signature:
    """What a ``ModelConfig`` says goes in and comes out, in the server's own names."""
    batched = config.max_batch_size > 0
    ranges: dict[str, Axis] = {}

    def spec(said: Any, kind: str) -> TensorSpec:
        shape: list[int | str] = [BATCH] if batched else []
        for at, size in enumerate(said.dims):
            shape.append(int(size) if size >= 0 else f"{kind}_{said.name}_{at}")
        return TensorSpec(said.name, dtype_name(type_text(said.data_type)), tuple(shape))

    inputs = tuple(spec(one, "in") for one in config.input if not one.optional)
    outputs = tuple(spec(one, "out") for one in config.output)
    if batched:
        ranges[BATCH] = Axis(BATCH, 1, 1, config.max_batch_size)
    for one in (*inputs, *outputs):
        for axis in one.shape:
            if isinstance(axis, str):
                ranges.setdefault(axis, Axis(axis, 1, 1, _LARGEST))
    return Signature(inputs, outputs, tuple(ranges.values()))


def from_warmup(folder: Path, config: Any) -> list[Arrays]:
    """The requests that a model is warmed up with, as samples of one each.

    Raises:
        PackageError: a file that is named isn't there, or has the wrong size.
    """
    import numpy as np

    made: list[Arrays] = []
    seen: set[bytes] = set()
    for entry in config.model_warmup:
        one: Arrays = {}
        for name, said in entry.inputs.items():
            shape = [int(d) for d in said.dims]
            if config.max_batch_size > 0:
                shape = [1, *shape]
            dtype = dtype_name(type_text(said.data_type))
            kind = said.WhichOneof("input_data_type")
            if kind == "input_data_file":
                one[name] = _file(folder / WARMUP / said.input_data_file, dtype, shape)
            elif dtype == "object":
                one[name] = np.full(shape, b"", object)
            elif kind == "random_data" and dtype.startswith("float"):
                one[name] = np.random.default_rng(0).random(shape).astype(dtype)
            else:
                one[name] = np.zeros(shape, dtype)
        key = b"".join(repr((n, a.tolist())).encode() for n, a in sorted(one.items()))
        if one and key not in seen:
            seen.add(key)
            made.append(one)
    return made


def _file(path: Path, dtype: str, shape: list[int]) -> np.ndarray:
    kinds = {"object": "BYTES", "bool": "BOOL", "bfloat16": "BF16"}
    name = kinds.get(dtype) or dtype.upper().replace("FLOAT", "FP")
    try:
        return decode(name, shape, path.read_bytes())
    except FileNotFoundError:
        raise PackageError(f"the warm-up file {path} is not there") from None
    except ValueError as error:
        raise PackageError(f"the warm-up file {path} does not hold {dtype}{shape}") from error


def from_arrays(
    arrays: Mapping[str, np.ndarray], specs: tuple[TensorSpec, ...], what: str
) -> list[Arrays]:
    """Arrays by name, their first axis being the samples, as one dict a sample.

    An array of as many axes as the tensor has travels in slices of one along a free first axis, else
    whole; one of an axis more is taken apart along it.

    Raises:
        SamplesError: names or shapes that don't fit.
    """
    missing = [spec.name for spec in specs if spec.name not in arrays]
    if missing:
        raise SamplesError(
            f"the {what} lack {', '.join(missing)}; they hold {', '.join(arrays) or 'nothing'}",
            "name the arrays as config.pbtxt names its tensors",
        )
    columns = {}
    for spec in specs:
        array, axes = arrays[spec.name], len(spec.shape)
        if array.ndim == axes + 1:
            columns[spec.name] = list(array)
        elif array.ndim == axes and axes and isinstance(spec.shape[0], str):
            columns[spec.name] = [array[i : i + 1] for i in range(len(array))]
        elif array.ndim == axes:
            columns[spec.name] = [array]
        elif array.ndim == axes - 1 and math.prod(spec.shape[1:] or (0,)) == 1:
            columns[spec.name] = [array[i : i + 1].reshape(1, 1) for i in range(len(array))]
        else:
            raise SamplesError(
                f"{spec.name!r} of the {what} has the shape {array.shape}, and the model's is "
                f"{list(spec.shape)}"
            )
    counts = {len(column) for column in columns.values()}
    if len(counts) != 1:
        told = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise SamplesError(f"the {what} differ in how many there are: {told}")
    return [{n: column[i] for n, column in columns.items()} for i in range(counts.pop())]
