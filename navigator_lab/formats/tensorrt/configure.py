"""What the builder is told: Polygraphy's configuration, from the options of an edge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError

from .engine import Profile
from .library import Library, capabilities, kept, numbers
from .options import BuildOptions, RtxOptions, TrtOptions, listed

if TYPE_CHECKING:
    from navigator_lab.types.plugin import At

AMPERE = "8.0"  # Turing has no fp32 matrix products in TensorRT-RTX: it is built for if asked
LEAST = {"fp8": "8.9"}


def configuration(
    at: At,
    trt: Any,
    loaders: Any,
    options: BuildOptions,
    shapes: Sequence[Profile],
    library: Library,
) -> tuple[Any, Path | None]:
    """What Polygraphy makes the configuration from, and the timing cache's file."""
    facts: dict[str, Any] = {
        "profiles": [_profile(loaders, one) for one in shapes],
        "builder_optimization_level": options.level,
        "refittable": options.weights == "refittable",
        "strip_plan": options.weights == "stripped",
        "progress_monitor": _monitor(trt, at),
    }
    if options.workspace_mib:
        pool = trt.MemoryPoolType.WORKSPACE
        facts["memory_pool_limits"] = {pool: options.workspace_mib << 20}
    cache = None
    if isinstance(options, RtxOptions):
        from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

        able = chosen(trt, options, at.about.precision)
        wanted = [tuple(map(int, one.split("."))) for one in able]
        made = CreateConfigRTX(compute_capabilities=wanted, **facts)
    else:
        assert isinstance(options, TrtOptions)
        if options.compatibility:
            levels = trt.HardwareCompatibilityLevel
            facts["hardware_compatibility_level"] = (
                levels.AMPERE_PLUS
                if options.compatibility == "ampere+"
                else levels.SAME_COMPUTE_CAPABILITY
            )
        if options.timing_cache:
            cache = kept("timing", library.name, trt.__version__, gpu()[0])
            if cache.is_file():
                facts["load_timing_cache"] = str(cache)
        made = loaders.CreateConfig(version_compatible=options.version_compatible, **facts)
    tf32 = at.about.precision == "tf32"

    def mode(builder: Any, network: Any, config: Any) -> None:
        (config.set_flag if tf32 else config.clear_flag)(trt.BuilderFlag.TF32)

    return loaders.PostprocessConfig(made, mode), cache


def _profile(loaders: Any, bounds: Profile) -> Any:
    made = loaders.Profile()
    for one in bounds:
        made.add(one.name, one.min, one.opt, one.max)
    return made


def chosen(trt: Any, options: RtxOptions, precision: str) -> list[str]:
    """What to build for.

    Raises:
        NavigatorError: the library has no kernels for one of them.
    """
    known = capabilities(trt)
    least = LEAST.get(precision, AMPERE)
    wanted = listed(options.compute_capabilities)
    wanted = wanted or [one for one in known if numbers(one) >= numbers(least)]
    for one in wanted:
        if one not in known:
            raise NavigatorError(
                f"TensorRT-RTX {trt.__version__} builds nothing for compute capability {one!r}",
                f"it builds for {', '.join(known)}",
            )
    return wanted


def _monitor(trt: Any, at: At) -> Any:
    """Says how far the builder is."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # its base has no types
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            at.say(phase_name.lower())

        def step_complete(self, phase_name: str, step: int) -> bool:
            at.say(phase_name.lower(), step / max(1, self.steps.get(phase_name, 1)))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def gpu() -> tuple[str, str]:
    """The name of the device that is built on, and its compute capability."""
    import pynvml

    pynvml.nvmlInit()
    try:
        one = pynvml.nvmlDeviceGetHandleByIndex(0)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(one)
        return str(pynvml.nvmlDeviceGetName(one)), f"{major}.{minor}"
    finally:
        pynvml.nvmlShutdown()
