"""What tests of more than one room need: a run in another process."""

from __future__ import annotations

import subprocess
import sys

import pytest

OTHER = """
import time
from pathlib import Path
import numpy as np
import navigator_lab as nav
from navigator_lab.testing import Affine

class Slow(Affine):
    def __call__(self, x):
        while Path("hold").exists():
            time.sleep(0.02)
        return super().__call__(x)

x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
Path("hold").unlink(missing_ok=True)
lab = nav.explore(Slow(), x, name="slow", plugins=["navigator_lab.testing"])
Path("hold").touch()
job = lab.start(targets=["toy:fp16@toy-cpu", "python:fp32@python-cpu"], max_batch=2, seconds=0.05)
print(lab.id, flush=True)
job.wait()
lab.close()
"""


@pytest.fixture
def elsewhere(tmp_path):
    """(its process, the id of its run), which goes on once the file "hold" in ``tmp_path`` is gone."""
    made = subprocess.Popen(
        [sys.executable, "-c", OTHER], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        yield made, made.stdout.readline().strip()
    finally:
        made.kill()
        made.wait()
        made.stdout.close()
