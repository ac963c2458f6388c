"""The machine, as far as anything may depend on it, and why something can't be had on it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why something can't be had here, and what would bring it. ``builds``: it can be built all the
    same, and be packaged for where it runs."""

    reason: str
    remedy: str = ""
    builds: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA device, as its driver names it."""

    index: int
    name: str
    memory_bytes: int
    compute_capability: str  # "9.0"
    driver: str


@dataclass(frozen=True, slots=True)
class Host:
    """The machine, as far as anything may depend on it."""

    cpu: str
    cores: int
    memory_bytes: int
    cpu_flags: tuple[str, ...] = ()  # of those that matter: avx2, avx512_bf16, amx_bf16, …
    gpus: tuple[Gpu, ...] = ()
    system: str = "Linux"


def alternatives(need: str) -> list[tuple[str, str]]:
    """What a need names: distributions, each with the version that it must be below, or ""."""
    return [(name, below) for name, _, below in (one.partition("<") for one in need.split("|"))]


def old_enough(version: str | None, below: str) -> bool:
    """Is a version there, and below a bound (of numbers and dots; "" is no bound)?"""
    if version is None or not below:
        return version is not None
    parts = re.findall(r"\d+", version)
    return [int(p) for p in parts[:3]] < [int(p) for p in below.split(".")]
