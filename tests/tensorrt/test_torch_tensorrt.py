"""Torch-TensorRT as far as it goes without a GPU: what it would be told, and why it can't be had."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from navigator_lab.catalog import Catalog
from navigator_lab.engine.host import host
from navigator_lab.formats.torch_trt import TorchTrtOptions, allowed, settings, sizes
from navigator_lab.types.plugin import Gpu, Variant
from navigator_lab.types.signature import Axis, Signature, TensorSpec

X = TensorSpec("x", "float32", ("batch", 3, "width"))
SIGNATURE = Signature(
    (X, TensorSpec("scale", "float32", (3,))),
    axes=(Axis("batch", 1, 4, 1024), Axis("width", 8, 16, 64)),
)
HERE = dataclasses.replace(host(), gpus=())
L4 = dataclasses.replace(host(), gpus=(Gpu(0, "NVIDIA L4", 1 << 34, "8.9", "580"),))


def why(here, **installed):
    every = Catalog.installed().targets(
        Variant.parse("torch:fp32"), here, lambda name, _: installed.get(name.replace("-", "_"))
    )
    return next(why for t, _, why in every if str(t) == "torch-trt:fp16@torch-trt-cuda:0")


def test_its_row_says_what_is_missing():
    both = {"torch": "2.14", "cloudpickle": "3"}
    assert why(L4, **both, torch_tensorrt="2.14") is None
    assert why(L4, **both, torch_tensorrt_rtx="2.14") is None
    none = why(L4, **both)
    assert none.reason == "torch-tensorrt or torch-tensorrt-rtx is not installed"
    gpu = why(HERE, **both, torch_tensorrt="2.14")
    assert gpu.reason == "no CUDA device 0 on this machine"
    assert not gpu.builds
    assert "when it is imported" in gpu.remedy


def test_shapes_are_the_signatures_with_the_batch_cut_off():
    options = TorchTrtOptions(max_batch=32)
    assert sizes(X, SIGNATURE, options) == {
        "min_shape": (1, 3, 8),
        "opt_shape": (4, 3, 16),
        "max_shape": (32, 3, 64),
    }
    assert sizes(SIGNATURE.inputs[1], SIGNATURE, options) == {"shape": (3,)}
    whole = TorchTrtOptions(max_batch=0)
    assert sizes(X, SIGNATURE, whole)["max_shape"] == (1024, 3, 64)
    feeds = {"x": np.zeros((33, 3, 8), np.float32), "scale": np.zeros(3, np.float32)}
    assert not allowed(feeds, SIGNATURE, options)
    assert allowed(feeds, SIGNATURE, whole)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_the_precision_is_the_programs_and_only_tf32_a_mode(precision, tmp_path, monkeypatch):
    monkeypatch.setenv("NAVIGATOR_LAB_CACHE", str(tmp_path))
    told = settings(precision, TorchTrtOptions(level=0, workspace_mib=1, whole=True), {})
    assert told["disable_tf32"] == (precision != "tf32")
    assert told["optimization_level"] == 0
    assert told["workspace_size"] == 1 << 20
    assert told["require_full_compilation"]
    assert not told["cache_built_engines"]
    assert told["timing_cache_path"].startswith(str(tmp_path))
    assert "use_explicit_typing" not in told
    older = settings(precision, TorchTrtOptions(), {"use_explicit_typing": None})
    assert older["use_explicit_typing"]
