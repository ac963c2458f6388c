"""How much memory a target takes at most, on the host and on its device, above what was before it.

No stage of its own. What can't be measured on a machine is 0, never a guess.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..types.target import Device
from .gpu import used

_STATUS = Path("/proc/self/status")


class Peak:
    """The peaks since it was made. `look` polls what has no high-water mark of its own.

    The host's is the resident set's high-water mark. A device's is what its driver says this
    process holds there, which counts every allocator and the runtime's own context. Where the
    driver knows our process by another number (in a container), it is what the whole device holds
    more than before, other candidates that are open at once counted in. Pools don't shrink, so
    polling between rounds of calls sees the peak.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        _reset_high_water()
        self._host_before = _resident()
        self._own_before, self._device_before = used(device)
        self._own_most, self._device_most = self._own_before, self._device_before

    def look(self) -> None:
        own, device = used(self._device)
        self._own_most = max(self._own_most, own)
        self._device_most = max(self._device_most, device)

    @property
    def host_bytes(self) -> int:
        return max(0, _high_water() - self._host_before)

    @property
    def device_bytes(self) -> int:
        self.look()
        driver = self._own_most - self._own_before
        if not self._own_most:
            driver = self._device_most - self._device_before
        return max(driver, _torch_peak(self._device))


def available() -> int:
    """Host memory that could still be taken, in bytes."""
    import psutil

    return int(psutil.virtual_memory().available)


def _reset_high_water() -> None:
    # A warm worker's mark may be of an earlier step; where this is not allowed, it stays.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _high_water() -> int:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    # Kilobytes on Linux, bytes on a Mac.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _torch_peak(device: Device) -> int:
    torch = sys.modules.get("torch")
    if device.kind != "cuda" or torch is None or not torch.cuda.is_initialized():
        return 0
    return int(torch.cuda.max_memory_reserved(device.index or 0))
