"""A signature's tensors as Triton's configuration has them, and real samples as its warm-up.

The batch axis is left out where Triton batches; free axes are -1; a tensor without further axes
travels with an axis of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PackageError
from ..types.signature import Signature, TensorSpec
from .config import messages, type_name
from .native import Fit, served_name

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]


def describe(config: Any, signature: Signature, found: Fit) -> list[str]:
    """Write inputs and outputs into ``config``; gives what a user should know of them."""
    notes: list[str] = []
    for kind, specs, into in (
        ("input", signature.inputs, config.input),
        ("output", signature.outputs, config.output),
    ):
        if not specs:
            raise PackageError(f"the model has no {kind}s, and Triton serves no such model")
        for spec in specs:
            said = _port_dims(spec, kind, found)
            dims, reshape = _dims(spec, config.max_batch_size > 0, said)
            if 0 in dims:
                raise PackageError(
                    f"{kind} {spec.name!r} has an axis of 0 elements, which Triton refuses",
                    "remove that tensor from the model",
                )
            if spec.dtype == "bfloat16" and found.backend == "python":
                raise PackageError(
                    f"{kind} {spec.name!r} is bfloat16, which Triton's Python backend can't hand "
                    "over as an array",
                    "cast it to float32 at the model's border",
                )
            made = into.add(name=served_name(spec, found), dims=dims)
            made.data_type = messages().DataType.Value(type_name(spec.dtype))
            if reshape:
                made.reshape.SetInParent()
            if not spec.shape or reshape:
                full = "[batch, 1]" if reshape else "[1]"
                notes.append(
                    f"{kind} {spec.name!r} travels as {full}: Triton has no tensors without axes"
                )
    return notes


def _dims(spec: TensorSpec, batched: bool, said: tuple[int, ...] | None) -> tuple[list[int], bool]:
    """The dims of a tensor, and whether an empty reshape is needed to get rid of a made-up axis."""
    full = [-1 if isinstance(d, str) else d for d in spec.shape]
    if said is not None and len(said) == len(full):
        # Where the file and the samples differ, the server goes by the file.
        full = [
            there if there == -1 or here == -1 else here
            for here, there in zip(full, said, strict=True)
        ]
    rest = full[1:] if batched else full
    if rest:
        return rest, False
    return [1], batched


def _port_dims(spec: TensorSpec, kind: str, found: Fit) -> tuple[int, ...] | None:
    """The file's own shape of an output: its backends want it matched exactly."""
    if kind == "input" or found.ports is None:
        return None
    for port in found.ports.outputs:
        if port.name == spec.name:
            return port.dims
    return None


def warmup(config: Any, signature: Signature, samples: Sequence[Arrays]) -> dict[str, bytes]:
    """Add ``model_warmup`` from the first sample; gives the contents of its files by name.

    Triton sends a warm-up of batch N as N requests of one sample each, so the files hold one.
    """
    if not samples:
        raise PackageError("there is no sample to warm the model up with", "or give warmup=False")
    sample = samples[0]
    files = {}
    sizes = [1, config.max_batch_size] if config.max_batch_size > 1 else [1]
    for i, spec in enumerate(signature.inputs):
        files[f"input_{i}"] = raw(sample[spec.name], spec.dtype)
    for size in sizes:
        made = config.model_warmup.add(name=f"batch {size}", batch_size=size)
        for i, (spec, served) in enumerate(zip(signature.inputs, config.input, strict=True)):
            one = made.inputs[served.name]
            one.data_type = served.data_type
            shape = sample[spec.name].shape
            dims = shape[1:] if config.max_batch_size > 0 else shape
            one.dims.extend(dims or [1])  # of the shape before the config's reshape
            one.input_data_file = f"input_{i}"
    return files


def raw(array: np.ndarray, dtype: str) -> bytes:
    """An array as Triton's raw bytes; text is written with its length before it."""
    import numpy as np

    if type_name(dtype) != "TYPE_STRING":
        little = np.ascontiguousarray(array)
        return little.astype(little.dtype.newbyteorder("<"), copy=False).tobytes()
    parts = []
    for value in array.ravel():
        data = value if isinstance(value, bytes) else str(value).encode()
        parts.append(len(data).to_bytes(4, "little") + data)
    return b"".join(parts)
