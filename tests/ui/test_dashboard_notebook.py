"""A notebook that nobody watches keeps the results in its file, small and without script."""

from __future__ import annotations

import json

import nbclient
import nbformat
import pytest

CELL = """
import numpy as np
import navigator_lab as nav
from navigator_lab.testing import Affine
from navigator_lab.ui.dashboard import Dashboard
X = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
lab = nav.explore(Affine(), X, name="affine", plugins=["navigator_lab.testing"])
dash = Dashboard(lab)
dash.settings = {"max_batch": 2, "seconds": 0.05}
dash.wanted = ["toy:fp16@toy-cpu", "python:fp32@python-cpu"]
dash
"""
RUN = """
await dash.run()
while dash.run_state["state"] != "done" or not dash.choice:
    dash.settle()
    dash._pump.mark("run")
dash.settle()
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_results_stay_in_the_file(tmp_path):
    book = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
    )
    book.cells = [nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell(RUN)]
    nbclient.NotebookClient(
        book, timeout=180, store_widget_state=False, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [
        o["data"]["text/html"] for o in book.cells[0].outputs if "text/html" in o.get("data", {})
    ]
    assert "toy:fp16@toy-cpu" in "".join(shown)
    assert "<script" not in "".join(shown)
    assert len(json.dumps(book)) < 100_000
