"""The dashboard as an app, without a notebook around it: Voilà, a browser, a run of another kernel."""

from __future__ import annotations

import pytest
from browser_cells import WAIT_MS

pytestmark = pytest.mark.filterwarnings(
    # pytest-base-url declares its fixture as a method; it says nothing about us.
    "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
)
# Voilà's page asks for this itself; without a network it goes without.
VOILAS_OWN = "https://cdn.jsdelivr.net/npm/@fortawesome/"


def until(page, js):
    page.wait_for_function(
        f"() => {{ const nl = document.querySelector('.nl'); return Boolean(nl && ({js})); }}",
        timeout=WAIT_MS,
    )


def test_an_app_that_follows_a_run_by_its_address(voila, elsewhere, page):
    (url, folder), (process, run) = voila, elsewhere
    asked = []

    def route(one):
        if one.request.url.startswith(url):
            one.continue_()
        else:
            asked.append(one.request.url)
            one.abort()

    page.route(lambda address: address.startswith("http"), route)
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
    process.wait(60)
    page.reload(timeout=WAIT_MS)  # a new kernel: the finished run, from the disk
    until(page, "nl.querySelector('.head .s-done') && nl.querySelector('.say')")
    page.goto(url, timeout=WAIT_MS)  # and without a run: a model is picked
    until(page, "nl.querySelector('[data-k=model]').options.length >= 2")
    until(page, "nl.querySelector('.sec-targets .sum')")
    assert not [address for address in asked if not address.startswith(VOILAS_OWN)]
