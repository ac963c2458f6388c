"""DenseNet-121 the whole way on the CPU: the first run, the same again, another tolerance.

    python tests/benchmarks/bench_densenet.py [--baseline SECONDS]

Six candidates (eager, compile, TorchScript traced and scripted, torch.export, ONNX Runtime) at the
batches 1, 2, 4 and 8. ``--baseline`` is the wall time of another tool on the same machine and the
same candidates, for the ratio. Nothing here is a test; absolute times mean nothing elsewhere.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
import torchvision

import navigator_lab as nav

ASKED = {
    "formats": ["torch", "torchscript", "torchscript-script", "torch-export", "onnx"],
    "precisions": ["fp32"],
    "devices": ["cpu"],
    "batches": [1, 2, 4, 8],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--baseline", type=float, help="wall seconds of the other tool")
    baseline = parser.parse_args().baseline
    torch.manual_seed(0)
    model = torchvision.models.densenet121(weights=None).eval()
    images = torch.randn(4, 3, 224, 224)
    with tempfile.TemporaryDirectory() as workspace:
        begun = time.perf_counter()
        with nav.explore(model, images, name="densenet121", workspace=workspace) as lab:
            results = lab.run(**ASKED)
            first = time.perf_counter() - begun
            points = sum(len(row.batches) for row in results)
            print(f"first run  {first:.1f} s, {points} of 24 points with intervals")
            print(results)
        begun = time.perf_counter()
        with nav.explore(model, images, name="densenet121", workspace=workspace) as lab:
            again = lab.run(**ASKED)
            took = time.perf_counter() - begun
            ran = sum(row.steps_run for row in again)
            print(f"again      {took:.2f} s, {ran} steps ran  (1/{first / took:.0f} of the first)")
            begun = time.perf_counter()
            lab.run(tolerance=nav.Tolerance(relative=1e-3, absolute=1e-3))
            print(f"tolerance  {time.perf_counter() - begun:.3f} s")
    if baseline:
        print(f"ratio to the other tool: {first / baseline:.2f}")


if __name__ == "__main__":
    main()
