"""A signature of a SavedModel, run as it was saved."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from navigator_lab.formats.savedmodel import FORMAT
from navigator_lab.types.plugin import Opening, runner

from ._tensorflow import RUNS, Session, signed

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product


@runner("savedmodel", FORMAT.name, precisions=("fp32", "tf32"), reference=True, **RUNS)
def savedmodel(model: Product, opening: Opening) -> AbstractContextManager[Session]:
    """TensorFlow, the graph of the chosen signature."""
    return signed(model, opening)
