"""A frozen TensorFlow graph, run from its inputs to its outputs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from navigator_lab.formats.graphdef import FORMAT, opened
from navigator_lab.types.plugin import Opening, runner

from ._tensorflow import RUNS, Session, signed

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product


@runner("graphdef", FORMAT.name, precisions=("fp32",), reference=True, **RUNS)
def graphdef(model: Product, opening: Opening) -> AbstractContextManager[Session]:
    """TensorFlow, the graph as it was frozen."""
    return signed(model, opening, opened)
