"""Torch-TensorRT: an exported program in which TensorRT computes what it can, and torch the rest.

The program's own types say the precision; of modes there is TF32. It is compiled on the GPU that will
run it: the library asks for one when it is imported.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError
from navigator_lab.types import samples as sampling
from navigator_lab.types.cache import cache_folder
from navigator_lab.types.plugin import At, Format, Host, Precision, Unavailable, edge, option
from navigator_lab.types.signature import Signature, TensorSpec

from ._torch import CannotBuild, Exported, is_flat, prove, quiet_build, tensors_of, trials
from ._torch_reasons import explain, said
from .torch_export import FORMAT as EXPORT

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product

NEEDS = ("torch", "torch-tensorrt|torch-tensorrt-rtx")
APART = "torch-trt"
ENGINES = "_run_on_acc"  # what its parts are called that are engines
FORMAT = Format(
    "torch-trt",
    "model.pt2",
    "program of torch.export with TensorRT engines in it",
    family="TensorRT",
    unserved="Triton's pytorch backend opens TorchScript, and no program of torch.export",
)


@dataclass(frozen=True, slots=True)
class TorchTrtOptions:
    """How Torch-TensorRT compiles a program."""

    level: int = option(3, "how long it searches for kernels", choices=(0, 1, 2, 3, 4, 5))
    workspace_mib: int = option(
        0, "memory that kernels may try and use; 0: all that the device has", unit="MiB"
    )
    min_block_size: int = option(5, "parts of fewer operators stay torch's")
    whole: bool = option(False, "refuse a model of which anything stays torch's")
    fp32_sums: bool = option(False, "products of fp16 are summed in fp32")
    compatible: bool = option(False, "it also runs on other GPUs from Ampere on; costs speed")
    timing_cache: bool = option(
        True, "keep how fast kernels were on this GPU, and build the next sooner"
    )
    max_batch: int = option(
        128, "largest batch, where the model goes further; 0: as far as it goes"
    )


def on_gpu(host: Host) -> Unavailable | None:
    """Its import fails without a driver."""
    if host.gpus:
        return None
    return Unavailable(
        "Torch-TensorRT asks for the GPU when it is imported, and there is none here",
        "run on a machine with an NVIDIA GPU; tensorrt-rtx builds engines without one",
    )


@edge(
    EXPORT.name,
    FORMAT.name,
    "fp32",
    "tf32",
    "fp16",
    "bf16",
    needs=NEEDS,
    options=TorchTrtOptions,
    hardware=True,
    measures=True,
    apart=APART,
    timeout_s=7200,
    check=on_gpu,
    explain=explain,
)
def from_export(at: At, model: Product, samples: Product) -> Exported:
    """Let TensorRT take what it can of the exported program, on the GPU that is here."""
    import torch
    import torch_tensorrt
    from torch.export.passes import move_to_device_pass

    signature, options = samples.read(Signature), at.options
    device = f"cuda:{torch.cuda.current_device()}"
    tried = trials(sampling.read(samples.path), signature)
    example = tuple(tensors_of(tried[0][1], signature, device))
    program = move_to_device_pass(torch.export.load(model.path / EXPORT.filename), device)
    path = at.out / FORMAT.filename
    with quiet_build() as notes:
        at.say("building")
        at.turn()  # it times kernels
        try:
            made = torch_tensorrt.dynamo.compile(
                program,
                arg_inputs=[_input(spec, signature, options) for spec in signature.inputs],
                **settings(
                    at.about.precision,
                    options,
                    inspect.signature(torch_tensorrt.dynamo.compile).parameters,
                ),
            )
            engines = [name for name, _ in made.named_children() if ENGINES in name]
            if engines:
                torch_tensorrt.save(
                    made, str(path), output_format="exported_program", arg_inputs=example,
                    retrace=True, pickle_protocol=4,
                )  # fmt: skip
        except Exception as error:  # foreign code: any class may come
            raise CannotBuild(f"Torch-TensorRT refuses the program: {said(error)}") from error
        if not engines:  # it says so in a warning only, and gives torch's own program
            raise NavigatorError(
                "TensorRT takes no part of this model: torch would compute all of it",
                f"min_block_size={options.min_block_size} is how many operators a part must have; "
                "what it can't take is in the step's log",
            )
        within = [(name, feeds) for name, feeds in tried if allowed(feeds, signature, options)]
        again = torch_tensorrt.load(str(path)).module()
        prove("the program", again, within, signature, device)
    count = f"{len(engines)} engine{'' if len(engines) == 1 else 's'} of TensorRT in it"
    return Exported(flat=is_flat(model.value), notes=(count, *notes))


def settings(precision: str, options: TorchTrtOptions, known: Any) -> dict[str, Any]:
    """What the compiler is told. ``known``: the arguments that this release of it has."""
    facts: dict[str, Any] = {
        "disable_tf32": precision != Precision.TF32,
        "optimization_level": options.level,
        "workspace_size": options.workspace_mib << 20,
        "min_block_size": options.min_block_size,
        "require_full_compilation": options.whole,
        "use_fp32_acc": options.fp32_sums,
        "hardware_compatible": options.compatible,
        # Its own cache knows graphs by their operators alone, whatever their arguments.
        "cache_built_engines": False,
        "reuse_cached_engines": False,
    }
    if options.timing_cache:
        folder = cache_folder() / "timing"
        folder.mkdir(parents=True, exist_ok=True)
        facts["timing_cache_path"] = str(folder / "torch-tensorrt.cache")
    if "use_explicit_typing" in known:  # where types that the program has could still be ignored
        facts["use_explicit_typing"] = True
    return facts


def sizes(spec: TensorSpec, signature: Signature, options: TorchTrtOptions) -> dict[str, Any]:
    """An input's shapes: one, or the least, the usual and the largest."""
    ends: dict[str, list[int]] = {"min": [], "opt": [], "max": []}
    for size in spec.shape:
        for end, made in ends.items():
            one = size if isinstance(size, int) else getattr(signature.axis(size), end)
            capped = options.max_batch and size == "batch"
            made.append(min(one, options.max_batch) if capped else one)
    if ends["min"] == ends["max"]:
        return {"shape": tuple(ends["min"])}
    return {f"{end}_shape": tuple(made) for end, made in ends.items()}


def allowed(feeds: Any, signature: Signature, options: TorchTrtOptions) -> bool:
    """Whether a call's batch is one that the program was compiled for."""
    return not options.max_batch or all(
        spec.batch_axis is None or feeds[spec.name].shape[spec.batch_axis] <= options.max_batch
        for spec in signature.inputs
    )


def _input(spec: TensorSpec, signature: Signature, options: TorchTrtOptions) -> Any:
    import torch
    import torch_tensorrt

    kind: torch.dtype = getattr(torch, spec.dtype)
    return torch_tensorrt.Input(dtype=kind, name=spec.name, **sizes(spec, signature, options))
