"""DenseNet-121 the whole way on the CPU: the first run, the same again, another tolerance.

    python tests/benchmarks/bench_densenet.py [--predecessor PYTHON]

Six candidates (eager, compile, TorchScript traced and scripted, torch.export, ONNX Runtime) at the
batches 1, 2, 4 and 8, with no compiled code from earlier. ``--predecessor`` is an interpreter with
``triton-model-navigator`` 0.14 and the same torch; it does the same after us, for the ratio
(``pip install --no-deps triton-model-navigator==0.14.0`` and by hand what that imports: TensorRT,
which it requires, can't be had everywhere and isn't used here). Nothing here is a test; absolute
times mean nothing elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

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
    parser.add_argument("--predecessor", metavar="PYTHON", help="an interpreter that has it")
    predecessor = parser.parse_args().predecessor
    torch.manual_seed(0)
    model = torchvision.models.densenet121(weights=None).eval()
    images = torch.randn(4, 3, 224, 224)
    with tempfile.TemporaryDirectory() as workspace, tempfile.TemporaryDirectory() as cold:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cold
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
    if predecessor:
        theirs = Path(__file__).with_name("predecessor_densenet.py")
        asked = [predecessor, str(theirs), ",".join(map(str, ASKED["batches"]))]
        said = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = json.loads(said.splitlines()[-1])
        print(f"theirs     {found['seconds']:.1f} s, {found['points']} of 24 points")
        print(f"ratio      {first / found['seconds']:.2f}")


if __name__ == "__main__":
    main()
