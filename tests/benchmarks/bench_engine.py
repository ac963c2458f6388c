"""What the engine itself costs: settling cached steps, a step in a warm worker, import, preview.

    python tests/benchmarks/bench_engine.py

Prints ratios and, for orientation, seconds on this machine. Nothing here is a test.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from navigator_lab.catalog import Catalog
from navigator_lab.engine.engine import Engine
from navigator_lab.engine.floor import Limits
from navigator_lab.engine.host import host, version_in
from navigator_lab.engine.keys import key
from navigator_lab.engine.store import Store
from navigator_lab.types.outcome import Done
from navigator_lab.types.step import Step

PLUGIN = """
from navigator_lab.types.plugin import action

@action("bench: nothing", needs=("numpy",))
def nothing(at, **inputs):
    return {"n": str(at.options)}
"""


def engine_in(folder: Path) -> Engine:
    plugin = folder / "bench_plugin.py"
    plugin.write_text(PLUGIN)
    store = Store(folder / "workspace")
    return Engine(Catalog.installed([str(plugin)]), store, host(), version_in, limits=Limits())


def graph(count: int) -> list[Step]:
    """``count`` steps in chains of ten, like targets that share their first builds."""
    steps: list[Step] = []
    before: Step | None = None
    for i in range(count):
        inputs = () if before is None or i % 10 == 0 else (("model", before),)
        before = Step("bench: nothing", options=i, inputs=inputs, label=f"step {i}")
        steps.append(before)
    return steps


def fill(engine: Engine, steps: list[Step]) -> None:
    """As if every step had run once."""
    made = {}
    for step in steps:
        inputs = {name: made[needed] for name, needed in step.inputs}
        facts = engine.around.facts(step, inputs)
        product = engine.store.keep(engine.store.scratch(), {"n": str(step.options)})
        engine.store.remember(key(facts), str(step), facts, product, 0.01)
        made[step] = product


def settling() -> None:
    took = {}
    for count in (2500, 5000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            engine = engine_in(Path(folder))
            steps = graph(count)
            fill(engine, steps)
            rounds = []
            for _ in range(3):
                begun = time.perf_counter()
                outcomes = engine.run(steps)
                rounds.append(time.perf_counter() - begun)
                assert all(isinstance(o, Done) and o.cached for o in outcomes.values())
            took[count] = statistics.median(rounds)
            begun = time.perf_counter()
            engine.preview(steps)
            preview = time.perf_counter() - begun
            engine.close()
            engine.store.close()
            print(
                f"settling {count:>6} cached steps  {took[count]:.2f} s   preview {preview:.2f} s"
            )
    print(f"doubling the steps: × {took[5000] / took[2500]:.2f}, × {took[10_000] / took[5000]:.2f}")


def overhead() -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_in(Path(folder))
        engine.limits = Limits(slots=1)
        engine.run([Step("bench: nothing", options="warm", label="warm")])
        rounds = []
        for round in range(5):
            steps = [
                Step("bench: nothing", options=f"{round}/{i}", label=f"{round} {i}")
                for i in range(40)
            ]
            begun = time.perf_counter()
            engine.run(steps)
            rounds.append((time.perf_counter() - begun) / len(steps) * 1e3)
        engine.close()
        engine.store.close()
    low, high = min(rounds), max(rounds)
    print(f"a step in a warm worker  {statistics.median(rounds):.1f} ms ({low:.1f} to {high:.1f})")


def importing() -> None:
    def of(code: str) -> float:
        rounds = []
        for _ in range(7):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            rounds.append(time.perf_counter() - begun)
        return statistics.median(rounds)

    bare, ours = of("pass"), of("import navigator_lab")
    print(f"import navigator_lab  {1e3 * (ours - bare):.0f} ms over a bare interpreter")


if __name__ == "__main__":
    importing()
    overhead()
    settling()
