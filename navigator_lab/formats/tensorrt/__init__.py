"""TensorRT engines: two formats, ``tensorrt`` and ``tensorrt-rtx``, and the edges that build them.

One API in two libraries. TensorRT times kernels on the GPU that will run the engine, so it builds
there alone; TensorRT-RTX builds with no GPU, for the compute capabilities that are asked, and
finishes when the engine is opened. Both are strongly typed: a precision is what the ONNX graph says,
and TF32 a mode. ``library`` loads them, ``options`` and ``profiles`` are what a user says, ``suited``
readies the graph, ``configure`` tells the builder, ``build`` builds, ``engine`` is what it is,
``reasons`` what went wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from navigator_lab.formats import onnx as onnx_format
from navigator_lab.types.plugin import Format, Host, TritonBackend, Unavailable, edge

from . import library
from .build import FILENAME, build
from .engine import Engine
from .options import RtxOptions, TrtOptions
from .reasons import explain

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product
    from navigator_lab.types.plugin import At

FORMAT = Format(
    library.TENSORRT.name,
    FILENAME,
    "TensorRT engine for this kind of GPU",
    triton=TritonBackend("tensorrt", FILENAME),
    family="TensorRT",
)
RTX = Format(
    library.RTX.name,
    FILENAME,
    "TensorRT-RTX engine for chosen kinds of GPU, built with none",
    family="TensorRT",
    unserved="Triton's tensorrt backend opens TensorRT's plans, and none of TensorRT-RTX",
)
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")
READS = ("onnx", "numpy", "polygraphy")
# It multiplies signed 8-bit integers around zero, of all 8 bits, and has biases as floats.
ASKS = {
    "int8": {
        "activations": "int8",
        "symmetric": True,
        "reduce_range": False,
        "quantize_bias": False,
    }
}


def on_gpu(host: Host) -> Unavailable | None:
    """TensorRT chooses kernels by timing them."""
    if host.gpus:
        return None
    return Unavailable(
        "TensorRT times kernels while it builds, and there is no GPU here",
        "build on a machine with the GPU that will serve it; tensorrt-rtx builds without one",
    )


@edge(
    onnx_format.FORMAT.name,
    FORMAT.name,
    *PRECISIONS,
    asks=ASKS,
    needs=(*library.TENSORRT.needs, *READS),
    options=TrtOptions,
    hardware=True,
    measures=True,
    apart=library.TENSORRT.name,
    timeout_s=7200,
    check=on_gpu,
    explain=explain,
)
def from_onnx(at: At, model: Product, samples: Product) -> Engine:
    """Build a TensorRT engine of the ONNX graph, on the GPU that is here."""
    return build(at, model, samples, library.TENSORRT)


@edge(
    onnx_format.FORMAT.name,
    RTX.name,
    *PRECISIONS,
    asks=ASKS,
    needs=(*library.RTX.needs, *READS),
    options=RtxOptions,
    apart=library.RTX.name,
    timeout_s=3600,
    explain=explain,
)
def rtx_from_onnx(at: At, model: Product, samples: Product) -> Engine:
    """Build a TensorRT-RTX engine of the ONNX graph, with no GPU."""
    return build(at, model, samples, library.RTX)


__all__ = ["FORMAT", "RTX", "Engine", "from_onnx", "rtx_from_onnx"]
