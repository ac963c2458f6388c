"""AOTInductor packages: an exported program compiled to one machine's code, run without Python.

A package is for one kind of device, so there are two formats of one shape. What is compiled is the
program of torch.export; what that refuses never comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from navigator_lab.types import samples as sampling
from navigator_lab.types.plugin import At, Format, Host, Precision, Unavailable, edge, option
from navigator_lab.types.signature import Signature

from ._torch import CannotBuild, Exported, is_flat, prove, quiet_build, trials
from ._torch_reasons import compiler, explain, said
from .torch_export import FORMAT as EXPORT

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

FORMAT = Format(
    "aoti", "model.pt2", "AOTInductor package for this kind of CPU", family="AOTInductor"
)
CUDA = Format(
    "aoti-cuda", "model.pt2", "AOTInductor package for this kind of GPU", family="AOTInductor"
)


@dataclass(frozen=True, slots=True)
class AotiOptions:
    """How inductor compiles a package."""

    max_autotune: bool = option(
        False, "time several kernels for each matrix product and convolution and keep the fastest"
    )


def on_gpu(host: Host) -> Unavailable | None:
    """A package for CUDA is compiled on a machine with the GPU that will run it."""
    if not host.gpus:
        return Unavailable(
            "there is no CUDA GPU here, and a package is compiled for the GPU that it sees",
            "run this target on a machine with an NVIDIA GPU",
        )
    return compiler(host)


@edge(
    EXPORT.name,
    FORMAT.name,
    "fp32",
    "fp16",
    "bf16",
    needs=("torch",),
    options=AotiOptions,
    hardware=True,
    fresh=True,  # the compiler's caches and its pool of processes end with it
    timeout_s=1800,
    check=compiler,
    explain=explain,
)
def for_cpu(at: At, model: Product, samples: Product) -> Exported:
    """Compile the exported program to a package for the CPU."""
    return _compile(at, model, samples, "cpu")


@edge(
    EXPORT.name,
    CUDA.name,
    "fp32",
    "tf32",
    "fp16",
    "bf16",
    needs=("torch", "triton"),
    options=AotiOptions,
    hardware=True,
    fresh=True,
    timeout_s=1800,
    check=on_gpu,
    explain=explain,
)
def for_cuda(at: At, model: Product, samples: Product) -> Exported:
    """Compile the exported program to a package for the GPU."""
    return _compile(at, model, samples, "cuda")


def _compile(at: At, model: Product, samples: Product, device: str) -> Exported:
    import torch
    from torch._inductor import aoti_compile_and_package, aoti_load_package
    from torch.export.passes import move_to_device_pass

    program = torch.export.load(model.path / EXPORT.filename)
    if device != "cpu":
        # With its index: the program asserts where its tensors are, and "cuda" is not "cuda:0" there.
        device = f"{device}:{torch.cuda.current_device()}"
        program = move_to_device_pass(program, device)
    path = at.out / FORMAT.filename
    before = torch.get_float32_matmul_precision()
    with quiet_build() as notes:
        # Inductor's own kernels hold the mode that they were compiled in.
        fast = at.about.precision is Precision.TF32
        torch.set_float32_matmul_precision("high" if fast else "highest")
        try:
            aoti_compile_and_package(
                program,
                package_path=str(path),
                inductor_configs={"max_autotune": at.options.max_autotune},
            )
        except Exception as error:  # foreign code: any class may come
            raise CannotBuild(f"inductor refuses the program: {said(error)}") from error
        finally:
            torch.set_float32_matmul_precision(before)
        if is_flat(model.value):
            signature = samples.read(Signature)
            tried = trials(sampling.read(samples.path), signature)
            prove("the package", aoti_load_package(str(path)), tried, signature, device)
    return Exported(flat=is_flat(model.value), notes=tuple(notes))
