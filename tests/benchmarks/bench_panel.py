"""The dashboard in a real JupyterLab and a headless Chromium: how soon it is drawn, and answers.

    python tests/benchmarks/bench_panel.py [--fresh 5] [--again 3] [--clicks 30] [--drags 5]

It needs what the browser tests need, and starts JupyterLab as they do. Printed are the median and
the range of

1. a panel drawn from a cell, imports done and the kernel idle: a toy session that can run, and a
   loaded run of 60 targets; beside them plain ipywidgets, four buttons and the same 60 rows as HTML;
2. a click on a row, answered in the page and in the kernel while a job runs; beside it a plain
   ipywidgets button, answered by an idle kernel;
3. 60 targets x 8 batches x 20 outputs: each move of a limit that is dragged over the Pareto, and of
   a tolerance slider, with the messages that the page sent to the kernel meanwhile.

A time ends with the frame after the one that shows the change, so it is up to 17 ms too long at 60
frames a second. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import unwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

import conftest as browser
from browser_cells import OPEN, WAIT_MS
from playwright.sync_api import BrowserContext, sync_playwright

import navigator_lab as nav
from navigator_lab.engine.host import host
from navigator_lab.session.saving import save
from navigator_lab.types.codec import encode
from navigator_lab.types.measure import Accuracy, BatchTiming, Interval, OutputAccuracy, Timing
from navigator_lab.types.outcome import Done, Product
from navigator_lab.types.run import Run, Settled, TargetRun
from navigator_lab.types.signature import BATCH, Axis, Signature, TensorSpec
from navigator_lab.types.target import Target

PRESS_MS = 80  # how long a finger stays on the button
OUTPUTS, BATCHES = 20, (1, 2, 4, 8, 16, 32, 64, 128)
RUNNERS = ("torch:{}@eager", "torch:{}@compile", "torchscript:{}@jit", "torch-export:{}@export",
           "onnx:{}@ort", "openvino:{}@ov")  # fmt: skip
ERRORS = {"fp32": 1e-6, "fp16": 1e-3, "bf16": 8e-3, "int8": 3e-2, "fp8": 5e-2}  # |Δ| at |ref| 1
TARGETS = [f"{runner.format(precision)}-{device}"
           for runner in RUNNERS for precision in ERRORS for device in ("cpu", "cuda:0")]  # fmt: skip
TOY = ("toy:fp32@toy-cpu", "toy:fp16@toy-cpu", "python:fp32@python-cpu")

# In the page. `arm` is told what to wait for before a gesture; `got` is what came of it.
SCRIPT = """
(() => {
  const bench = (window.bench = { sent: 0 });
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (this.url.includes("/channels")) bench.sent += 1;
    return send.call(this, data);
  };
  const painted = () => new Promise((tell) => requestAnimationFrame(() => {
    const after = new MessageChannel();
    after.port1.onmessage = () => tell(performance.now());
    after.port2.postMessage(0);
  }));
  const seen = (test) => new Promise((tell) => {
    const look = () => { if (test()) { watch.disconnect(); painted().then(tell); return true; } return false; };
    const watch = new MutationObserver(look);
    if (!look()) watch.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  });
  const within = (ms, wait) => Promise.race([wait, new Promise((tell) => setTimeout(tell, ms, null))]);
  bench.draw = async (index, tests) => {
    const book = jupyterapp.shell.currentWidget;
    book.content.activeCellIndex = index;
    document.querySelectorAll(".nl, .plain").forEach((n) => n.classList.add("before"));
    const begun = performance.now();
    jupyterapp.commands.execute("notebook:run-cell");
    const ends = await within(60000, Promise.all(tests.map((test) => seen(new Function(`return ${test}`)))));
    return ends?.map((end) => end - begun) ?? null;
  };
  bench.arm = (kind, test, ms) => {
    const holds = new Function("was", `return ${test}`);
    const was = [document.querySelector("svg.pareto"), document.querySelector(".hm")?.textContent];
    bench.got = within(ms, new Promise((tell) => {
      window.addEventListener(kind, (event) => {
        const at = Date.now() - (performance.now() - event.timeStamp);
        seen(() => holds(was)).then((end) => tell({ ms: end - event.timeStamp, at }));
      }, { capture: true, once: true });
    }));
  };
})();
"""
PANEL = "[...document.querySelectorAll('.nl:not(.before)')].some(nl => nl.clientHeight > 100 && {})"
FRAME = PANEL.format("nl.querySelectorAll('section').length === 5")
COUNTED = PANEL.format("/^\\d+ targets? · \\d+ step/.test(nl.querySelector('.pv')?.textContent)")
ROWS = PANEL.format(f"nl.querySelectorAll('tr[data-row]').length === {len(TARGETS)}")
PLAIN = (
    "[...document.querySelectorAll('.plain:not(.before)')].some(box => box.clientHeight > 100"
    f" && box.querySelectorAll('button').length === 4 && box.querySelectorAll('tr').length > {len(TARGETS)})"
)

LIVE = OPEN + "lab = nav.explore(Affine(), X, name='affine')"
SHOW = "dash = Dashboard(lab)\ndash"
LOAD = (
    "import ipywidgets as w\nimport navigator_lab as nav\nfrom navigator_lab.ui.dashboard import Dashboard\n"
    "lab = nav.load({!r})\ntable = lab.results._repr_html_()"
)
BOX = (
    "box = w.VBox([w.HBox([w.Button(description=t) for t in ('Run', 'Cancel', 'Choose', 'Export')]), w.HTML(table)])\n"
    "box.add_class('plain')\nbox"
)
RUN = f"""
import time
dash.settings = {{"max_batch": 2, "seconds": 0.05}}
dash.wanted = {list(TOY)}
dash.run("profile").wait()
dash.settle()
heard = []
dash.observe(lambda change: heard.append((time.time() * 1000, change["new"])), names="selection")
"""
PRESSED = """
import time
import ipywidgets as w
pressed = []
said, button = w.Label("0"), w.Button(description="Press")
said.add_class("said")
button.add_class("press")
def press(_):
    pressed.append(time.time() * 1000)
    said.value = str(len(pressed))
button.on_click(press)
w.VBox([button, said])
"""


def many(path: Path) -> Path:
    """A saved run of 60 targets, each timed at 8 batches and compared in 20 outputs."""
    draw = random.Random(7)
    runs = []
    for text in TARGETS:
        target, base = Target.parse(text), draw.lognormvariate(0, 0.8)
        outputs = [_output(f"output_{i}", ERRORS[target.precision] * draw.lognormvariate(0, 1), draw)
                   for i in range(OUTPUTS)]  # fmt: skip
        timing = Timing(
            tuple(_timed(size, base * (0.5 + size ** draw.uniform(0.6, 0.9))) for size in BATCHES),
            load_ms=draw.uniform(5, 500), host_peak_bytes=draw.randrange(10**8, 10**9),
            device_peak_bytes=draw.randrange(10**8, 10**9),
        )  # fmt: skip
        steps = [
            Settled(stage, f"{stage} {text}", _done(f"{stage} {text}", value))
            for stage, value in (("convert", None), ("infer", None),
                                 ("correctness", Accuracy(tuple(outputs))), ("profile", timing))
        ]  # fmt: skip
        runs.append(TargetRun(target, None, tuple(steps)))
    shape = (BATCH, 1000)
    signature = Signature(
        (TensorSpec("x", "float32", (BATCH, 3, 224, 224)),),
        tuple(TensorSpec(f"output_{i}", "float32", shape) for i in range(OUTPUTS)),
        (Axis(BATCH, 1, 8, 128),),
    )
    run = Run("many", time.time(), nav.__version__, host(), "made by hand", signature, TARGETS[0],
              targets=tuple(runs))  # fmt: skip
    return save(run, path.parent, path.parent, path, None)


def _output(name: str, error: float, draw: random.Random) -> OutputAccuracy:
    sizes = [10 ** (-3 + i / 3) for i in range(12)]
    hull = tuple((size, error * size**0.5 * (1 + 1e-3 * i)) for i, size in enumerate(sizes))
    return OutputAccuracy(
        name, "float32", "float32", 64_000, draw.randrange(1000), hull=hull, reference_std=1.0,
        sqnr_db=90.0,
    )  # fmt: skip


def _timed(size: int, ms: float) -> BatchTiming:
    def about(value: float) -> Interval:
        return Interval(value, value * 0.98, value * 1.02)

    return BatchTiming(
        size, 200, 10, about(ms), ms * 1.1, ms * 1.2, about(ms * 1.4), ms, about(1000 * size / ms)
    )


def _done(label: str, value: object) -> Done:
    digest = hashlib.sha256(label.encode()).hexdigest()
    return Done(Product(digest, Path(digest), encode(value), {"model": 10_000_000}), 1.0)


class Folders:
    """What the tests' fixture of a server asks of pytest."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def mktemp(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir()
        return made


@contextmanager
def opened(context: BrowserContext, server: tuple[str, Path], *cells: str) -> Iterator[browser.Notebook]:  # fmt: skip
    """A notebook in a page and a kernel of its own, idle."""
    page = context.new_page()
    with contextmanager(unwrap(browser.notebook))(page, server, []) as make:
        book = make(*cells)
        book.run(0).idle()
        page.wait_for_timeout(500)
        yield book
    page.close()


def said(words: str, found: Sequence[float], asked: float | None = None) -> float:
    """A line of the report; the median."""
    if not found:
        print(f"  {words:<58} nothing came")
        return float("nan")
    middle = statistics.median(found)
    line = (
        f"  {words:<58} {middle:6.0f} ms ({min(found):.0f} to {max(found):.0f}, {len(found)} times)"
    )
    if asked is not None:
        late = sum(one > asked for one in found)
        line += f"; asked < {asked:.0f}: {'yes' if middle < asked else 'NO'}, {late} later"
    print(line, flush=True)
    return middle


def drawn(context: BrowserContext, server: tuple[str, Path], saved: Path, fresh: int, again: int) -> None:  # fmt: skip
    kinds = {
        "toy session": (LIVE, SHOW, [FRAME, COUNTED]),
        "60 targets": (LOAD.format(str(saved)), SHOW, [FRAME, ROWS]),
        "plain ipywidgets": (LOAD.format(str(saved)), BOX, [PLAIN]),
    }
    first: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    later: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    for _ in range(fresh):
        for kind, (imports, show, tests) in kinds.items():
            with opened(context, server, imports, show) as book:
                for turn in range(1 + again):
                    found = book.page.evaluate("([i, t]) => bench.draw(i, t)", [1, tests])
                    if found is None:
                        raise SystemExit(f"{kind}: not drawn within a minute")
                    (later if turn else first)[kind].append(found)
                    book.idle()
                    book.page.wait_for_timeout(700)
    print("\n1. a panel drawn from a cell")
    middles = {}
    for when, all_ in (("first in its page", first), ("the cell run again", later)):
        for kind in kinds:
            if kind != "plain ipywidgets":
                said(f"{kind}, {when}: the panel's frame", [one[0] for one in all_[kind]])
            middles[kind] = said(f"{kind}, {when}: with all in it", [one[-1] for one in all_[kind]], 1000)  # fmt: skip
        for kind in ("toy session", "60 targets"):
            print(
                f"    {kind} ÷ plain ipywidgets: {middles[kind] / middles['plain ipywidgets']:.1f}"
            )


def click(book: browser.Notebook, place: str, shown: str) -> dict[str, float] | None:
    """A press of a human's length; None where nothing came of it within two seconds."""
    book.page.evaluate("([t, ms]) => bench.arm('pointerup', t, ms)", [shown, 2000 + PRESS_MS])
    # In one go: a job's news draw the row anew at any time.
    x, y = book.page.evaluate(
        "place => { const spot = document.querySelector(place); spot.scrollIntoView({ block: 'nearest' });"
        " const box = spot.getBoundingClientRect();"
        " return [box.x + Math.min(box.width / 2, 60), box.y + box.height / 2]; }",
        place,
    )
    book.page.mouse.move(x, y)
    book.page.mouse.down()
    book.page.wait_for_timeout(PRESS_MS)
    book.page.mouse.up()
    found: dict[str, float] | None = book.page.evaluate("bench.got")
    return found


def clicked(context: BrowserContext, server: tuple[str, Path], clicks: int) -> None:
    pause = random.Random(7)  # so that clicks don't keep step with what is drawn
    with opened(context, server, LIVE, SHOW, RUN, PRESSED) as book:
        book.run(1).run(2).run(3).idle()
        book.until(
            "document.querySelector('.press') && nl.querySelectorAll('tr[data-row]').length === 3"
        )
        book.page.wait_for_timeout(2000)
        plain = []
        for n in range(1, clicks + 1):
            plain.append(click(book, ".press", f"document.querySelector('.said').textContent.trim() === '{n}'"))  # fmt: skip
            book.page.wait_for_timeout(100 + pause.random() * 400)
        handled = ast.literal_eval(book.ask("pressed"))
        print(f"\n2. a click, {PRESS_MS} ms long, from its release")
        there = said("plain button, idle kernel: its handler is called", _since(plain, [(t, None) for t in handled], [None] * clicks))  # fmt: skip
        both = said("plain button, idle kernel: its answer shows", [one["ms"] for one in plain if one])  # fmt: skip
        book.ask(
            "dash.settings.update(seconds=600, width=1e-9, max_calls=10**9) or dash.run('profile') and None"
        )
        book.until(
            "[...nl.querySelectorAll('.now strong')].some(x => x.textContent.startsWith('profile '))"
        )
        book.page.wait_for_timeout(2000)  # until what it says stands where it will stand
        wanted = [TOY[n % len(TOY)] for n in range(clicks)]
        ours = []
        for target in wanted:
            row = f'tr[data-row="{target}"]'
            ours.append(click(book, f".nl {row}", f"document.querySelector('.nl {row}')?.getAttribute('aria-selected') === 'true'"))  # fmt: skip
            book.page.wait_for_timeout(100 + pause.random() * 1400)
        running = book.ask("dash.running")
        heard = ast.literal_eval(book.ask("heard"))
        book.ask("dash.cancel()")
        known = _since(ours, [(t, new[0] if new else "") for t, new in heard], wanted)
        mine = said("a row, a job runs: the page shows it", [one["ms"] for one in ours if one], 150)
        told = said("a row, a job runs: the kernel's trait has it", known, 150)
        print(f"    the later of both ÷ the plain button's answer: {max(mine, told) / both:.1f};"
              f" the trait ÷ the plain handler: {told / there:.1f}")  # fmt: skip
        print(
            f"    {ours.count(None)} of {clicks} clicks were lost; the job still ran at the end: {running}"
        )


def _since(
    clicks: list[dict[str, float] | None], heard: list[tuple[float, object]], wanted: Sequence[object]
) -> list[float]:  # fmt: skip
    """From each click until the kernel heard of it; the clocks are read in whole milliseconds."""
    found = []
    for one, what in zip(clicks, wanted, strict=True):
        when = [at - one["at"] for at, new in heard if new == what and at > one["at"] - 2] if one else []  # fmt: skip
        found += when[:1]
    return found


def dragged(context: BrowserContext, server: tuple[str, Path], saved: Path, drags: int) -> None:
    with opened(context, server, LOAD.format(str(saved)), SHOW) as book:
        book.run(1)
        book.until(f"nl.querySelectorAll('tr[data-row]').length === {len(TARGETS)}")
        print(
            f"\n3. {len(TARGETS)} targets x {len(BATCHES)} batches x {OUTPUTS} outputs, each move of a drag"
        )
        book.page.locator("[data-k=tab-pareto]").click()
        points = len(TARGETS) * len(BATCHES)
        book.until(f"nl.querySelectorAll('.pt').length === {points}")
        moves, sent = [], 0
        for _ in range(drags):
            book.page.locator(".view svg.pareto").scroll_into_view_if_needed()
            knob = book.page.locator(".view [data-k=drag-p50_ms] .knob").bounding_box()
            made, told = drag(book, knob["x"] + knob["width"] / 2, knob["y"] + 4, -24,
                              "document.querySelector('svg.pareto') !== was[0]")  # fmt: skip
            moves, sent = moves + made, sent + told
            book.ask("setattr(dash, 'limits', {})")
            settled(book)
        said("the limit on p50 is dragged: Pareto drawn anew", moves, 200)
        print(f"    {sent} messages to the kernel while it was dragged")
        book.page.locator("[data-k=tab-tolerance]").click()
        book.until(
            f"nl.querySelectorAll('.hm tbody td button').length === {len(TARGETS) * OUTPUTS}"
        )
        moves, sent = [], 0
        for _ in range(drags):
            slider = book.page.locator("[data-k=tol-absolute]")
            slider.scroll_into_view_if_needed()
            box = slider.bounding_box()
            made, told = drag(book, box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2,
                              -box["width"] / 30, "document.querySelector('.hm').textContent !== was[1]")  # fmt: skip
            moves, sent = moves + made, sent + told
            book.ask("setattr(dash, 'tolerance', None)")
            settled(book)
        said("the tolerance slider is moved: heatmap judged anew", moves, 100)
        print(f"    {sent} messages to the kernel while it was dragged")


def settled(book: browser.Notebook) -> None:
    """All is drawn, in the kernel and in the page."""
    book.page.wait_for_timeout(300)
    book.ask("dash.settle()")
    book.page.wait_for_timeout(500)


def drag(book: browser.Notebook, x: float, y: float, step: float, shown: str, moves: int = 20) -> tuple[list[float], int]:  # fmt: skip
    """Moves, each as soon as the one before is drawn; and messages until the release."""
    book.page.mouse.move(x, y)
    sent = book.page.evaluate("bench.sent")
    book.page.mouse.down()
    found = []
    for n in range(1, moves + 1):
        book.page.evaluate("t => bench.arm('pointermove', t, 3000)", shown)
        book.page.mouse.move(x + n * step, y)
        if got := book.page.evaluate("bench.got"):
            found.append(got["ms"])
        else:
            print(f"    move {n} changed nothing within 3 s")
    sent = book.page.evaluate("bench.sent") - sent
    book.page.mouse.up()
    return found, sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fresh", type=int, default=5, help="pages in which each panel is drawn first")  # fmt: skip
    parser.add_argument("--again", type=int, default=3, help="times its cell is run again in each")
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--drags", type=int, default=5, help="of 20 moves each")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        sync_playwright() as play,
    ):
        saved = many(Path(folder) / "many.nav")
        launched = play.chromium.launch(**unwrap(browser.browser_type_launch_args)({}))
        context = launched.new_context(viewport={"width": 1440, "height": 1000})
        context.set_default_timeout(WAIT_MS)
        context.add_init_script(SCRIPT)
        print(
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; Chromium {launched.version}"
        )
        with contextmanager(unwrap(browser.jupyter))(Folders(folder)) as server:
            drawn(context, server, saved, asked.fresh, asked.again)
            clicked(context, server, asked.clicks)
            dragged(context, server, saved, asked.drags)
        launched.close()


if __name__ == "__main__":
    main()
