"""What an NVIDIA driver says of a device: memory, clocks, power. No stage of its own.

What a driver doesn't say is None, never a guess.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from ..types.target import Device

T = TypeVar("T")

# Of NVML's reasons for lower clocks, those that are not the user's own setting or idleness.
_HELD_BACK = {
    0x4: "its power limit",
    0x8: "a hardware slowdown",
    0x20: "its temperature",
    0x40: "its temperature (hardware)",
    0x80: "the power brake",
}


def ask(device: Device, question: Callable[[ModuleType, Any], T]) -> T | None:
    """What NVML answers about a device; None for a CPU, or where it doesn't answer."""
    if device.kind != "cuda":
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            return question(pynvml, _handle(pynvml, device.index or 0))
        finally:
            pynvml.nvmlShutdown()
    except (pynvml.NVMLError, ValueError):  # no driver, or a slice of a GPU that hides it
        return None


@dataclass
class Readings:
    """Clock and power of a device, read between rounds of calls while it is still warm."""

    device: Device
    clocks_mhz: list[float] = field(default_factory=list)
    powers_w: list[float] = field(default_factory=list)
    held_back: set[str] = field(default_factory=set)

    def look(self) -> None:
        ask(self.device, self._read)

    def _read(self, nvml: ModuleType, handle: Any) -> None:
        self.clocks_mhz.append(float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)))
        self.powers_w.append(nvml.nvmlDeviceGetPowerUsage(handle) / 1e3)
        reasons = nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
        self.held_back |= {words for bit, words in _HELD_BACK.items() if reasons & bit}

    @property
    def clock_mhz(self) -> float | None:
        return _median(self.clocks_mhz)

    @property
    def power_w(self) -> float | None:
        return _median(self.powers_w)

    @property
    def note(self) -> str:
        """Why the clock was lower than it could be; "" if it wasn't."""
        if not self.held_back:
            return ""
        clock = f" at {self.clock_mhz:.0f} MHz" if self.clock_mhz else ""
        return f"the GPU is held back{clock} by {' and '.join(sorted(self.held_back))}"


def used(device: Device) -> tuple[int, int]:
    """Bytes in use: by this process (0 if the driver doesn't say), and by all."""
    return ask(device, _used) or (0, 0)


def _used(nvml: ModuleType, handle: Any) -> tuple[int, int]:
    return _own(nvml, handle), int(nvml.nvmlDeviceGetMemoryInfo(handle).used)


def _own(nvml: ModuleType, handle: Any) -> int:
    try:
        known = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:  # some virtual GPUs list no processes
        return 0
    return sum(int(one.usedGpuMemory or 0) for one in known if one.pid == os.getpid())


def _handle(nvml: ModuleType, index: int) -> Any:
    """NVML counts all GPUs; what a process sees as its first may be another."""
    seen = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    name = seen[index] if any(seen) and index < len(seen) else str(index)
    if name.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(name))
    return nvml.nvmlDeviceGetHandleByUUID(name)


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
