"""A server that a notebook holds: an interrupt leaves it, a restart or a shutdown takes it along."""

from __future__ import annotations

import urllib.request

import numpy as np
import psutil
import pytest
from jupyter_client.manager import KernelManager
from triton_making import make, onnx_file, signature

from navigator_lab.triton.repository import publish

SERVES = """
from navigator_lab.session.repository import serve_repository
served = serve_repository({root!r}, send=False)
print("at", served.server.http, served.server.process.pid)
"""


def said(client, code: str) -> str:
    """What a cell prints, once it is done."""
    asked = client.execute(code)
    text = ""
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind, content = message["msg_type"], message["content"]
        text += content.get("text", "") + "\n".join(content.get("traceback", ()))
        if kind == "status" and content["execution_state"] == "idle":
            return text


@pytest.fixture
def kernel(tmp_path):
    """A kernel that serves a model; its manager, its client, the server's address and processes."""
    model = onnx_file(tmp_path / "model")
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    made, _ = make(tmp_path, "onnx:fp32@ort-cpu", model, sig, [{"x": np.ones((1, 6), "f")}])
    publish(made, tmp_path / "repository")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    try:
        text = said(client, SERVES.format(root=str(tmp_path / "repository")))
        address, pid = text.split("at ")[1].split()
        keeper = psutil.Process(int(pid))
        processes = [keeper, *keeper.children(recursive=True)]
        assert any("tritonserver" in part for p in processes for part in p.cmdline())
        yield manager, client, address, processes
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def ready(address: str) -> bool:
    with urllib.request.urlopen(f"http://{address}/v2/health/ready", timeout=10) as answer:
        return answer.status == 200


def test_an_interrupt_leaves_it_and_a_restart_takes_it_along(kernel):
    manager, client, address, processes = kernel
    asked = client.execute("import time; print('asleep', flush=True); time.sleep(60)")
    while "asleep" not in client.get_iopub_msg(timeout=30)["content"].get("text", ""):
        pass
    manager.interrupt_kernel()
    while (reply := client.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != asked:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert ready(address)
    manager.restart_kernel(now=False)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


def test_a_shutdown_takes_it_along(kernel):
    manager, _, _, processes = kernel
    manager.shutdown_kernel(now=False)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive
