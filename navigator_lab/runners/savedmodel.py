"""A signature of a SavedModel, run as it was saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from navigator_lab.formats import _tensorflow as shared
from navigator_lab.formats.savedmodel import FORMAT
from navigator_lab.types.plugin import Opening, runner

from ._tensorflow import GPU_NEEDS, Session, refuses, session

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product


@runner(
    "savedmodel",
    FORMAT.name,
    devices=("cpu", "cuda"),
    precisions=("fp32", "tf32"),
    refuses=refuses,
    reference=True,
    family="TensorFlow",
    needs=shared.NEEDS,
    device_needs=GPU_NEEDS,
    apart=shared.APART,
    explain=shared.explain,
)
@contextmanager
def savedmodel(model: Product, opening: Opening) -> Iterator[Session]:
    """TensorFlow, the graph of the chosen signature."""
    signed: list[shared.Signed] = []  # what keeps the weights alive while it is open

    def make() -> Callable[..., Any]:
        signed.append(shared.opened(model.path))
        return signed[0].call

    with session(opening, make) as running:
        yield running
