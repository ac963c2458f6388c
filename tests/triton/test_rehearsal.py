"""When two answers are the same, and when they aren't."""

from __future__ import annotations

import numpy as np
import pytest

from navigator_lab.triton.rehearsal import differing
from navigator_lab.types.target import Precision

ONE = np.linspace(-4, 4, 9, dtype=np.float32)


@pytest.mark.parametrize(
    ("got", "wanted", "precision", "words"),
    [
        (ONE, ONE, "fp32", ""),
        (ONE + 1e-4, ONE, "fp32", ""),
        (ONE + 0.1, ONE, "fp32", "2.5%"),
        (ONE + 0.02, ONE, "bf16", ""),
        (ONE + 0.02, ONE, "int8", ""),
        (ONE + 0.1, ONE, "int8", "2.5%"),
        (ONE.reshape(3, 3), ONE, "fp32", ""),  # an axis of one more is Triton's way
        (ONE[:8], ONE, "fp32", "shape"),
        (np.where(ONE > 3, np.nan, ONE), ONE, "fp32", "NaN"),
        (ONE, np.zeros_like(ONE), "fp32", "away"),
        (np.arange(9), np.arange(9), "fp32", ""),
        (np.arange(9), np.arange(9) + 1, "fp32", "100.0%"),
        (np.arange(200) > 0, np.arange(200) >= 0, "int8", ""),
        (np.array(["a", "b"]), np.array(["a", "b"], object), "fp32", ""),
        (np.array(["a", "b"]), np.array(["a", "c"], object), "fp32", "otherwise"),
    ],
)
def test_differing(got, wanted, precision, words):
    said = differing("y", got, wanted, Precision(precision))
    assert bool(said) == bool(words)
    assert words in said
