"""The dashboard as a user meets it: JupyterLab, a browser, real runs of the toy plug-in."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from browser_cells import DONE, OPEN, SHOW

pytestmark = pytest.mark.filterwarnings(
    # pytest-base-url declares its fixture as a method; it says nothing about us.
    "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
)
AXE = files("axe_playwright_python") / "axe.min.js"
FP16 = "toy:fp16@toy-cpu"
FP32 = "toy:fp32@toy-cpu"
BASE = "python:fp32@python-cpu"
SETTLED = "nl.querySelectorAll('tr[data-row]').length === 3 && nl.querySelector('.say') && !nl.querySelector('[data-k=cancel]')"


def cell(page, target):
    return page.locator(f'[data-target="{target}"].c')


def steps_line(page):
    return page.locator(".nl .pv").inner_text()


ON_TOP = """target => {
    const points = [...document.querySelectorAll(`.pt[data-target="${target}"]`)]
    return points.findIndex(point => {
        const {x, y, width, height} = point.getBoundingClientRect()
        return point.contains(document.elementFromPoint(x + width / 2, y + height / 2))
    })
}"""


def click_a_point(page, target):
    """One of a target's points in the Pareto plot. What was measured says where they lie, and one
    that lies under others can't be clicked."""
    points = page.locator(f'.pt[data-target="{target}"]')
    points.first.scroll_into_view_if_needed()
    points.nth(page.evaluate(ON_TOP, target)).click(force=True)


def test_the_whole_way(notebook, page):
    """Toggle, run a stage, watch it, select a point, drag the tolerance, choose, export, copy."""
    nb = notebook(
        SHOW, "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.05)"
    )
    nb.run(0)
    nb.until("nl.querySelector('.pv')?.textContent.startsWith('3 targets · 12 steps to run')")
    # toggle: the line is counted in the browser, the trait follows
    cell(page, FP16).click()
    nb.until("nl.querySelector('.pv').textContent.startsWith('2 targets')")
    nb.until(
        f"nl.querySelector('[data-target=\"{FP16}\"].c').getAttribute('aria-pressed') === 'false'"
    )
    cell(page, FP16).click()
    nb.until("nl.querySelector('.pv').textContent.startsWith('3 targets')")
    # one stage, then the rest
    page.locator("[data-k=stage-correctness]").click()
    nb.until("nl.querySelector('[data-stage=correctness] .n').textContent === '7 ran'")
    assert nb.ask(f"'profile' in lab['{FP16}'].outcomes") == "False"
    nb.until("nl.querySelector('.pv').textContent.startsWith('3 targets · 3 steps to run')")
    page.locator("[data-k=run]").click()
    nb.until("nl.querySelector('.head .s-running')")  # it is watched
    nb.until(SETTLED)
    nb.until("nl.querySelector('.head .s-done')")
    # a point selects everywhere
    page.locator("[data-k=tab-pareto]").click()
    nb.until("nl.querySelectorAll('.pt').length === 6")
    click_a_point(page, FP16)
    nb.until(f"nl.querySelector('.insp .mono').textContent === '{FP16}'")
    page.locator("[data-k=tab-table]").click()
    nb.until(
        f"nl.querySelector('tr[data-row=\"{FP16}\"]').getAttribute('aria-selected') === 'true'"
    )
    nb.told("dash.selection", f"['{FP16}']")
    # a limit that is typed takes points off the front
    page.locator("[data-k=tab-pareto]").click()
    page.locator(".view [data-k=add-limit]").select_option("p50_ms")
    page.locator(".view [data-k=lim-p50_ms]").fill("0.0000001 ms")
    page.locator(".view [data-k=lim-p50_ms]").press("Enter")
    nb.until("!nl.querySelector('.front') && nl.querySelector('.sec-choose .note.warn')")
    nb.told("dash.limits", "{'p50_ms': 1e-07}")
    page.locator(".view [data-k=unlim-p50_ms]").click()
    nb.until("nl.querySelector('.front') && nl.querySelector('.say')")
    # one that is dragged does so on the way, and the kernel is told where it came to rest
    grip = page.locator(".view [data-k=drag-p50_ms]")
    grip.scroll_into_view_if_needed()
    knob = grip.locator(".knob").bounding_box()
    plot = page.locator("svg.pareto").bounding_box()
    x, y = knob["x"] + knob["width"] / 2, knob["y"] + 4
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - plot["width"] / 3, y, steps=4)
    nb.until("nl.querySelector('.lim input') && nl.querySelectorAll('.pt[opacity=\"0.4\"]').length")
    assert nb.ask("dash.limits") == "{}"
    page.mouse.move(plot["x"] + 2, y, steps=4)
    nb.until("!nl.querySelector('.front')")
    page.mouse.up()
    nb.until("nl.querySelector('.sec-choose .note.warn')")
    nb.told("list(lab.limits) == list(dash.limits) == ['p50_ms']", "True")
    page.locator("[data-k=tab-parallel]").click()
    nb.until(
        "nl.querySelectorAll('.pcl').length === 3 && nl.querySelector('.pcl[opacity=\"0.2\"]')"
    )
    page.locator(".view [data-k=drag-p50_ms]").focus()
    page.keyboard.press("Delete")
    nb.until("!nl.querySelector('.lim input') && !nl.querySelector('.pcl[opacity=\"0.2\"]')")
    page.locator(".view [data-k=drag-min_throughput]").focus()
    page.keyboard.press("ArrowUp")
    nb.until("nl.querySelector('.lim input')")
    nb.told("list(lab.limits)", "['min_throughput']")
    nb.ask("setattr(lab, 'limits', {})")
    nb.until("!nl.querySelector('.lim input')")
    # a goal takes the best of what was measured
    page.locator("[data-k=preset-latency]").click()
    nb.until("nl.querySelector('[data-k=preset-latency]').getAttribute('aria-pressed') === 'true'")
    nb.told("dash.objective", "'latency'")
    nb.ask("setattr(dash, 'objective', 'throughput')")
    page.locator("[data-k=preset-all]").click()
    # the log of the step under the cursor
    page.locator(".tlb[data-step='profile toy:fp16@toy-cpu']").hover()
    nb.until("nl.querySelector('[data-k=log]').value === 'profile toy:fp16@toy-cpu'")
    # the tolerance is judged without the kernel: it is busy with a cell meanwhile
    page.locator("[data-k=tab-tolerance]").click()
    nb.until("nl.querySelector('.tell strong').textContent === '3 of 3 within tolerance'")
    nb.run(1, wait=False)
    page.wait_for_function(
        "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'"
    )
    page.locator("[data-k=tol-absolute]").scroll_into_view_if_needed()
    box = page.locator("[data-k=tol-absolute]").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 6, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, y, steps=5)
    page.mouse.move(box["x"] + 22, y, steps=8)
    nb.until("nl.querySelector('.tell strong').textContent === '2 of 3 within tolerance'")
    page.mouse.up()
    assert page.locator(".hm .bad").count() == 1
    (nb.root / nb.name).with_name("go").touch()
    nb.idle()
    nb.until(f"nl.querySelector('[data-target=\"{FP16}\"].c').classList.contains('s-tol')")
    nb.told("lab.results['toy:fp16@toy-cpu'].passed", "False")
    page.locator(".hm .bad").click()
    nb.until("nl.querySelector('.closer')")
    page.locator("[data-k=tol-default]").click()
    nb.until(f"!nl.querySelector('[data-target=\"{FP16}\"].c').classList.contains('s-tol')")
    # choose, export, copy
    nb.ask(f"setattr(dash, 'selection', ['{BASE}'])")
    nb.until(f"nl.querySelector('.insp .mono').textContent === '{BASE}'")
    page.locator("[data-k=choose-row]").click()
    nb.until("nl.querySelector('[data-k=unchoose]')")
    nb.told("dash.chosen", f"'{BASE}'")
    assert page.locator(".sec-choose .code button").count() == 1
    page.locator("[data-k=unchoose]").click()
    nb.until("!nl.querySelector('[data-k=unchoose]')")
    page.locator("[data-k=export]").click()
    nb.until("nl.querySelector('.sec-choose .note.info .wrap')?.textContent.startsWith('Exported')")
    assert (
        (nb.root / nb.name).with_name("model_repository").joinpath("affine/config.pbtxt").is_file()
    )
    assert 'name: "affine"' in page.locator(".pb").inner_text()
    page.locator("[data-k=code-choose]").click()
    nb.until("nl.querySelector('.sec-choose .code pre')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "best = lab.choose('throughput')\nbest.package('model_repository')"
    # and a reader who doesn't see it can use all of it
    page.add_script_tag(path=AXE)
    for tab in ("table", "pareto", "tolerance", "parallel", "compare"):
        page.locator(f"[data-k=tab-{tab}]").click()
        nb.until(f"nl.querySelector('[data-k=tab-{tab}]').getAttribute('aria-selected') === 'true'")
        found = page.evaluate(
            "async () => (await axe.run(document.querySelector('.nl'))).violations"
            ".filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => [v.id, v.nodes[0].html, v.nodes[0].failureSummary])"
        )
        assert not found, tab


def test_a_cell_run_again_closes_what_it_showed(notebook, page):
    nb = notebook(SHOW + "\nseen = globals().get('seen', []) + [dash]\ndash")
    nb.run(0).run(0)
    nb.until("document.querySelectorAll('.nl').length === 1 && nl.querySelector('.pv')")
    nb.told("[one.comm is None for one in seen]", "[True, False]")
    nb.told("len([1 for one in seen if one._pump._thread.is_alive()])", "1")


ATTACH = """
%load_ext navigator_lab
import pathlib
id = next(pathlib.Path("navigator_workspace/runs").iterdir()).name
pathlib.Path("seen").write_text(id)
%navigator attach {id} -o lab
%navigator
"""


def test_reload_kernel_gone_and_snapshot(notebook, page):
    """A reload shows everything again; a lost kernel is said; afterwards the file's copy shows."""
    nb = notebook(SHOW, DONE, ATTACH)
    nb.run(0).run(1)
    nb.until(SETTLED)
    assert page.locator(".nav-static:visible").count() == 0
    nb.command("docmanager:save")
    page.reload()
    nb.idle()
    nb.until(SETTLED)
    assert page.locator(".nav-static:visible").count() == 0
    cell(page, FP16).click()  # and it is alive
    nb.until("nl.querySelector('.pv').textContent.startsWith('2 targets')")
    # a second tab on the same kernel: what is done in one is seen in the other
    tab = nb.again()
    tab.until(SETTLED)
    tab.until("nl.querySelector('.pv').textContent.startsWith('2 targets')")
    cell(tab.page, FP16).click()
    nb.until("nl.querySelector('.pv').textContent.startsWith('3 targets')")
    nb.ask("dash.run('correctness') and None")
    for one in (nb, tab):
        one.until("nl.querySelector('[data-stage=correctness] .n').textContent === '7 cached'")
    tab.page.close()
    nb.restart()
    nb.until("nl.querySelector('.banner')?.textContent.startsWith('The kernel is gone')")
    page.locator("[data-k=sort-target]").click()  # reading still works
    nb.until("nl.querySelector('th[aria-sort=ascending] [data-k=sort-target]')")
    assert page.locator("[data-k=run]").get_attribute("aria-disabled") == "true"
    nb.command("docmanager:save")
    page.reload()
    page.locator(".nav-static").wait_for()
    text = page.locator(".nav-static").inner_text()
    assert FP16 in text
    assert "out of tolerance" not in text
    # and the new kernel shows the run again, by the id that the file's copy names
    assert "%navigator attach " in text
    nb.idle()
    nb.run(2)
    nb.until("nl.querySelector('.head .s-done') && nl.querySelector('.say')")
    nb.until("nl.querySelectorAll('tr[data-row]').length === 3")
    assert page.locator("[data-k=run]").count() == 0
    nb.told("lab.id in pathlib.Path('seen').read_text()", "True")


def test_cancel(notebook, page):
    nb = notebook(SHOW)
    nb.run(0)
    nb.until("nl.querySelector('.pv')?.textContent.startsWith('3 targets · 12')")
    page.locator("[data-k=set-seconds]").fill("300")
    page.locator("[data-k=set-max_batch]").click()  # leaves the field
    nb.until("nl.querySelector('[data-k=set-seconds]').value === '300'")
    nb.told("float(dash.settings['seconds'])", "300.0")
    nb.ask("dash.settings.__setitem__('max_batch', 2)")
    page.locator("[data-k=stage-profile]").click()
    nb.until(
        "[...nl.querySelectorAll('.now strong')].some(x => x.textContent.startsWith('profile '))"
    )
    page.locator("[data-k=cancel]").click()
    nb.until("!nl.querySelector('[data-k=cancel]') && nl.querySelector('.head .s-cancelled')")
    nb.told("lab.job.done", "True")
    nb.until("nl.querySelector('.now').textContent.includes('finished steps are kept')")


def test_pick_keyboard_and_dark(notebook, page):
    """Open a model from the panel; reach a reason by keys alone; both themes."""
    nb = notebook(OPEN + "affine = Affine()\ndash = Dashboard()\ndash")
    nb.run(0)
    nb.until("nl.querySelector('[data-k=model]')?.options.length >= 3")
    assert "No model yet" not in page.locator(".sec-targets .bd").text_content()
    page.locator("[data-k=model]").select_option("var:affine")
    page.locator("[data-k=samples]").select_option("var:X")
    nb.until("nl.querySelector('[data-k=samples]').value === 'var:X'")
    page.locator("[data-k=open]").click()
    nb.until(
        "nl.querySelector('.sig') && nl.querySelector('.pv')?.textContent.includes('steps to run')"
    )
    nb.told("lab is dash.session", "True")
    # keys: from a cell to its neighbours, Space toggles, the rail tells the reason
    page.locator("[data-k=barred]").click()
    nb.until("nl.querySelectorAll('.mx tbody tr').length > 4")
    cell(page, FP32).focus()
    page.keyboard.press("ArrowRight")
    focus = "document.activeElement.dataset.target"
    assert page.evaluate(focus) == FP16
    pressed = cell(page, FP16).get_attribute("aria-pressed")
    page.keyboard.press("Space")
    nb.until(
        f"nl.querySelector('[data-target=\"{FP16}\"].c').getAttribute('aria-pressed') !== '{pressed}'"
    )
    assert page.evaluate(focus) == FP16  # focus survived the redraw
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focus) not in (FP16, FP32)
    assert re.search("no edge leads|no CUDA device", page.locator(".det").inner_text())
    page.keyboard.press("Space")  # what is not available can't be selected
    assert page.evaluate("document.activeElement.getAttribute('aria-disabled')") == "true"
    # themes
    ground = "getComputedStyle(document.querySelector('.nl')).backgroundColor"
    light = page.evaluate(ground)
    nb.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    nb.until("nl.dataset.dark === 'true'")
    page.wait_for_function(f"{ground} !== '{light}'")
    kept = nb.root.parent / "settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    page.wait_for_function(
        "async () => (await (await fetch('/lab/api/settings/@jupyterlab/apputils-extension:themes'))"
        ".json()).settings.theme === 'JupyterLab Dark'"
    )
    kept.unlink()  # the next test's page is light again


def test_notebook_7(notebook, page):
    """The same panel in the other front end, in a narrower page."""
    nb = notebook(SHOW, DONE, front="notebook")
    nb.run(0).run(1)
    nb.until(SETTLED)
    page.locator("[data-k=tab-pareto]").click()
    nb.until("nl.querySelectorAll('.pt').length === 6")
    click_a_point(page, FP16)
    nb.until(f"nl.querySelector('.insp .mono').textContent === '{FP16}'")
    nb.told("dash.selection", f"['{FP16}']")
    assert page.locator(".nav-static:visible").count() == 0


HOSTILE = (
    OPEN
    + """
NAME = '<img src=x onerror="window.hacked=1">'
class Odd(Affine):
    def __call__(self, x):
        return {NAME: x @ self.weight, "</td><script>window.hacked=1</script>": x[:, :1]}
globals()["<b>odd</b>"] = odd = Odd()
lab = nav.explore(odd, X, name="odd")
dash = Dashboard(lab)
dash.settings = {"max_batch": 2, "seconds": 0.05}
dash.wanted = ["python:fp32@python-cpu", "toy:fp16@toy-cpu"]
dash.tab = "tolerance"
dash
"""
)


def test_names_are_never_markup(notebook, page):
    nb = notebook(HOSTILE, DONE)
    nb.run(0).run(1)
    nb.until(
        "nl.querySelectorAll('.hm tbody td button').length >= 2 && nl.querySelector('.hm').textContent.includes('<img src=x')"
    )
    page.locator(".hm tbody td button").first.click()
    nb.until("nl.querySelector('.closer')?.textContent.includes('<img src=x')")
    page.locator("[data-k=fold-pick]").click()
    nb.until("nl.querySelector('.sig')?.textContent.includes('<img src=x')")
    page.locator("[data-k=tab-table]").click()
    page.locator('tr[data-row="toy:fp16@toy-cpu"]').click()
    nb.until("nl.querySelector('.insp .mono').textContent === 'toy:fp16@toy-cpu'")
    nb.told("dash.static_html().count('<img')", "0")
    assert page.locator(".nl img, .nl script, .nav-static img, .nav-static script").count() == 0
    assert page.evaluate("window.hacked === undefined")
