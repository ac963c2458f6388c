"""Facts of the machine, and which versions of packages an interpreter has. Loads no framework."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from functools import cache, lru_cache

from ..errors import RequestError
from ..types.plugin import Gpu, Host

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16",
          "amx_int8", "amx_fp16", "asimd", "bf16", "i8mm")  # fmt: skip


@lru_cache(maxsize=1)
def host() -> Host:
    """This machine. GPUs are asked of the driver's library; without one there are none."""
    import psutil

    name, flags = _cpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = int(psutil.virtual_memory().total)
    return Host(name, cores or 1, memory, flags, _gpus(), platform.system())


def _cpu() -> tuple[str, tuple[str, ...]]:
    name, flags = platform.processor() or platform.machine(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                label, _, value = line.partition(":")
                if label.strip() == "model name":
                    name = value.strip()
                elif label.strip() in ("flags", "Features"):
                    flags = value
                    break
    except OSError:
        pass  # another system than Linux
    return name, tuple(flag for flag in _FLAGS if flag in flags.split())


def _gpus() -> tuple[Gpu, ...]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 -- no library, no driver, no device: all mean no GPU here
        return ()
    found = []
    try:
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        for index in range(pynvml.nvmlDeviceGetCount()):
            one = pynvml.nvmlDeviceGetHandleByIndex(index)
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(one)
            memory = int(pynvml.nvmlDeviceGetMemoryInfo(one).total)
            name = str(pynvml.nvmlDeviceGetName(one))
            found.append(Gpu(index, name, memory, f"{major}.{minor}", driver))
    finally:
        pynvml.nvmlShutdown()
    return tuple(found)


@cache
def version_here(distribution: str) -> str | None:
    """The version of a distribution in this interpreter; None if it isn't installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def versions_of(python: str) -> dict[str, str]:
    """All distributions of another interpreter, asked of it once a process.

    Raises:
        RequestError: it can't be started, or lacks navigator_lab.
    """
    asked = (
        "import importlib.metadata as m, json; import navigator_lab.engine.worker;"
        "print(json.dumps({d.metadata['Name'].lower().replace('_', '-'): d.version"
        " for d in m.distributions() if d.metadata['Name']}))"
    )
    try:
        made = subprocess.run(
            [python, "-P", "-c", asked], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise RequestError(
            f"{python} can't be used for workers: {said[-1] if said else error}",
            f"{python} -m pip install navigator-lab, or name another interpreter",
        ) from error
    found: dict[str, str] = json.loads(made.stdout.strip().splitlines()[-1])
    return found


def version_in(python: str, distribution: str) -> str | None:
    """The version of a distribution in the interpreter that the worker would use."""
    if python == sys.executable:
        return version_here(distribution)
    return versions_of(python).get(distribution.lower().replace("_", "-"))
