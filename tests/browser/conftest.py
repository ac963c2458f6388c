"""A real JupyterLab on loopback, a real browser (Debian's chromium), and a notebook a test."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import nbformat
import pytest
from browser_cells import WAIT_MS

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("NAVIGATOR_LAB_CHROMIUM") or shutil.which("chromium") or ""

# What the page says on its own account, whatever is in it.
NOISE = (
    "Permissions-Policy", "ResizeObserver loop", "favicon", "service-worker",
    "Could not restore the debugger state",  # Lab's own, when a kernel restarts
    "jupyter-widgets-manager/lib/index.js.map",
    "Error: widget model not found",  # Lab's own, of a kernel that was restarted: the copy shows
)  # fmt: skip


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {
        **browser_type_launch_args,
        "executable_path": CHROMIUM,
        "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", "--disable-dev-shm-usage"],
    }  # fmt: skip


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {
        **browser_context_args,
        "viewport": {"width": 1440, "height": 1000},
        "permissions": ["clipboard-read", "clipboard-write"],
    }


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _end(server):
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """One server for the whole session: (address, folder of notebooks)."""
    if not CHROMIUM:
        pytest.fail("the browser tests need Debian's chromium: apt-get install chromium")
    home = tmp_path_factory.mktemp("jupyter")
    root = home / "root"
    root.mkdir()
    settings = home / "settings"
    for name, said in {
        "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
        "@jupyterlab/apputils-extension/notification": {
            "checkForUpdates": False, "fetchNews": "false",
        },
    }.items():  # fmt: skip
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(said))
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"), "IPYTHONDIR": str(home / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings), "PYTHONPATH": str(ROOT),
        "NAVIGATOR_LAB_PLUGINS": "navigator_lab.testing", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    port = _port()
    log = home / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
             "--ServerApp.ip=127.0.0.1", f"--port={port}", f"--ServerApp.root_dir={root}",
             "--IdentityProvider.token=", "--ServerApp.password=",
             "--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True",
             "--ServerApp.jpserver_extensions={'notebook':True}", "--JupyterNotebookApp.expose_app_in_browser=True"],
            env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=root,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for _ in range(900):
        try:
            urllib.request.urlopen(f"{url}/api/status", timeout=2).close()
            break
        except OSError:
            if server.poll() is not None:
                raise RuntimeError(log.read_text()[-3000:]) from None
            time.sleep(0.1)
    else:
        _end(server)
        raise RuntimeError(log.read_text()[-3000:])
    try:
        yield url, root
    finally:
        _end(server)


@pytest.fixture
def voila(tmp_path):
    """Voilà on a copy of the dashboard's notebook: (address, folder)."""
    shutil.copy(ROOT / "notebooks/dashboard.ipynb", tmp_path)
    port, log = _port(), tmp_path / "voila.log"
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": str(ROOT), "NAVIGATOR_LAB_PLUGINS": "navigator_lab.testing",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "voila", "dashboard.ipynb", "--no-browser", "--Voila.ip=127.0.0.1",
             f"--port={port}"],
            env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                break
        if server.poll() is not None:
            raise RuntimeError(log.read_text()[-3000:])
        time.sleep(0.1)
    try:
        yield url, tmp_path
    finally:
        _end(server)


class Notebook:
    """A notebook that is open in the browser, driven by Lab's own commands."""

    def __init__(self, page, url, root, name):
        self.page, self.url, self.root, self.name = page, url, root, name

    def open(self, front="lab"):
        lab = f"{self.url}/lab/workspaces/w{uuid.uuid4().hex[:8]}/tree/{self.name}?reset"
        self.page.goto(lab if front == "lab" else f"{self.url}/notebooks/{self.name}")
        self.idle()
        return self

    def again(self):
        """The same in a second tab."""
        page = self.page.context.new_page()
        page.set_default_timeout(WAIT_MS)
        return Notebook(page, self.url, self.root, self.name).open()

    def idle(self):
        self.page.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=WAIT_MS,
        )

    def run(self, index, wait=True):
        js = (
            "async i => { const w = jupyterapp.shell.currentWidget; w.content.activeCellIndex = i;"
            " await jupyterapp.commands.execute('notebook:run-cell'); }"
        )
        self.page.evaluate(js if wait else f"i => {{ ({js})(i); }}", index)
        return self

    def command(self, name, arguments=None):
        self.page.evaluate(
            "([n, a]) => jupyterapp.commands.execute(n, a ?? {}).then(() => null)",
            [name, arguments],
        )

    def restart(self):
        self.page.evaluate(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )

    def ask(self, code):
        """What an expression is in the kernel, as its repr."""
        return self.page.evaluate(
            """async code => {
              const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
              const future = kernel.requestExecute({code: '', user_expressions: {x: code}, silent: true, store_history: false});
              const reply = await future.done;
              const x = reply.content.user_expressions.x;
              return x.status === 'ok' ? x.data['text/plain'] : `${x.ename}: ${x.evalue}`;
            }""",
            code,
        )

    def told(self, code, value):
        """Wait until an expression is this in the kernel: what is clicked may still be on its way."""
        end = time.monotonic() + WAIT_MS / 1000
        while (found := self.ask(code)) != value and time.monotonic() < end:
            time.sleep(0.2)
        assert found == value

    def until(self, js, timeout=WAIT_MS):
        """Wait for a condition in the page; ``nl`` is the panel."""
        self.page.wait_for_function(
            "() => { const nl = document.querySelector('.nl');"
            f" try {{ return Boolean(nl && ({js})); }} catch {{ return false; }} }}",
            timeout=timeout,
        )


@pytest.fixture
def heard(page):
    """Everything that must not be: requests to elsewhere, errors on the console."""
    said: list[str] = []
    page.on(
        "request",
        lambda r: (
            said.append(f"request {r.url}")
            if not r.url.startswith(
                ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "about:")
            )
            else None
        ),
    )
    page.on(  # a widget's script lies at a blob's address; an error without it is the host's own
        "pageerror",
        lambda e: said.append(f"error {e.stack}") if "blob:" in (e.stack or "blob:") else None,
    )
    page.on(
        "console",
        lambda m: (
            said.append(f"console {m.text}")
            if m.type == "error" and not any(noise in m.text for noise in NOISE)
            else None
        ),
    )
    return said


@pytest.fixture
def notebook(page, jupyter, heard):
    """``notebook(cell, …)`` opens one; after the test nothing strange may have been heard."""
    url, root = jupyter
    page.set_default_timeout(WAIT_MS)
    made = []

    def make(*cells, front="lab"):
        folder = root / f"t{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        name = f"{folder.name}/{folder.name}.ipynb"
        book = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )  # fmt: skip
        book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        nbformat.write(book, root / name)
        one = Notebook(page, url, root, name).open(front)
        made.append(one)
        return one

    try:
        yield make
    finally:
        for one in made:
            one.page.evaluate(
                "() => jupyterapp.shell.currentWidget?.sessionContext?.shutdown()?.catch(() => null)"
            )
    assert not heard
