"""Rows made by hand, so that what a view must say is known; and a real run of the toy."""

import numpy as np
import pytest
from views_rows import made_row

import navigator_lab as nav
from navigator_lab.testing import Affine
from navigator_lab.types.run import Row
from navigator_lab.views.results import Results

HOSTILE = "<img src=x onerror=alert(1)>&amp;$x^2$%{y}"


@pytest.fixture
def rows():
    """A baseline, a quick one, a quicker one that is wrong, one that failed, one not compared."""
    return Results(
        [
            made_row("torch:fp32@eager-cpu", [(1, 2.0, 500.0), (8, 8.0, 1000.0)]),
            made_row("onnx:fp32@ort-cpu", [(1, 1.0, 1000.0), (8, 4.0, 2000.0)], size_bytes=400),
            made_row(
                "onnx:int8@ort-cpu", [(1, 0.5, 2000.0), (8, 2.0, 4000.0)], passed=False,
                within_tolerance=False, worst_ratio=4.0, ratios={"scores": 4.0},
                reason="scores: |Δ| 3 is 4 times the tolerance",
            ),
            made_row("openvino:fp32@ov-cpu", [(1, 0.4, 2500.0)], status="failed",
                     reason="verify: it raised"),
            made_row("aoti:fp32@aoti-cpu", [(1, 0.3, 3000.0)], passed=None,
                     within_tolerance=None, worst_ratio=None, ratios={}),
            made_row("onnx:fp16@ort-cpu", [], status="failed", reason="infer: no kernel",
                     passed=None, within_tolerance=None, worst_ratio=None, ratios={}),
            Row("onnx:fp32@ort-cuda:0", "onnx", "fp32", "ort", "cuda:0", "skipped",
                reason="no CUDA device"),
        ],
        "digits",
        "torch:fp32@eager-cpu",
    )  # fmt: skip


@pytest.fixture
def hostile():
    """Results whose every name is an attack."""
    return Results(
        [
            made_row(f"{HOSTILE}:fp32@{HOSTILE}-cpu", [(1, 1.0, 100.0)],
                     ratios={HOSTILE: 0.5, "b": 2.0}, passed=False, reason=HOSTILE),
            made_row(f"{HOSTILE}:{HOSTILE}@x-cpu", [(1, 2.0, 200.0)], ratios={HOSTILE: 0.5}),
        ],
        HOSTILE,
        f"{HOSTILE}:{HOSTILE}@x-cpu",
    )  # fmt: skip


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The toy, run until profile."""
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    with nav.explore(
        Affine(), x, name="affine", workspace=tmp_path_factory.mktemp("views") / "w",
        plugins=["navigator_lab.testing"],
    ) as made:  # fmt: skip
        made.run(formats=["toy", "python"], seconds=0.05, max_batch=2, min_calls=5)
        yield made


@pytest.fixture(scope="session")
def saved(lab, tmp_path_factory):
    return lab.save(tmp_path_factory.mktemp("saved") / "affine.nav")
