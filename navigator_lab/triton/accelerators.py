"""What Triton's onnxruntime backend must be told so that the provider computes that was measured."""

from __future__ import annotations

from typing import Any

from ..types.target import Precision, Target

_MODES = {Precision.FP16: "FP16", Precision.INT8: "INT8", Precision.TF32: "FP32"}


def unsaid(target: Target) -> str:
    """Why a provider can't be asked for in a configuration as it was measured; "" if it can."""
    if target.runner == "ort-trt" and target.precision not in _MODES:
        return f"its TensorRT accelerator has no mode for {target.precision}"
    return ""


def accelerate(config: Any, target: Target, options: Any, notes: list[str]) -> None:
    """Write the accelerator of a target's runner."""
    accelerators = config.optimization.execution_accelerators
    if target.runner == "ort-trt":
        one = accelerators.gpu_execution_accelerator.add(name="tensorrt")
        one.parameters["precision_mode"] = _MODES[target.precision]
        one.parameters["trt_builder_optimization_level"] = str(getattr(options, "level", 3))
        if getattr(options, "workspace_mib", 0):
            one.parameters["max_workspace_size_bytes"] = str(options.workspace_mib << 20)
        notes.append(
            "TensorRT builds its engines when the model is loaded, which takes minutes: "
            "config={'optimization': …} with trt_engine_cache_enable and trt_engine_cache_path keeps "
            "them on the server's disk"
        )
    elif target.runner == "ort-ov":
        accelerators.cpu_execution_accelerator.add(name="openvino")
        notes.append(
            "measured with inference precision f32, which Triton's accelerator has no parameter for: "
            "a server whose CPU can compute in bf16 does so; serve it with backend='python' where "
            "that matters"
        )
    elif target.device.kind == "cuda":
        one = accelerators.gpu_execution_accelerator.add(name="cuda")
        one.parameters["use_tf32"] = "1" if target.precision == Precision.TF32 else "0"
