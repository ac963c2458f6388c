"""Memory, streams and graphs of one CUDA device, over the driver's own library and nothing else.

It declares no runner. The driver is there where a GPU can be used at all, so a runtime that brings
no memory of its own needs no further package.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError

if TYPE_CHECKING:
    import numpy as np

LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # attributes of a device: its compute capability
_NON_BLOCKING = 1  # a stream that doesn't wait for the default one
_THREAD_LOCAL = 1  # what other threads do meanwhile is no part of a capture
REMEDY = "run on a machine with an NVIDIA GPU and its driver; what is built here is reused there"


@cache
def _library() -> ctypes.CDLL:
    try:
        found = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NavigatorError(f"there is no NVIDIA driver here: {error}", REMEDY) from error
    _check(found, found.cuInit(0))
    return found


def _check(library: ctypes.CDLL, status: int) -> None:
    if status:
        said = ctypes.c_char_p()
        library.cuGetErrorString(status, ctypes.byref(said))
        text = (said.value or b"unknown error").decode()
        remedy = REMEDY if status in (100, 101) else ""  # no device, or none of that number
        raise NavigatorError(f"CUDA: {text} ({status})", remedy)


class Cuda:
    """One device, its primary context current, with a stream and a pool of memory."""

    def __init__(self, index: int) -> None:
        self._library = _library()
        device = ctypes.c_int()
        self._do("cuDeviceGet", ctypes.byref(device), index)
        self.index, self._device = index, device
        context = ctypes.c_void_p()
        self._do("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._do("cuCtxSetCurrent", context)
        stream = ctypes.c_void_p()
        self._do("cuStreamCreate", ctypes.byref(stream), _NON_BLOCKING)
        self.stream = int(stream.value or 0)
        self._free: dict[int, list[int]] = {}  # addresses that can be used again, by size
        self.closed = False

    def _do(self, name: str, *given: Any) -> None:
        _check(self._library, getattr(self._library, name)(*given))

    @property
    def capability(self) -> str:
        """Its compute capability, as ``8.9``."""
        found = []
        for attribute in (_MAJOR, _MINOR):
            value = ctypes.c_int()
            self._do("cuDeviceGetAttribute", ctypes.byref(value), attribute, self._device)
            found.append(value.value)
        return f"{found[0]}.{found[1]}"

    def take(self, size: int) -> Memory:
        """Memory for so many bytes; it goes back to the pool with its last reference."""
        room = max(512, 1 << (size - 1).bit_length()) if size < 1 << 20 else -(-size >> 20) << 20
        spare = self._free.get(room)
        if spare:
            return Memory(self, spare.pop(), room)
        address = ctypes.c_uint64()
        self._do("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(room))
        return Memory(self, address.value, room)

    def give(self, address: int, room: int) -> None:
        """Back to the pool. What was queued for it is done before it is used again: one stream."""
        if self.closed:
            return  # the pool went with the device
        self._free.setdefault(room, []).append(address)

    def upload(self, array: np.ndarray) -> Memory:
        """A copy of an array on the device."""
        import numpy as np

        whole = np.ascontiguousarray(array)
        held = self.take(whole.nbytes)
        if whole.nbytes:
            self._do("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(held.address),
                     ctypes.c_void_p(whole.ctypes.data), ctypes.c_size_t(whole.nbytes),
                     ctypes.c_void_p(self.stream))  # fmt: skip
        return held

    def download(self, held: Memory, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """What lies on the device as an array of our own."""
        import numpy as np

        made = np.empty(shape, dtype)
        if made.nbytes:
            self._do("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(made.ctypes.data),
                     ctypes.c_uint64(held.address), ctypes.c_size_t(made.nbytes),
                     ctypes.c_void_p(self.stream))  # fmt: skip
            self.wait()
        return made

    def wait(self) -> None:
        """Until all that was queued is done."""
        self._do("cuStreamSynchronize", ctypes.c_void_p(self.stream))

    def record(self, queue: Callable[[], None]) -> Graph:
        """What ``queue`` puts on the stream, as a graph; nothing of it runs yet."""
        stream = ctypes.c_void_p(self.stream)
        self._do("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        graph, made = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            queue()
        finally:
            self._do("cuStreamEndCapture", stream, ctypes.byref(graph))
        self._do("cuGraphInstantiateWithFlags", ctypes.byref(made), graph, ctypes.c_ulonglong(0))
        self._do("cuGraphDestroy", graph)
        return Graph(self, made)

    def close(self) -> None:
        """Free all that is in the pool, and let the device go."""
        self.wait()
        self.closed = True
        for addresses in self._free.values():
            for address in addresses:
                self._do("cuMemFree_v2", ctypes.c_uint64(address))
        self._free.clear()
        self._do("cuStreamDestroy_v2", ctypes.c_void_p(self.stream))
        self._do("cuDevicePrimaryCtxRelease_v2", self._device)


class Memory:
    """A piece of a device's memory."""

    def __init__(self, owner: Cuda, address: int, room: int) -> None:
        self.owner, self.address, self.room = owner, address, room

    def __del__(self) -> None:
        self.owner.give(self.address, self.room)


class Graph:
    """A recorded piece of work."""

    def __init__(self, owner: Cuda, handle: ctypes.c_void_p) -> None:
        self.owner, self.handle = owner, handle

    def launch(self) -> None:
        """Queue it."""
        self.owner._do("cuGraphLaunch", self.handle, ctypes.c_void_p(self.owner.stream))

    def __del__(self) -> None:
        if not self.owner.closed:
            self.owner._do("cuGraphExecDestroy", self.handle)


@contextmanager
def device(index: int) -> Iterator[Cuda]:
    """A device, closed again at the end.

    Raises:
        NavigatorError: there is no driver, or no such device.
    """
    made = Cuda(index)
    try:
        yield made
    finally:
        made.close()


def present() -> bool:
    """Whether there is a driver with a device."""
    try:
        library, count = _library(), ctypes.c_int()
        _check(library, library.cuDeviceGetCount(ctypes.byref(count)))
    except NavigatorError:
        return False
    return count.value > 0
