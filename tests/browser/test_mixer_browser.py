"""The precision mixer in the panel: one slider over what was measured, a button for what wasn't."""

from __future__ import annotations

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        # pytest-base-url declares its fixture as a method; it says nothing about us.
        "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
    ),
]

SHOW = """
import numpy as np, onnx
import navigator_lab as nav
from navigator_lab.ui.dashboard import Dashboard
rng = np.random.default_rng(0)
weights = [rng.standard_normal((32, 32)).astype("float32") / 5 for _ in range(8)]
weights[3][:, 0] *= 300
weights[4][0] /= 300
body = onnx.helper.make_graph(
    [onnx.helper.make_node("MatMul", ["x" if i == 0 else f"a{i}", f"w{i}"], ["y" if i == 7 else f"a{i + 1}"], f"layer{i}") for i in range(8)],
    "g", [onnx.helper.make_tensor_value_info("x", 1, ["n", 32])], [onnx.helper.make_tensor_value_info("y", 1, ["n", 32])],
    [onnx.numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
)
onnx.save(onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
lab = nav.explore("m.onnx", rng.standard_normal((8, 32)).astype("float32"), name="layers")
dash = Dashboard(lab)
dash.settings = {"max_batch": 1, "seconds": 0.05}
dash.wanted = ["onnx:fp32@ort-cpu", "onnx:int8@ort-cpu"]
dash
"""
DONE = """
dash.run().wait()
dash.settle()
"""


def test_one_slider_walks_along_and_runs_what_is_missing(notebook, page, tmp_path):
    nb = notebook(SHOW, DONE)
    nb.run(0).run(1)
    nb.until("nl.querySelectorAll('tr[data-row]').length === 2")
    page.locator("[data-k=tab-mixer]").click()
    nb.until("nl.querySelector('.mixsaid strong')?.textContent === 'No node in fp32'")
    # another number: not measured, until it is run
    slider = page.locator("[data-k=mix-keep]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    nb.until("nl.querySelector('.mixsaid')?.textContent.includes('not measured')")
    page.locator("[data-k=mix-run]").click()
    nb.until(
        "nl.querySelector('.mixkv') && nl.querySelector('.mixsaid').textContent.startsWith('1 node')"
    )
    assert "layer" in page.locator(".mixsaid p").inner_text()
    page.locator("[data-k=mix-usual]").click()
    nb.until("nl.querySelectorAll('.view svg circle').length === 8")  # of 8 nodes 10 can't be kept
    # what was measured needs no kernel: it is shown while the slider moves
    for number, words in ((0, "No node"), (2, "2 nodes"), (5, "5 nodes")):
        slider.fill(str(number))
        nb.until(f"nl.querySelector('.mixsaid strong').textContent.startsWith('{words}')")
    assert "dB" in page.locator(".mixkv").inner_text()
    page.screenshot(path=tmp_path / "mixer.png")
