"""What is pressed or typed stays there, whatever the kernel says meanwhile."""

from __future__ import annotations

import pytest
from browser_cells import DONE, SHOW

pytestmark = pytest.mark.filterwarnings(
    # pytest-base-url declares its fixture as a method; it says nothing about us.
    "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
)
FP16 = "toy:fp16@toy-cpu"
COUNT = """
window.sent = 0;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (this.url.includes("/channels")) window.sent += 1;
  return send.call(this, data);
};
"""


def test_nothing_is_replaced_under_the_pointer(notebook, page):
    page.add_init_script(COUNT)
    nb = notebook(SHOW, DONE)
    nb.run(0).run(1)
    nb.until("nl.querySelectorAll('tr[data-row]').length === 3 && nl.querySelector('.say')")
    row = page.locator(f'tr[data-row="{FP16}"]')
    row.scroll_into_view_if_needed()
    box = row.bounding_box()
    page.evaluate("row => { window.pressed = row; }", row.element_handle())
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2)
    page.mouse.down()
    nb.ask("setattr(lab, 'limits', {'p50_ms': 1e-7})")  # the rows and the choice are drawn anew …
    nb.until("nl.querySelector('.sec-choose .note.warn')")
    assert page.evaluate("pressed.isConnected")
    assert not page.locator(".sec-results .lim").count()
    page.mouse.up()
    nb.until(  # … and those that were pressed afterwards; the click is not lost
        f"nl.querySelector('tr[data-row=\"{FP16}\"]').getAttribute('aria-selected') === 'true'"
        " && nl.querySelector('.sec-results .lim') && !pressed.isConnected"
    )
    nb.ask("setattr(lab, 'limits', {})")
    nb.until("!nl.querySelector('.lim') && nl.querySelector('.say')")
    # a slider that is held, even at rest, judges here; the kernel hears of it on release
    page.locator("[data-k=tab-tolerance]").click()
    nb.until("nl.querySelector('.tell strong').textContent === '3 of 3 within tolerance'")
    nb.ask("dash.settle()")  # a redraw that is due would replace it before it is pressed
    page.wait_for_timeout(200)
    slider = page.locator("[data-k=tol-absolute]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.evaluate("slider => { window.pressed = slider; }", slider.element_handle())
    y = box["y"] + box["height"] / 2
    nb.idle()
    before = page.evaluate("sent")
    page.mouse.move(box["x"] + box["width"] - 6, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 22, y, steps=5)
    nb.until("nl.querySelector('.tell strong').textContent === '2 of 3 within tolerance'")
    page.wait_for_timeout(400)
    assert page.evaluate("sent") == before
    nb.ask("setattr(dash, 'objective', 'latency')")
    nb.until("nl.querySelector('[data-k=objective]').value === 'latency'")
    assert page.evaluate("pressed.isConnected")
    assert nb.ask("dash.tolerance") == "None"
    page.mouse.up()
    nb.until("!pressed.isConnected")
    nb.until(f"nl.querySelector('[data-target=\"{FP16}\"].c').classList.contains('s-tol')")
    nb.told("dash.tolerance['absolute'] > 0", "True")


FIELD = ".view [data-k=lim-p50_ms]"
HERE = f"document.activeElement === nl.querySelector('{FIELD}')"


def test_what_is_typed_is_never_replaced(notebook, page):
    nb = notebook(SHOW, DONE)
    nb.run(0).run(1)
    nb.until("nl.querySelectorAll('tr[data-row]').length === 3 && nl.querySelector('.say')")
    page.locator(".view [data-k=add-limit]").select_option("p50_ms")
    nb.until(f"{HERE} && document.activeElement.selectionEnd > 0")  # to be typed over
    page.evaluate("FIELD => { window.before = document.querySelector(FIELD); }", FIELD)
    # nothing was typed yet: it is drawn anew, and neither the focus nor what is selected moves,
    # though the other section has a field for the same limit
    nb.ask("setattr(dash, 'tolerance', {'relative': 0.5, 'absolute': 0.5})")
    nb.until(f"!before.isConnected && {HERE}")
    nb.ask("setattr(dash, 'objective', 'latency')")
    nb.until("nl.querySelector('[data-k=objective]').value === 'latency'")
    nb.until(f"{HERE} && document.activeElement.selectionEnd > 0")
    # from the first key on it stays, until what was typed is taken
    page.keyboard.type("0.0000001")
    page.evaluate("FIELD => { window.before = document.querySelector(FIELD); }", FIELD)
    nb.ask("setattr(dash, 'tolerance', None)")
    nb.ask("setattr(dash, 'objective', 'throughput')")
    nb.ask("dash.settle()")
    nb.until("nl.querySelector('[data-k=objective]').value === 'throughput'")
    assert page.evaluate("before.isConnected && before.value") == "0.0000001"
    page.keyboard.type(" ms")
    page.keyboard.press("Enter")
    nb.until(f"!before.isConnected && {HERE} && nl.querySelector('.sec-choose .note.warn')")
    nb.told("dash.limits", "{'p50_ms': 1e-07}")
    keys = page.evaluate("[...document.querySelectorAll('.nl [data-k]')].map(n => n.dataset.k)")
    assert not {k for k in keys if keys.count(k) > 1}  # by which the focus is found again
