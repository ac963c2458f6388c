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


def _model():
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 4)
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("every") / "w"
    with nav.explore(_model(), X, name="every", workspace=home) as made:
        made.run(until="correctness", batch=4)
        yield made


@pytest.mark.timeout(900)  # some thirty packages; those of torch take seconds to load
def test_all_are_served_and_answer_within_tolerance(lab, tmp_path):
    right = [row for row in lab.results if row.passed]
    assert {row.format for row in right} == FORMATS, lab.results
    assert {"fp32", "fp16", "bf16", "int8", "int8-dynamic"} <= {row.precision for row in right}
    names = {}
    for row in right:
        names[row.target] = row.target.replace(":", "_").replace("@", "_")
        lab.package(row.target, tmp_path / "r", name=names[row.target])
    assert [one for one in nav.triton.check(tmp_path / "r") if one.error] == []
    wrong = {}
    with serve(tmp_path / "r", [names[right[0].target]]) as server:
        there = {"url": server.http, "grpc": server.grpc}
        for target, name in names.items():
            with lab.serve(
                target, tmp_path / "r", name=name, protocols=["grpc"], **there
            ) as served:
                if served.replay.passed is not True:
                    wrong[target] = str(served.replay)
    assert wrong == {}
