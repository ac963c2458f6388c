"""``%navigator`` in a real kernel: what goes over the wire, interrupts, and the background."""

import os
import time

import pytest
from jupyter_client.manager import KernelManager

SET_UP = """
%load_ext navigator_lab
import time
import numpy as np
from navigator_lab.testing import Affine
class Slow(Affine):
    def __call__(self, x):
        time.sleep(0.02)
        return super().__call__(x)
model, X = Slow(), np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
%navigator open model --samples X --plugins navigator_lab.testing --workspace {work} -o lab
"""


class Kernel:
    """Runs cells, and keeps every message that a front end would get."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def __call__(self, code, during=None):
        asked = self.client.execute(code)
        said = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if during is not None and during(message):
                during = None
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind = message["msg_type"]
            if kind == "status" and message["content"]["execution_state"] == "idle":
                return said
            said.append((kind, message["content"], time.monotonic()))


def of_kind(said, *kinds):
    return [content for kind, content, _ in said if kind in kinds]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    home = tmp_path_factory.mktemp("kernel")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(
        cwd=str(home), env={**os.environ, "IPYTHONDIR": str(home / "ipython"),
                            "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    made = Kernel(manager, client)
    ran = made(SET_UP.format(work=home / "w"))
    assert not of_kind(ran, "error"), ran
    yield made
    made("lab.close()")
    client.stop_channels()
    manager.shutdown_kernel()


PROFILE = "%navigator profile --formats python --batches 1,2 --seconds 1"


def test_a_stage_updates_at_most_five_times_a_second_and_the_last_is_sent(kernel):
    said = kernel(PROFILE)
    assert not of_kind(said, "error")
    assert len(of_kind(said, "display_data")) == 1
    times = [at for kind, _, at in said if kind in ("display_data", "update_display_data")]
    assert len(times) <= 5 * (times[-1] - times[0]) + 2
    last = of_kind(said, "update_display_data")[-1]
    assert "steps ran" in last["data"]["text/plain"]
    assert "text/html" in last["data"]
    assert "text/html" in of_kind(said, "execute_result")[0]["data"]


def test_an_interrupt_frees_the_cell_and_the_job_goes_on(kernel):
    def stop(message):
        text = message["content"].get("data", {}).get("text/plain", "")
        if "profile python" in text:
            kernel.manager.interrupt_kernel()
            return True
        return False

    said = kernel(PROFILE.replace("--seconds 1", "--seconds 2"), during=stop)
    assert not of_kind(said, "error")
    last = of_kind(said, "update_display_data")[-1]["data"]["text/plain"]
    assert "detached: the job goes on" in last
    assert "%navigator wait" in last
    state = kernel("print(lab.job.done)")
    assert of_kind(state, "stream")[0]["text"] == "False\n"
    done = kernel("%navigator wait -o results\nassert results[0].batches")
    assert not of_kind(done, "error")
    assert " ran · " in of_kind(done, "update_display_data")[-1]["data"]["text/plain"]


def test_a_job_in_the_background_leaves_the_kernel_free(kernel):
    said = kernel("%navigator run --until profile --formats python --batches 4 --seconds 1 -o job")
    assert "job running" in of_kind(said, "execute_result")[0]["data"]["text/plain"]
    free = kernel("print(job.done)")
    assert of_kind(free, "stream")[0]["text"] == "False\n"
    waited = kernel("results = await job\nprint(results[0].status)")
    assert of_kind(waited, "stream")[-1]["text"] == "done\n"


def test_what_is_wrong_is_an_error_without_our_trace(kernel):
    error = of_kind(kernel("%navigator profile --formats pyton"), "error")
    text = str(error) + str(of_kind(kernel("%navigator profile --formats pyton"), "stream"))
    assert "did you mean" in text
    assert "commands.py" not in text


# Every line of the magic, one after the other as a user would, and what its output holds.
LINES = (
    ("%navigator open model --samples X --name again --plugins navigator_lab.testing -o lab2", "again"),
    ("%navigator targets --formats toy --precisions fp32,fp16", "toy:fp16@toy-cpu"),
    ("%navigator export --formats toy,python -o exported", "export again"),
    ("%navigator convert", "as said last: --formats toy,python"),
    ("%navigator correctness", "correctness again"),
    ("%navigator profile --max-batch 1 --seconds 0.05 -o results", "toy:fp16@toy-cpu"),
    ("assert results is not None and len(results) == 3", ""),
    ("%%navigator verify -o verified\ndef metric(outputs, reference):\n    return True", "verify again"),
    ("assert all(row.verified for row in verified)", ""),
    ("%navigator run --until profile -o job\nresults = await job", "until profile, again"),
    ("%navigator status", "job done"),
    ("%navigator table", "toy:fp16@toy-cpu"),
    ("%navigator heatmap", "application/vnd.plotly"),
    ("%navigator pareto", "application/vnd.plotly"),
    ("%navigator parallel", "application/vnd.plotly"),
    ("%navigator timeline", "application/vnd.plotly"),
    ("%navigator compare toy:fp16@toy-cpu toy:fp32@toy-cpu", "fp16"),
    ("%navigator why toy:fp16@toy-cpu", "from the store"),
    ("%navigator log toy:fp16@toy-cpu", "printed nothing"),
    ("%navigator tolerance --relative 1e-3", "toy:fp16@toy-cpu"),
    ("%navigator choose throughput --p99-ms 1000 -o best", "throughput"),
    ("%navigator package repository -o folder\nassert (folder / 'config.pbtxt').is_file()", "tritonserver"),
    ("%navigator cancel", "nothing to cancel"),
    ("%navigator save a.nav", "saved as"),
    ("%navigator load a.nav", "again"),
    ("%navigator table", "toy:fp16@toy-cpu"),
    ("%navigator attach $lab2.id", "again"),
    ("%navigator status", "job done"),
    ("%navigator", "application/vnd.jupyter.widget-view+json"),
    ("%navigator -h", "two to four targets"),
    ("%navigator choose -h", "--p99-ms"),
    ("lab2.close()\n%navigator use lab", "model: "),
)  # fmt: skip


def test_every_line_does_what_it_says(kernel):
    for code, words in LINES:
        said = kernel(code)
        assert not of_kind(said, "error"), code
        text = str([content for kind, content, _ in said if kind != "execute_input"])
        assert words in text, (code, text[:2000])


def test_the_kernel_explains_and_completes(kernel):
    client = kernel.client
    asked = client.execute("%navigator?")
    while (reply := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
        pass
    (page,) = reply["content"]["payload"]
    assert "%navigator open MODEL --samples" in page["data"]["text/plain"]
    kernel("pass")
    for line, offered in (
        ("%navigator par", "parallel"),
        ("%navigator profile --formats to", "toy"),
        ("%navigator profile --precisions int", "int8"),
        ("%navigator why python:fp", "fp32@python-cpu"),
        ("%navigator open mod", "model"),
        ("%navigator attach 2", "-again-"),
    ):
        asked = client.complete(line)
        while (reply := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
            pass
        assert any(offered in one for one in reply["content"]["matches"]), line
