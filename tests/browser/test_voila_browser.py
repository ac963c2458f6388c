"""The dashboard as an app, without a notebook around it: Voilà, a browser, a run of another kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest
from browser_cells import WAIT_MS

pytestmark = pytest.mark.filterwarnings(
    # pytest-base-url declares its fixture as a method; it says nothing about us.
    "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
)
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
lab = nav.explore(Slow(), x, name="slow", plugins=["navigator_lab.testing"])
Path("hold").touch()
job = lab.start(targets=["toy:fp16@toy-cpu", "python:fp32@python-cpu"], max_batch=2, seconds=0.05)
print(lab.id, flush=True)
job.wait()
lab.close()
"""
# Voilà's page asks for this itself; without a network it goes without.
VOILAS_OWN = "https://cdn.jsdelivr.net/npm/@fortawesome/"


def until(page, js):
    page.wait_for_function(
        f"() => {{ const nl = document.querySelector('.nl'); return Boolean(nl && ({js})); }}",
        timeout=WAIT_MS,
    )


def test_an_app_that_follows_a_run_by_its_address(voila, page):
    url, folder = voila
    asked = []

    def route(one):
        if one.request.url.startswith(url):
            one.continue_()
        else:
            asked.append(one.request.url)
            one.abort()

    page.route(lambda address: address.startswith("http"), route)
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        run = other.stdout.readline().strip()
        page.goto(f"{url}/?run={run}", timeout=WAIT_MS)
        until(page, "nl.querySelector('.now')?.textContent.includes('Runs in another kernel')")
        until(page, "nl.querySelector('.head .s-running')")
        assert page.locator(".head .nm").get_attribute("title") == "slow"
        assert page.locator("[data-k=run], [data-k=cancel]").count() == 0
        (folder / "hold").unlink()
        until(page, "nl.querySelector('.head .s-done') && nl.querySelector('.say')")
        until(page, "nl.querySelectorAll('tr[data-row] .tbar').length === 2")
        page.locator("[data-k=tab-pareto]").click()
        until(page, "nl.querySelectorAll('.pt').length === 4")
        other.wait(60)
        page.reload(timeout=WAIT_MS)  # a new kernel: the finished run, from the disk
        until(page, "nl.querySelector('.head .s-done') && nl.querySelector('.say')")
        page.goto(url, timeout=WAIT_MS)  # and without a run: a model is picked
        until(page, "nl.querySelector('[data-k=model]').options.length >= 2")
        until(page, "nl.querySelector('.sec-targets .sum')")
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert not [address for address in asked if not address.startswith(VOILAS_OWN)]
