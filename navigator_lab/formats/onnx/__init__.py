"""ONNX: the format, and the edges that lead to it and from one precision to another.

One file an edge's kind: ``export`` from torch, ``from_tensorflow`` from a SavedModel, ``half`` to 16-bit floats (``retype`` does it),
``quantize`` to 8-bit integers, ``narrow`` to fp8 and to weights of 8 and 4 bits; ``work`` counts what a graph has to do; ``graph`` reads, writes and checks a file, ``reasons`` explains
foreign errors. No runtime is opened here, but by ONNX Runtime's quantiser.
"""

from .drift import drift
from .export import from_program, from_script, from_torch, from_trace
from .from_jax import from_jax
from .from_tensorflow import from_savedmodel
from .graph import FORMAT
from .half import to_half, to_tf32
from .narrow import to_fp8, to_weights
from .network import network
from .quantize import to_int8, to_int8_dynamic
from .sensitivity import sensitivity
from .work import work

__all__ = [
    "FORMAT",
    "drift",
    "from_jax",
    "from_program",
    "from_savedmodel",
    "from_script",
    "from_torch",
    "from_trace",
    "network",
    "sensitivity",
    "to_fp8",
    "to_half",
    "to_int8",
    "to_int8_dynamic",
    "to_tf32",
    "to_weights",
    "work",
]
