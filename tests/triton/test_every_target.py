"""Every target that can be built here goes the whole way: exported, served by the real server, right.

One small model, all formats, precisions and runners of this machine, one server that loads one
package after the other.
"""

from __future__ import annotations

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.triton.server import serve

X = np.random.default_rng(5).normal(size=(12, 1, 8, 8)).astype(np.float32)
FORMATS = {
    "torch", "torchscript", "torchscript-script", "torch-export", "aoti", "onnx", "openvino",
}  # fmt: skip
PRECISIONS = {"fp32", "fp16", "bf16", "int8", "int8-dynamic", "fp8", "int8-weights", "int4-weights"}


def _model():
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 4)
    )


@pytest.mark.timeout(1200)  # some forty packages; those of torch take seconds to load
def test_what_is_right_here_is_right_on_the_server(tmp_path):
    with nav.explore(_model(), X, name="every", workspace=tmp_path / "w") as lab:
        lab.run(until="correctness", batch=4, formats=sorted(FORMATS), devices=["cpu"])
        right = [row for row in lab.results if row.passed]
        assert {row.format for row in right} == FORMATS, lab.results
        assert {row.precision for row in right} == PRECISIONS, lab.results
        assert _wrong(lab, right, tmp_path / "r") == {}


def _wrong(lab, right, repository):
    """Targets whose served answers miss their tolerance, and how."""
    names = {}
    for row in right:
        names[row.target] = row.target.replace(":", "_").replace("@", "_")
        lab.package(row.target, repository, name=names[row.target])
    assert [one for one in nav.triton.check(repository) if one.error] == []
    wrong = {}
    with serve(repository, [names[right[0].target]]) as server:
        there = {"url": server.http, "grpc": server.grpc}
        for target, name in names.items():
            with lab.serve(target, repository, name=name, protocols=["grpc"], **there) as served:
                if served.replay.passed is not True:
                    wrong[target] = str(served.replay)
    return wrong
