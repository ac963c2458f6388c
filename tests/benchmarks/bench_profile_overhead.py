"""Is what `profile` reports for a 1 ms model what a bare loop around the same runtime takes?

    python tests/benchmarks/bench_profile_overhead.py [--pairs 15] [--seconds 1]

Both in one process, in turn (first one, then the other, then swapped), on the same opened model and
the same feeds. Prints the ratio of the medians, ours ÷ bare, with its spread over the pairs; beside
it bare ÷ bare, which is the noise of the machine. Ends with 1 if the median ratio is off by more
than 3 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from navigator_lab.stages.profile import profile
from navigator_lab.types import samples as of_samples
from navigator_lab.types.codec import encode
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, runner
from navigator_lab.types.request import Load
from navigator_lab.types.signature import Axis, Signature, TensorSpec
from navigator_lab.types.target import Target

WANTED_MS = 1.0
ALLOWED = 0.03
Arrays = dict[str, np.ndarray]
Call = Callable[[Arrays], Arrays]


def with_numpy(layers: int) -> Call:
    weights = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32) / 16

    def call(feeds: Arrays) -> Arrays:
        x = feeds["x"]
        for _ in range(layers):
            x = np.tanh(x @ weights)
        return {"y": x}

    return call


def with_onnxruntime(layers: int) -> Call:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32) / 16
    nodes = []
    for i in range(layers):
        last = "y" if i == layers - 1 else f"t{i}"
        nodes.append(helper.make_node("MatMul", ["x" if not i else f"t{i - 1}", "w"], [f"m{i}"]))
        nodes.append(helper.make_node("Tanh", [f"m{i}"], [last]))
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 256])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 256])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # what is measured is the loop, not the machine's cores
    session = onnxruntime.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    return lambda feeds: {"y": session.run(["y"], feeds)[0]}


def of_wanted_size(make: Callable[[int], Call], feeds: Arrays) -> tuple[Call, int]:
    """A model of as many layers as take about 1 ms."""
    layers = 4
    while True:
        call = make(layers)
        for _ in range(5):
            call(feeds)
        took = bare(call, [feeds], 0.05)
        if 0.7 * WANTED_MS < took < 1.4 * WANTED_MS or layers > 5000:
            return call, layers
        layers = (
            max(layers + 1, int(layers * WANTED_MS / took)) if took < WANTED_MS else layers // 2
        )


def bare(call: Call, feeds: list[Arrays], seconds: float) -> float:
    """The median of a plain loop, in ms."""
    took = []
    end = time.perf_counter() + seconds
    i = 0
    while time.perf_counter() < end:
        one = feeds[i % len(feeds)]
        i += 1
        started = time.perf_counter_ns()
        call(one)
        took.append(time.perf_counter_ns() - started)
    return statistics.median(took) / 1e6


def ours(call: Call, samples: Product, seconds: float, root: Path) -> float:
    """The median that `profile` reports, in ms."""

    @runner("bench", "bench")
    @contextmanager
    def opened(model: Product, opening: Any) -> Iterator[Call]:
        yield call

    out = Path(tempfile.mkdtemp(dir=root))
    # No width is narrow enough, so that both loops take the same time.
    load = Load(batches=(1,), seconds=seconds, width=1e-9, max_calls=10**9)
    at = At(out, Target.parse("bench:fp32@bench-cpu"), load, {}, {"bench": opened})
    timing = profile.fn(at, model=samples, samples=samples)
    return float(timing.batches[0].p50_ms.value)


def ratios(call: Call, samples: Product, feeds: list[Arrays], args: Any, root: Path) -> Any:
    both, same = [], []
    for i in range(args.pairs):
        order = ["ours", "bare", "again"]
        took = {}
        for who in order if i % 2 else reversed(order):
            took[who] = (
                ours(call, samples, args.seconds, root)
                if who == "ours"
                else bare(call, feeds, args.seconds)
            )
        both.append(took["ours"] / took["bare"])
        same.append(took["again"] / took["bare"])
    return both, same, took["bare"]


def spread(values: list[float]) -> str:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return f"{middle:.4f} (10 % to 90 %: {low:.4f} to {high:.4f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    draw = np.random.default_rng(1)
    given = [{"x": draw.normal(size=(1, 256)).astype(np.float32)} for _ in range(4)]
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 256)),),
        (TensorSpec("y", "float32", ("batch", 256)),),
        (Axis("batch", 1, 1, 8),),
    )
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        of_samples.write(root, given)
        samples = Product("samples", root, encode(signature))
        for name, make in (("numpy", with_numpy), ("onnxruntime", with_onnxruntime)):
            call, layers = of_wanted_size(make, given[0])
            both, same, took = ratios(call, samples, given, args, root)
            print(f"{name}, {layers} layers, {took:.3f} ms a call, {args.pairs} pairs")
            print(f"  ours ÷ bare: {spread(both)}")
            print(f"  bare ÷ bare: {spread(same)}")
            worst = max(worst, abs(statistics.median(both) - 1))
    print(f"worst median ratio is off by {worst:.2%}; {ALLOWED:.0%} is allowed")
    return int(worst > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
