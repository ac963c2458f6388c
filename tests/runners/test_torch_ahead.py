"""The second process of torch.compile: what it makes is found by the first."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

# The models and products live beside the tests of the formats that they are built as.
sys.path.append(str(Path(__file__).parents[1] / "formats"))

import torch_made as tm

from navigator_lab.runners import _torch_ahead, torch_compile
from navigator_lab.runners.torch_eager import on

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")


@pytest.fixture
def convolution(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    return tm.cnn(tmp_path)


def opening(convolution):
    one = convolution.opening("torch:fp32@compile-cpu")
    calls = ({"x": (1, 3, 8, 8)}, {"x": (4, 3, 8, 8)})
    return replace(one, calls=calls, options=torch_compile.CompileOptions())


def test_the_code_for_the_larger_batch_is_waited_for_and_not_made_again(convolution):
    opened = opening(convolution)
    made = torch_compile.compiled(
        on(torch.device("cpu"), convolution.source, False), opened.options
    )
    ahead = _torch_ahead.Ahead(
        made, convolution.source, opened, torch_compile.compiled, patience_s=0
    )
    seen = []
    ahead._timer.join()
    assert ahead._process.is_alive()
    for batch in (1, 1, 4, 1):
        before = counters["inductor"]["fxgraph_cache_miss"]
        with torch.inference_mode():
            ahead(torch.zeros(batch, 3, 8, 8))
        seen.append(counters["inductor"]["fxgraph_cache_miss"] - before)
    assert ahead._process.exitcode == 0
    assert seen == [1, 0, 0, 0]
    ahead.close()
    torch.compiler.reset()


def test_a_process_that_fails_costs_nothing(convolution, tmp_path, capfd):
    opened = opening(convolution)
    lost = replace(convolution.source, path=tmp_path / "nowhere")
    ahead = _torch_ahead.Ahead(len, lost, opened, torch_compile.compiled, patience_s=0)
    ahead._timer.join()
    assert [ahead(torch.zeros(n, 3)) for n in (1, 4)] == [1, 4]
    assert ahead._process.exitcode == 1
    ahead.close()


def test_there_is_no_process_for_what_compiles_quickly(convolution):
    opened = opening(convolution)
    ahead = _torch_ahead.Ahead(len, convolution.source, opened, torch_compile.compiled)
    assert [ahead(torch.zeros(n, 3)) for n in (1, 4)] == [1, 4]
    ahead._timer.join()
    assert ahead._process is None
