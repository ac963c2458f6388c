"""The dashboard beside the notebook: where it stays, whatever becomes of the cell."""

from __future__ import annotations

import pytest
from browser_cells import SHOW

pytestmark = pytest.mark.filterwarnings(
    # pytest-base-url declares its fixture as a method; it says nothing about us.
    "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
)


def test_side_panel(notebook, page):
    nb = notebook("%load_ext navigator_lab" + SHOW + "None", "%navigator --side -o dash")
    nb.run(0).run(1)
    nb.until("nl.querySelector('.pv')?.textContent.includes('steps to run')")
    assert page.locator(".jp-Cell .nl").count() == 0
    assert page.locator(".lm-TabBar-tabLabel", has_text="Navigator: affine").count() == 1
    page.locator('[data-target="toy:fp16@toy-cpu"].c').click()
    nb.until("nl.querySelector('.pv').textContent.startsWith('3 targets')")
