"""Does our load client cost anything beside a bare ``tritonclient``, and does it keep a server busy?

    python tests/benchmarks/bench_load.py [--pairs 7] [--seconds 2]

One model on a real server (a python callable of a few milliseconds, on Triton's Python backend).
Concurrency 1: a bare ``tritonclient.grpc`` loop and our closed loop, in turn (first one, then the
other, then swapped), each in a process of its own; the ratio of their median latencies, ours ÷ bare,
with its spread over the pairs, and bare ÷ bare, which is the noise of the machine. Concurrency 32:
what the server's statistics say of who waits for whom. Ends with 1 if ours adds more than 10 %, or
the server isn't what holds up 32 requests.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import navigator_lab as nav
from navigator_lab.session.loading import load_test

ALLOWED = 0.10
TARGET = "python:fp32@python-cpu"

BARE = """
import json, sys, time
import numpy as np
import tritonclient.grpc as grpc
address, seconds = sys.argv[1], float(sys.argv[2])
client = grpc.InferenceServerClient(address)
one = grpc.InferInput("x", [1, 64], "FP32")
one.set_data_from_numpy(np.load(sys.argv[3]))
took = []
began = time.perf_counter()
while (now := time.perf_counter()) - began < seconds + 0.5:
    client.infer("model", [one])
    if now - began >= 0.5:
        took.append(time.perf_counter() - now)
print(json.dumps([1e3 * t for t in took]))
"""


class Busy:
    """Some milliseconds of matrix products, batch or not."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.weight = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32) / 8

    def __call__(self, x):
        made = x
        for _ in range(self.layers):
            made = np.tanh(made @ self.weight)
        return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--layers", type=int, default=200)
    asked = parser.parse_args()
    x = np.random.default_rng(1).normal(size=(16, 64)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", x[:1])

        def bare() -> float:
            command = [sys.executable, "-c", BARE, served.server.grpc, str(asked.seconds),
                       str(Path(folder) / "x.npy")]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return statistics.median(json.loads(done.stdout))

        def ours() -> float:
            found = load_test(served, concurrency=1, seconds=asked.seconds, second_opinion=False)
            assert not found.points[0].errors
            return found.points[0].p50_ms.value

        with (
            nav.explore(Busy(asked.layers), x, name="model", workspace=Path(folder) / "w",
                        input_names=["x"], output_names=["y"]) as lab,
        ):  # fmt: skip
            lab.run(targets=[TARGET], seconds=0.1, max_batch=8)
            with lab.serve(TARGET, which="wheel", send=False) as served:
                ratios, noise, last = [], [], None
                for pair in range(asked.pairs):
                    if pair % 2:
                        mine, its = ours(), bare()
                    else:
                        its, mine = bare(), ours()
                    ratios.append(mine / its)
                    noise += [its / last] if last else []
                    last = its
                    print(f"bare {its:.3f} ms, ours {mine:.3f} ms, ratio {mine / its:.3f}",
                          flush=True)  # fmt: skip
                found = load_test(served, concurrency=32, seconds=3, second_opinion=False)
                print(found)
    middle = statistics.median(ratios)
    print(f"\nconcurrency 1, p50, ours ÷ bare tritonclient.grpc: median {middle:.3f}, "
          f"{min(ratios):.3f} to {max(ratios):.3f} over {len(ratios)} pairs")  # fmt: skip
    if noise:
        print(f"bare ÷ bare before it: {min(noise):.3f} to {max(noise):.3f}")
    (point,) = found.points
    stats = point.statistics
    inside = stats.total_ms / point.mean_ms
    waits = stats.queue_ms / stats.total_ms
    print(
        f"concurrency 32: the server's one instance computes {stats.busy:.0%} of the time, in "
        f"batches of {stats.batch:.2f}; {inside:.0%} of the latency is the server's own, and {waits:.0%} "
        f"of that is its queue; our sender uses {point.sender.busy:.0%} of a core in "
        f"{point.sender.processes} process"
    )
    bottleneck = stats.busy > 0.7 and not point.sender.limited
    return 0 if middle <= 1 + ALLOWED and bottleneck else 1


if __name__ == "__main__":
    sys.exit(main())
