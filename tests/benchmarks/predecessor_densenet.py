"""DenseNet-121 in NVIDIA's Triton Model Navigator 0.14, for `bench_densenet.py --predecessor`.

Run by an interpreter of its own (its requirements exclude ours), with the same candidates, batches
and precision. On a machine without CUDA its PyTorch runners call ``torch.cuda.synchronize`` all the
same and fail; that one call is replaced, nothing else. Prints one line of JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import torch
import torchvision

if not torch.cuda.is_available():
    torch.cuda.synchronize = lambda *_: None  # here, so that the interpreters it spawns get it too


def main(batches):
    import model_navigator as nav

    torch.manual_seed(0)
    model = torchvision.models.densenet121(weights=None).eval()
    images = [torch.randn(1, 3, 224, 224) for _ in range(4)]
    workspace = Path(tempfile.mkdtemp()) / "w"
    begun = time.perf_counter()
    package = nav.torch.optimize(
        model,
        images,
        target_formats=("torch", "torchscript", "torch-exportedprogram", "onnx"),
        target_device=nav.DeviceKind.CPU,
        runners=(
            "TorchCPU",
            "TorchCompileCPU",
            "TorchScriptCPU",
            "TorchExportedProgramCPU",
            "OnnxCPU",
        ),
        optimization_profile=nav.OptimizationProfile(batch_sizes=batches),
        custom_configs=[
            nav.TorchConfig(autocast=False),
            nav.TorchScriptConfig(autocast=False),
            nav.TorchExportConfig(autocast=False),
        ],
        workspace=workspace,
    )
    seconds = time.perf_counter() - begun
    points, statuses = 0, {}
    for key, model_status in package.status.models_status.items():
        for name, runner_status in model_status.runners_status.items():
            said = {str(k): getattr(v, "value", str(v)) for k, v in runner_status.status.items()}
            found = runner_status.result.get("Performance", {}).get("profiling_results", [])
            points += len(found)
            statuses[f"{key}@{name}"] = {**said, "points": len(found)}
    print(json.dumps({"seconds": seconds, "points": points, "runners": statuses}))


if __name__ == "__main__":  # it spawns an interpreter for most steps, which imports this file again
    main([int(b) for b in sys.argv[1].split(",")])
