"""``%navigator replay`` and ``load-test`` in a real shell, on a real server, with the toy."""

import os

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from navigator_lab.testing import Affine


@pytest.fixture
def shell(tmp_path):
    os.environ["IPYTHONDIR"] = str(tmp_path / "ipython")
    made = InteractiveShell.instance()
    made.reset()
    made.run_line_magic("load_ext", "navigator_lab")
    draw = np.random.default_rng(1)
    made.user_ns.update(model=Affine(), X=draw.normal(size=(6, 4)).astype(np.float32))
    yield made
    made.run_cell("session.close()")
    made.history_manager.end_session()
    InteractiveShell.clear_instance()
    del os.environ["IPYTHONDIR"]


def test_a_target_is_replayed_and_loaded(shell, tmp_path):
    def cell(line):
        with capture_output():
            ran = shell.run_cell(line)
        return ran.result, ran.error_in_exec or ran.error_before_exec

    opened = f"%navigator open model --samples X --workspace {tmp_path / 'w'} -o session"
    cell(f"{opened} --plugins navigator_lab.testing")
    cell("%navigator profile --targets toy:fp32@toy-cpu --max-batch 2 --seconds 0.05")
    replay, error = cell("%navigator replay -o kept")
    assert error is None
    assert replay.passed is True
    assert replay.target == "toy:fp32@toy-cpu"
    assert shell.user_ns["kept"] is replay
    drawn, error = cell("%navigator load-test toy:fp32@toy-cpu --concurrency 1,2 --seconds 0.3")
    assert error is None
    assert [p.level for p in drawn.info.curves[0].points] == [1, 2]
    assert "concurrency 2" in repr(drawn)
    _, error = cell("%navigator load-test --rate 5 --p99-ms 3")
    assert "are three tests" in str(error)
    _, error = cell("%navigator replay onnx:fp32@ort-cpu")
    assert error is not None
