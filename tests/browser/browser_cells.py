"""Cells that the browser tests run, and how long they wait for anything."""

WAIT_MS = 90_000  # of one condition: two cores that others use too

OPEN = """
import numpy as np
import navigator_lab as nav
from navigator_lab.testing import Affine
from navigator_lab.ui.dashboard import Dashboard
X = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
"""
SHOW = (
    OPEN
    + """
lab = nav.explore(Affine(), X, name="affine")
dash = Dashboard(lab)
dash.settings = {"max_batch": 2, "seconds": 0.05}
dash.wanted = ["toy:fp32@toy-cpu", "toy:fp16@toy-cpu", "python:fp32@python-cpu"]
dash
"""
)
DONE = """
dash.run().wait()
dash.settle()
"""
