"""What the backends that we know would refuse among their own parameters and accelerators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..environment import ACTIVATE, HERE, PARAMETER, activates
from .finding import Finding, noted, refused

_NUMBERS = {
    "onnxruntime": (
        "intra_op_thread_count", "inter_op_thread_count", "execution_mode", "enable_mem_arena",
        "enable_mem_pattern", "cudnn_conv_algo_search", "gpu_mem_limit", "arena_extend_strategy",
    ),
    "pytorch": ("INTRA_OP_THREAD_COUNT", "INTER_OP_THREAD_COUNT"),
}  # fmt: skip
_BOOLEANS = {
    "pytorch": (
        "DISABLE_OPTIMIZED_EXECUTION", "INFERENCE_MODE", "DISABLE_CUDNN", "ENABLE_CACHE_CLEANING",
        "ENABLE_WEIGHT_SHARING", "ENABLE_TENSOR_FUSER", "ENABLE_JIT_EXECUTOR",
        "ENABLE_JIT_PROFILING",
    ),
}  # fmt: skip
_ACCELERATORS = {
    "onnxruntime": {"gpu": ("tensorrt", "cuda"), "cpu": ("openvino",)},
    "tensorflow": {"gpu": ("tensorrt", "gpu_io", "auto_mixed_precision"), "cpu": ()},
}
_PRECISIONS = {"onnxruntime": ("FP32", "FP16", "INT8"), "tensorflow": ("FP32", "FP16")}


def parameters(config: Any, folder: Path) -> Iterator[Finding]:
    """Parameters with values that their backend can't read; accelerators that it doesn't have."""
    backend = config.backend
    given = {name: one.string_value for name, one in config.parameters.items()}
    for name in _NUMBERS.get(backend, ()):
        if name in given and not given[name].strip().lstrip("+-").isdigit():
            yield refused(
                f"failed to convert {name} '{given[name]}' to integral number",
                "write a whole number as string_value",
            )
    for name in _BOOLEANS.get(backend, ()):
        if name in given and given[name].lower() not in ("true", "false", "1", "0"):
            yield refused(
                f"failed to convert {name} '{given[name]}' to boolean value",
                "write true or false as string_value",
            )
    if backend == "python":
        yield from _python(given, folder)
    yield from _accelerators(config)


def _python(given: dict[str, str], folder: Path) -> Iterator[Finding]:
    name = "FORCE_CPU_ONLY_INPUT_TENSORS"
    if given.get(name, "no") not in ("yes", "no"):
        yield refused(
            f'Incorrect value for {name}: {given[name]}. It should be set to "yes" or "no"',
            "write yes or no as string_value",
        )
    place = given.get(PARAMETER)
    if place is not None:
        path = Path(place.replace(HERE, str(folder)))
        if not path.exists():
            say = refused if HERE in place else noted
            yield say(
                f"Failed to get the canonical path for {path}.",
                "pack the environment with conda-pack and put it there"
                if HERE in place
                else "it must be there on the server",
            )
        elif not activates(path):
            yield refused(
                f"{ACTIVATE} does not exist. The Python environment should contain an 'activate' "
                "script.",
                f"pack the whole environment: {path.name} has none at its top",
            )


def _accelerators(config: Any) -> Iterator[Finding]:
    backend = config.backend
    have = _ACCELERATORS.get(backend)
    asked = config.optimization.execution_accelerators
    for kind, many in (
        ("gpu", asked.gpu_execution_accelerator),
        ("cpu", asked.cpu_execution_accelerator),
    ):
        for one in many:
            if have is None:
                yield noted(
                    f"the {backend or config.platform} backend takes no execution accelerators: "
                    f"{one.name!r} has no effect",
                    "remove it",
                )
            elif one.name not in have[kind]:
                yield refused(
                    f"unknown Execution Accelerator '{one.name}' is requested",
                    f"the {kind.upper()} ones of the {backend} backend are "
                    + (", ".join(have[kind]) or "none"),
                )
            elif one.name == "tensorrt":
                mode = one.parameters.get("precision_mode", "FP32")
                if mode not in _PRECISIONS[backend]:
                    yield refused(
                        f"unsupported precision mode '{mode}' is requested",
                        f"give one of {', '.join(_PRECISIONS[backend])}",
                    )
