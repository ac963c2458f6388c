"""The configuration is edited in the panel: its text at once, errors at the field, exported so."""

from __future__ import annotations

import pytest
from browser_cells import DONE, SHOW

pytestmark = pytest.mark.filterwarnings(
    # pytest-base-url declares its fixture as a method; it says nothing about us.
    "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
)


def test_the_configuration_is_edited_and_exported(notebook, page):
    nb = notebook(SHOW, DONE)
    nb.run(0).run(1)
    nb.until("nl.querySelectorAll('tr[data-row]').length === 3 && nl.querySelector('.say')")
    page.locator("[data-k=preview]").click()
    nb.until("nl.querySelector('.cfg .pb')?.textContent.includes('max_batch_size: 2')")
    assert "largest batch that was measured" in page.locator(".cfg .form").inner_text()
    # what is typed shows while it is typed
    batch = page.locator("[data-k=cfg-max_batch_size]")
    batch.click()
    page.keyboard.type("16")
    nb.until("nl.querySelector('.cfg .pb').textContent.includes('max_batch_size: 16')")
    assert page.evaluate("document.activeElement.dataset.k") == "cfg-max_batch_size"
    lines = page.locator("[data-k=cfg-lines]")
    lines.fill("response_cache { enable: yes }")
    nb.until("nl.querySelector('.cfg .wrong:not(:empty)')?.textContent.includes('enable')")
    nb.until("nl.querySelector('[data-k=export]').getAttribute('aria-disabled') === 'true'")
    lines.fill("response_cache { enable: true }")
    nb.until(
        "!nl.querySelector('.cfg .wrong:not(:empty)') && nl.querySelector('.cfg .pb').textContent.includes('response_cache')"
    )
    nb.until("!nl.querySelector('[data-k=export]').hasAttribute('aria-disabled')")
    text = page.locator(".cfg .pb").text_content()
    page.locator("[data-k=export]").click()
    nb.until("nl.querySelector('.sec-choose .note.info .wrap')?.textContent.startsWith('Exported')")
    file = (nb.root / nb.name).with_name("model_repository") / "affine/config.pbtxt"
    assert file.read_text() == text
    page.locator("[data-k=code-choose]").click()
    nb.until("nl.querySelector('.sec-choose .code pre')")
    assert "config={'max_batch_size': 16" in page.evaluate("navigator.clipboard.readText()")
    page.locator("[data-k=cfg-defaults]").click()
    nb.until("nl.querySelector('.cfg .pb').textContent.includes('max_batch_size: 2\\n')")
    nb.told("dash.configuration", "{}")
