"""StableHLO, as `jax.export` writes it: a JAX function without its Python, free axes kept free.

It is for the CPU and CUDA, whatever this machine has. jax2tf is no way on from here: what it gives
holds XLA's code, which no converter of TensorFlow's reads. ONNX comes from the function itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from navigator_lab.types.plugin import At, Format, edge
from navigator_lab.types.signature import Signature

from . import _jax as shared
from .jax_function import FORMAT as JAX

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

FORMAT = Format("stablehlo", "model.stablehlo", "StableHLO, exported by jax.export", family="JAX")
PLATFORMS = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Exported:
    """Value of a function that was exported: the version of the calling convention."""

    version: int


@edge(JAX.name, FORMAT.name, "fp32", **shared.EDGE)
def from_jax(at: At, model: Product, samples: Product) -> Exported:
    """Trace the function and write its StableHLO."""
    import jax
    import jax.export

    signature = samples.read(Signature)
    call = shared.flat(shared.load(model.path / JAX.filename), signature)
    try:
        with jax.default_matmul_precision("highest"):  # a GPU would take TF32 for fp32
            made = jax.export.export(jax.jit(call), platforms=PLATFORMS)(*shared.shapes(signature))
    except Exception as error:  # the user's own code is run: any class may come
        raise shared.CannotTrace(f"jax.export can't take it: {shared.said(error)}") from error
    (at.out / FORMAT.filename).write_bytes(made.serialize())
    return Exported(made.calling_convention_version)
