"""sha256 of the numbers in arrays and tensors, and of files, without holding them twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .captured import Hashes

# Hashed by itself, so that one large tensor keeps two threads busy; and copied at a time where
# memory doesn't lie in order, or is a GPU's.
CHUNK_BYTES = 32 << 20


def of_file(path: Path, hashes: Hashes | None = None) -> str:
    """sha256 of a file's bytes, as 64 hex digits; asks ``hashes`` first."""
    known = hashes.get(path) if hashes is not None else None
    if known is not None:
        return known
    with path.open("rb") as file:
        made = hashlib.file_digest(file, "sha256").hexdigest()
    if hashes is not None:
        hashes.put(path, made)
    return made


def of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 of named arrays: names, dtypes, shapes and numbers; their order doesn't count."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(f"{name}\0{of_array(arrays[name])}\0".encode())
    return whole.hexdigest()


def of_array(array: np.ndarray) -> str:
    """sha256 of an array's dtype, shape and numbers."""
    import numpy as np

    made = hashlib.sha256(f"{array.dtype.name}{array.shape}".encode())
    if not array.size:
        return made.hexdigest()
    if array.dtype.hasobject:
        for value in array.ravel():
            if not isinstance(value, str):
                raise TypeError("an array of python objects has no bytes of its own")
            made.update(f"{len(value)}:{value}".encode())
        return made.hexdigest()
    if array.flags.c_contiguous:
        made.update(array.reshape(-1).view(np.uint8).data)
        return made.hexdigest()
    for part in _parts(array, array.nbytes):
        made.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return made.hexdigest()


def of_tensor(tensor: torch.Tensor, run: Callable[..., Iterable[bytes]] = map) -> str:
    """sha256 of a tensor's dtype, shape and numbers, wherever it lies and however it is strided.

    ``run`` maps a function over its pieces: that of a pool hashes a large one in its threads.
    """
    import torch

    tensor = tensor.detach()
    kind = f"{tensor.dtype}{tuple(tensor.shape)}"
    if hasattr(tensor, "__tensor_flatten__"):  # a subclass that is made of other tensors
        names, facts = tensor.__tensor_flatten__()
        inner = [f"{n}={of_tensor(getattr(tensor, n))}" for n in names]
        return _text(f"{type(tensor).__qualname__}{kind}{facts}", *inner)
    if tensor.is_quantized:
        facts = str(tensor.qscheme()) + (
            f"{tensor.q_scale()},{tensor.q_zero_point()}"
            if "affine" in str(tensor.qscheme()) and "channel" not in str(tensor.qscheme())
            else of_tensor(tensor.q_per_channel_scales())
            + of_tensor(tensor.q_per_channel_zero_points())
        )
        return _text(kind, facts, of_tensor(tensor.int_repr()))
    if tensor.layout is not torch.strided:
        dense = tensor.to_sparse_coo().coalesce()
        return _text(kind, of_tensor(dense.indices()), of_tensor(dense.values()))
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    made = hashlib.sha256(kind.encode())
    if not tensor.numel():
        return made.hexdigest()
    for digest in run(_piece, _parts(tensor, size_bytes(tensor))):
        made.update(digest)
    return made.hexdigest()


def size_bytes(tensor: torch.Tensor) -> int:
    """How many bytes its numbers take."""
    return tensor.numel() * tensor.element_size()


def _piece(tensor: torch.Tensor) -> bytes:
    return hashlib.sha256(_bytes(tensor.cpu().contiguous())).digest()


def _bytes(tensor: torch.Tensor) -> memoryview:
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _parts(array: Any, size_bytes: int) -> Iterator[Any]:
    """Pieces along the first axis, so that a copy of one piece stays small."""
    if array.ndim == 0 or size_bytes <= CHUNK_BYTES:
        yield array
        return
    rows = max(1, CHUNK_BYTES * len(array) // size_bytes)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _text(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
