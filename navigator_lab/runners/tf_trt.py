"""TF-TRT: runs ``tf-trt`` on CUDA, in the TensorFlow that it was built with."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from navigator_lab.formats.tf_trt import ENVIRONMENT, FORMAT, NEEDS, loaded
from navigator_lab.types.plugin import Opening, runner

from ._tensorflow import RUNS, Session, signed

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product


@runner(
    "tf-trt",
    FORMAT.name,
    precisions=("fp32", "fp16", "int8"),
    environment=ENVIRONMENT,
    **{**RUNS, "devices": ("cuda",), "needs": NEEDS, "device_needs": {}},
)
def tf_trt(model: Product, opening: Opening) -> AbstractContextManager[Session]:
    """TensorFlow with TensorRT's engines in its graph."""
    loaded()  # without its libraries the engines' operators run in TensorFlow, silently
    return signed(model, opening)
