"""How an engine is built, as a user says it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from navigator_lab.errors import RequestError
from navigator_lab.types.plugin import option

from .profiles import written

STAMP = "#sha256:"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What both libraries have."""

    level: int = option(
        3,
        "how long it searches: 0 for a draft, 5 for the last per cent",
        choices=(0, 1, 2, 3, 4, 5),
    )
    workspace_mib: int = option(
        0, "memory that kernels may try and use; 0: all that the device has", unit="MiB"
    )
    tuned_batches: str = option(
        "", "batch sizes to tune for, separated by commas: a profile for each, the last to the end"
    )
    max_batch: int = option(
        128, "largest batch of the profiles, where the model goes further; 0: as far as it goes"
    )
    profiles: str = option(
        "", "your own profiles instead: a list of dicts that give, for an axis, min, opt and max, or "
        "for an input three shapes; or its JSON text",
    )  # fmt: skip
    plugins: str = option("", "plug-in libraries (.so), separated by commas")
    parser_flags: str = option("", "flags of the ONNX parser by name, separated by commas")
    weights: str = option(
        "inside",
        "inside; refittable: they can be replaced later; stripped: the file lacks them, and they "
        "are put in from the ONNX graph beside it when it is opened",
        choices=("inside", "refittable", "stripped"),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "profiles", written(self.profiles))
        object.__setattr__(self, "plugins", ",".join(_stamped(p) for p in listed(self.plugins)))
        for size in listed(self.tuned_batches):
            if not size.isdigit() or not int(size):
                raise RequestError(f"tuned_batches holds {size!r}", "give sizes, as '1,8,32'")
        for name in ("workspace_mib", "max_batch"):
            if getattr(self, name) < 0:
                raise RequestError(f"{name}={getattr(self, name)} can't be", "give 0 or more")

    @property
    def batches(self) -> tuple[int, ...]:
        return tuple(int(size) for size in listed(self.tuned_batches))

    @property
    def libraries(self) -> tuple[Path, ...]:
        """The plug-ins' files."""
        return tuple(Path(one.partition(STAMP)[0]) for one in listed(self.plugins))


@dataclass(frozen=True, slots=True)
class TrtOptions(BuildOptions):
    """How TensorRT builds an engine."""

    compatibility: str = option(
        "",
        "GPUs that it shall run on besides this one: those from Ampere on, or those of the same "
        "compute capability; costs speed",
        choices=("", "ampere+", "same"),
    )
    version_compatible: bool = option(
        False, "it also opens in newer versions of TensorRT 10 or 11; costs speed"
    )
    timing_cache: bool = option(
        True, "keep how fast kernels were on this GPU, and build the next engine sooner"
    )


@dataclass(frozen=True, slots=True)
class RtxOptions(BuildOptions):
    """How TensorRT-RTX builds an engine: in part, for any GPU; the rest when it is opened."""

    compute_capabilities: str = option(
        "",
        "GPUs to build for, as '8.9,12.0'; empty: all that the library knows from Ampere (8.0) on, "
        "or for fp8 from Ada (8.9) on",
    )


def listed(text: str) -> list[str]:
    """What is separated by commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def _stamped(plugin: str) -> str:
    """A library with the digest of its content, which is what an engine rests on.

    Raises:
        RequestError: there is no such file.
    """
    if STAMP in plugin:
        return plugin
    path = Path(plugin).resolve()
    if not path.is_file():
        raise RequestError(f"there is no plug-in library {plugin}", "give the path of its .so file")
    return f"{path}{STAMP}{hashlib.sha256(path.read_bytes()).hexdigest()}"
