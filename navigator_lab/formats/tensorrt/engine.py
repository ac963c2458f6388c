"""What an engine is: its tensors, its profiles, and what it asks of the machine that opens it.

An engine can't be looked into where its device is missing, so what it is lies beside it. Pure: no
library is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from navigator_lab.errors import ModelError, NavigatorError

from .library import numbers, sm

if TYPE_CHECKING:
    import numpy as np

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Binding:
    """An input or output. ``dims`` has -1 for what varies, or is known while running only."""

    name: str
    dtype: str  # numpy's name
    dims: tuple[int, ...]
    values: bool = False  # its values are shapes: they have bounds, and it lies on the host


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far one input may go in one profile, and what it is tuned for."""

    name: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def take(self, dims: tuple[int, ...]) -> bool:
        """Whether it allows a shape."""
        return len(dims) == len(self.min) and all(
            low <= here <= high for low, here, high in zip(self.min, dims, self.max, strict=True)
        )

    def __str__(self) -> str:
        return f"{list(self.min)} to {list(self.max)}"


Profile = tuple[Bounds, ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """Value of a product that is an engine.

    ``built_for`` says it in words; ``capabilities`` are the compute capabilities that it runs on,
    ``upwards`` if newer ones do too. ``server`` is what Triton needs to open it.
    """

    library: str
    version: str
    built_for: str
    capabilities: tuple[str, ...]
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    profiles: tuple[Profile, ...]
    upwards: bool = False
    any_version: bool = False  # version-compatible: any library of its major version, or newer
    largest_batch: int | None = None
    level: int = 3
    layers: int = 0
    weights: str = "inside"
    plugins: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def asked(
    bindings: Sequence[Binding], feeds: Mapping[str, np.ndarray]
) -> dict[str, tuple[int, ...]]:
    """What a call asks of a profile: shapes, and the values of inputs whose values are shapes."""
    return {
        one.name: tuple(int(v) for v in feeds[one.name].reshape(-1))
        if one.values
        else feeds[one.name].shape
        for one in bindings
    }


def choose(profiles: Sequence[Profile], shapes: Shapes) -> int:
    """The profile for a call: of those that allow it, the one that is tuned nearest to it.

    Raises:
        ModelError: none does; it says which input, and what is allowed.
    """
    fitting = [i for i, one in enumerate(profiles) if not misfits(one, shapes)]
    if not fitting:
        raise ModelError(f"no profile of the engine allows {_refusal(profiles, shapes)}", WIDER)
    return min(fitting, key=lambda i: _distance(profiles[i], shapes))


WIDER = (
    "build it with profiles that reach so far (options max_batch, tuned_batches, profiles), or with "
    "samples and axes that say how far each axis goes"
)


def misfits(profile: Profile, shapes: Shapes) -> list[Bounds]:
    """The inputs of a profile that a call's shapes are out of."""
    return [one for one in profile if one.name in shapes and not one.take(tuple(shapes[one.name]))]


def _refusal(profiles: Sequence[Profile], shapes: Shapes) -> str:
    name = next(one.name for profile in profiles for one in misfits(profile, shapes))
    each = [str(one) for profile in profiles for one in profile if one.name == name]
    return f"{name!r} with the shape {list(shapes[name])}: it may be {', or '.join(each)}"


def _distance(profile: Profile, shapes: Shapes) -> float:
    return sum(
        abs(here - best)
        for one in profile
        if one.name in shapes
        for here, best in zip(shapes[one.name], one.opt, strict=True)
    )


def fits_version(engine: Engine, title: str, version: str) -> None:
    """Refuse an engine that another version of the library made.

    Raises:
        NavigatorError: both versions, and what to do.
    """
    here, there = numbers(version), numbers(engine.version)
    if engine.any_version and here[:3] >= there[:3]:
        return
    if here[:3] != there[:3]:
        raise NavigatorError(
            f"this engine was built by {title} {engine.version}, and {version} is installed here: "
            "it opens its own only",
            f"build it again with this version, or pip install '{engine.library}=={engine.version}'",
        )


def fits_device(engine: Engine, title: str, capability: str, device: str) -> None:
    """Refuse an engine that was built for other GPUs.

    Raises:
        NavigatorError: what it was built for, what is here, and what to do.
    """
    if not engine.capabilities or capability in engine.capabilities:
        return
    least = min(map(numbers, engine.capabilities))
    if engine.upwards and numbers(capability) >= least:
        return
    raise NavigatorError(
        f"this engine was built by {title} for {engine.built_for}, and {device} is {sm(capability)}",
        f"build it on this machine, or with compute_capabilities='{capability}' where the library "
        "has that one"
        if engine.library == "tensorrt-rtx"
        else "build it on a machine with this GPU, or with compatibility='ampere+' or 'same' there",
    )
