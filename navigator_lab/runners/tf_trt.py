"""TF-TRT: runs ``tf-trt`` on CUDA, in the TensorFlow that it was built with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from navigator_lab.formats import _tensorflow as shared
from navigator_lab.formats.tf_trt import ENVIRONMENT, FORMAT, NEEDS, loaded
from navigator_lab.types.plugin import Opening, runner

from ._tensorflow import Session, session

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product


@runner(
    "tf-trt",
    FORMAT.name,
    devices=("cuda",),
    precisions=("fp32", "fp16", "int8"),
    family="TensorFlow",
    needs=NEEDS,
    environment=ENVIRONMENT,
    apart=shared.APART,
    explain=shared.explain,
)
@contextmanager
def tf_trt(model: Product, opening: Opening) -> Iterator[Session]:
    """TensorFlow with TensorRT's engines in its graph."""
    loaded()  # without its libraries the engines' operators run in TensorFlow, silently
    signed: list[shared.Signed] = []

    def make() -> Callable[..., Any]:
        signed.append(shared.opened(model.path))
        return signed[0].call

    with session(opening, make) as running:
        yield running
