"""ONNX Runtime's TensorRT and OpenVINO providers: each takes what it can of a graph, and another
takes the rest.

The precision is the graph's. What a provider decides by itself otherwise is set here, or its target
is refused.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.formats.onnx import FORMAT
from navigator_lab.formats.onnx.reasons import explain
from navigator_lab.types.cache import cache_folder
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Device, Opening, Precision, option, runner

from .onnxruntime import OnCpu, OnCuda, OrtOptions, asked_of, output_names, start

if TYPE_CHECKING:
    from navigator_lab.types.signature import Signature

TENSORRT, OPENVINO = "ort-trt", "ort-ov"
ENVIRONMENT = "ort-openvino"


@dataclass(frozen=True, slots=True)
class TensorrtOptions:
    """How ONNX Runtime gives a graph to TensorRT."""

    level: int = option(3, "how long it searches for kernels", choices=(0, 1, 2, 3, 4, 5))
    workspace_mib: int = option(
        0, "memory that kernels may try and use; 0: all that the device has", unit="MiB"
    )
    engine_cache: bool = option(True, "keep engines, and open the same model sooner")
    timing_cache: bool = option(True, "keep how fast kernels were, and build the next sooner")
    cuda_graph: bool = option(False, "replay the kernels as a CUDA graph; shapes must stay fixed")
    min_subgraph: int = option(1, "parts of fewer operators are left to CUDA")


def _not_exact(precision: Precision, device: Device) -> str:
    if precision == "fp32":
        return (
            "ONNX Runtime leaves TensorRT's TF32 mode on and has no option for it: what it computes "
            "of an fp32 graph is its tf32 target"
        )
    return ""


@runner(
    TENSORRT,
    FORMAT.name,
    devices=("cuda",),
    precisions=("fp32", "tf32", "fp16", "bf16", "int8"),
    refuses=_not_exact,
    family="ONNX Runtime",
    # Its provider is linked to the libraries of TensorRT 10, also where 11 is the newest.
    needs=("onnxruntime-gpu", "tensorrt<11|tensorrt-cu13<11|tensorrt-cu12<11"),
    options=TensorrtOptions,
    apart=TENSORRT,
    explain=explain,
)
@contextmanager
def ort_trt(model: Product, opening: Opening) -> Iterator[OnCuda]:
    """ONNX Runtime with TensorRT for what it takes, and CUDA for the rest."""
    importlib.import_module("tensorrt")  # its libraries are then found by their names
    index = opening.target.device.index or 0
    plain = OrtOptions(optimization="disabled") if opening.reference else OrtOptions()
    asked, disabled = asked_of(opening, plain)
    remedy = "its log says which library is missing: pip install 'tensorrt<11' 'onnxruntime-gpu[cuda,cudnn]'"
    first = (
        "TensorrtExecutionProvider",
        tensorrt_settings(model, opening),
        "onnxruntime-gpu",
        remedy,
    )
    rest = ("CUDAExecutionProvider", {"device_id": str(index), "use_tf32": "1"})
    session = start(model, asked, disabled, first, (rest, "CPUExecutionProvider"))
    yield OnCuda(session, output_names(session), index)


def tensorrt_settings(model: Product, opening: Opening) -> dict[str, str]:
    """What the provider is told."""
    options = opening.options or TensorrtOptions()
    precision = opening.target.precision
    # It goes by names of graphs and nodes alone: another model of the same shape would be taken
    # for this one, so each has a folder of its own.
    cache = cache_folder() / TENSORRT
    said = {
        "device_id": str(opening.target.device.index or 0),
        "trt_builder_optimization_level": str(options.level),
        "trt_min_subgraph_size": str(options.min_subgraph),
        "trt_cuda_graph_enable": _flag(options.cuda_graph),
        # Of the types that the graph has: without them it is not allowed to compute in them.
        "trt_fp16_enable": _flag(precision == "fp16"),
        "trt_bf16_enable": _flag(precision == "bf16"),
        "trt_int8_enable": _flag(precision == "int8"),
        "trt_timing_cache_enable": _flag(options.timing_cache),
        "trt_engine_cache_enable": _flag(options.engine_cache),
    }
    if options.workspace_mib:
        said["trt_max_workspace_size"] = str(options.workspace_mib << 20)
    if options.timing_cache:
        said["trt_timing_cache_path"] = _made(cache / "timing")
    if options.engine_cache:
        said["trt_engine_cache_path"] = _made(cache / _content(model))
    return said | profile_settings(opening.signature)


def profile_settings(signature: Signature) -> dict[str, str]:
    """The ranges of all inputs as one profile: else it builds anew with each larger shape."""
    axes = {axis.name: axis for axis in signature.axes}
    if not axes:
        return {}
    said = {}
    for end in ("min", "opt", "max"):
        each = []
        for spec in signature.inputs:
            sizes = [s if isinstance(s, int) else getattr(axes[s], end) for s in spec.shape]
            if sizes:
                each.append(f"{spec.name}:{'x'.join(map(str, sizes))}")
        said[f"trt_profile_{end}_shapes"] = ",".join(each)
    return said


@dataclass(frozen=True, slots=True)
class OpenvinoOptions:
    """How ONNX Runtime gives a graph to OpenVINO."""

    threads: int = option(0, "threads for inference; 0: the runtime's choice")
    hint: str = option("LATENCY", "what it is tuned for", choices=("LATENCY", "THROUGHPUT"))
    whole: bool = option(False, "refuse a graph of which anything is left to ONNX Runtime itself")


@runner(
    OPENVINO,
    FORMAT.name,
    devices=("cpu",),
    precisions=("fp32", "int8"),
    family="ONNX Runtime",
    # A wheel of its own that can't live beside onnxruntime: both are the module onnxruntime.
    needs=("onnxruntime-openvino",),
    environment=ENVIRONMENT,
    options=OpenvinoOptions,
    apart=OPENVINO,
    explain=explain,
)
@contextmanager
def ort_ov(model: Product, opening: Opening) -> Iterator[OnCpu]:
    """ONNX Runtime with OpenVINO on the CPU for what it takes."""
    options = opening.options or OpenvinoOptions()
    # OpenVINO optimises the graph itself, and knows fewer of the operators that ours would leave.
    asked, disabled = asked_of(opening, OrtOptions(optimization="disabled"))
    others = () if options.whole else ("CPUExecutionProvider",)
    if options.whole:
        asked.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # Left alone it computes in bf16 wherever the CPU can.
    hints: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": options.hint}
    if opening.reference:
        hints["EXECUTION_MODE_HINT"] = "ACCURACY"
    if threads := opening.threads or options.threads:
        hints["INFERENCE_NUM_THREADS"] = str(threads)
    settings = {"device_type": "CPU", "load_config": json.dumps({"CPU": hints})}
    remedy = f"navigator-lab env create {ENVIRONMENT}"
    first = ("OpenVINOExecutionProvider", settings, "onnxruntime-openvino", remedy)
    session = start(model, asked, disabled, first, others)
    yield OnCpu(session, output_names(session))


def _content(model: Product) -> str:
    """What tells a model's file from others: its product's digest, or else its own."""
    if len(model.digest) == 64:
        return model.digest
    seal = hashlib.sha256()
    for path in sorted(p for p in model.path.rglob("*") if p.is_file()):
        seal.update(path.read_bytes())
    return seal.hexdigest()


def _made(folder: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _flag(value: bool) -> str:
    return "1" if value else "0"
