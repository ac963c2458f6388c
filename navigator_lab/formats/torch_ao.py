"""The torch module with its linear layers quantised by torchao; the rest of it stays as it is.

Only layers of `torch.nn.Linear` have kernels there: convolutions are left alone, and a module
without linear layers is refused. What is made is a module again: eager and compile run it; exports
of its tensor subclasses are not offered (the tracer fails on them, ONNX has no translation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.types.plugin import At, Host, Precision, Unavailable, edge, option
from navigator_lab.types.signature import Signature

from ._torch import CannotBuild, load
from ._torch_reasons import explain
from .torch_module import FORMAT, bordered, save

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product

NEEDS = ("torch", "torchao", "cloudpickle")
FP8_CAPABILITY = (8, 9)
KEEP = "names of linear layers that stay as they are (as named_modules() has them), separated by commas"


@dataclass(frozen=True, slots=True)
class AoOptions:
    """Which linear layers are quantised."""

    keep_nodes: str = option("", KEEP)
    smallest: int = option(
        0, "layers with fewer weights stay as they are: small ones gain nothing", unit="weights"
    )


@dataclass(frozen=True, slots=True)
class Fp8Options:
    """How linear layers are brought to fp8; the rest of the module computes in bf16."""

    granularity: str = option(
        "row", "a scale for each row of a matrix, or one for all", choices=("row", "tensor")
    )
    keep_nodes: str = option("", KEEP)
    smallest: int = option(
        0, "layers with fewer weights stay in bf16: small ones gain nothing", unit="weights"
    )


@dataclass(frozen=True, slots=True)
class Quantised:
    """Value of a module that torchao quantised: how many linear layers, and what is left alone."""

    layers: int
    notes: tuple[str, ...] = ()


@edge(
    FORMAT.name,
    FORMAT.name,
    ("fp32", "int8-dynamic"),
    ("fp32", "int8-weights"),
    name="torch-ao<-torch",
    needs=NEEDS,
    options=AoOptions,
    timeout_s=900,
    explain=explain,
)
def to_int8(at: At, model: Product, samples: Product) -> Quantised:
    """Linear layers with int8 weights; int8-dynamic multiplies in int8, with scales of activations
    found at run time."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig

    dynamic = at.about.precision is Precision.INT8_DYNAMIC
    kind = Int8DynamicActivationInt8WeightConfig if dynamic else Int8WeightOnlyConfig
    # How inductor compiles in this process is nothing that a build may change for those after it.
    how = kind(set_inductor_config=False)
    return _quantised(at, load(model.path / FORMAT.filename), how, at.options or AoOptions())


def capable(host: Host) -> Unavailable | None:
    """fp8 is multiplied by GPUs only, from compute capability 8.9 on."""
    for gpu in host.gpus:
        major, _, minor = gpu.compute_capability.partition(".")
        if (int(major), int(minor or 0)) >= FP8_CAPABILITY:
            return None
    least = ".".join(map(str, FP8_CAPABILITY))
    have = ", ".join(f"{g.name} ({g.compute_capability})" for g in host.gpus)
    return Unavailable(
        f"torchao's fp8 needs an NVIDIA GPU of compute capability {least} or newer; "
        f"this machine has {have or 'none'}",
        "run on an Ada, Hopper or Blackwell GPU; onnx:fp8 shows its accuracy on a CPU",
    )


@edge(
    FORMAT.name,
    FORMAT.name,
    ("fp32", "fp8"),
    name="torch-ao-fp8<-torch",
    needs=NEEDS,
    options=Fp8Options,
    check=capable,
    timeout_s=900,
    explain=explain,
)
def to_fp8(at: At, model: Product, samples: Product) -> Quantised:
    """Linear layers in fp8 with scales of activations found at run time, all else in bf16."""
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        PerRow,
        PerTensor,
    )

    options = at.options or Fp8Options()
    outside = tuple(spec.dtype for spec in samples.read(Signature).outputs)
    module = bordered(load(model.path / FORMAT.filename), "bfloat16", outside)
    granularity = PerRow() if options.granularity == "row" else PerTensor()
    how = Float8DynamicActivationFloat8WeightConfig(
        granularity=granularity, set_inductor_config=False
    )
    return _quantised(at, module, how, options, inside="module.")


def _quantised(
    at: At, module: torch.nn.Module, how: Any, options: Any, inside: str = ""
) -> Quantised:
    """Quantise the linear layers in place, and save the module. ``inside`` is what stands before
    the names that the user knows."""
    import torch
    from torchao.quantization import quantize_

    linear = {
        name.removeprefix(inside): one
        for name, one in module.named_modules()
        if isinstance(one, torch.nn.Linear)
    }
    keep = {name.strip() for name in options.keep_nodes.split(",") if name.strip()}
    unknown = sorted(keep - linear.keys())
    if unknown:
        raise CannotBuild(
            f"keep_nodes names {', '.join(unknown)}, which no linear layer is called; they are "
            f"{', '.join(list(linear)[:12]) or 'none'}"
        )
    chosen = {
        name
        for name, one in linear.items()
        if name not in keep and one.weight.numel() >= options.smallest
    }
    if not chosen:
        raise CannotBuild(
            "torchao quantises linear layers, and this module has none that may be: "
            f"{len(linear)} linear layers, {len(keep)} of them to be kept"
        )
    other = sum(
        1
        for one in module.modules()
        if not isinstance(one, torch.nn.Linear) and getattr(one, "weight", None) is not None
    )
    at.say(f"quantising {len(chosen)} linear layers")
    quantize_(module, how, filter_fn=lambda _, name: name.removeprefix(inside) in chosen)
    save(module, at.out / FORMAT.filename)
    left = len(linear) - len(chosen) + other
    note = f"torchao quantised {len(chosen)} linear layers; {left} other layers with weights stay"
    return Quantised(len(chosen), (note,) if left else ())
