"""ONNX Runtime's TensorRT and OpenVINO providers: what they are told, and why they can't be had here."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import navigator_lab as nav
from navigator_lab.catalog import Catalog
from navigator_lab.engine.host import host
from navigator_lab.environments import create, remove
from navigator_lab.errors import NavigatorError
from navigator_lab.runners.onnxruntime_providers import (
    TensorrtOptions,
    ort_ov,
    profile_settings,
    tensorrt_settings,
)
from navigator_lab.triton.accelerators import accelerate, unsaid
from navigator_lab.triton.config import messages
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Gpu, Opening, Target, Variant
from navigator_lab.types.signature import Axis, Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("ids", "int64", ("batch", "length")), TensorSpec("x", "float32", ("batch", 3))),
    (TensorSpec("y", "float32", ("batch", 2)),),
    (Axis("batch", 1, 4, 32), Axis("length", 8, 64, 512)),
)
GPU = dataclasses.replace(host(), gpus=(Gpu(0, "NVIDIA L4", 1 << 34, "8.9", "580"),))


def why(text, here=GPU, **installed):
    every = Catalog.installed().targets(
        Variant.parse("onnx:fp32"), here, lambda name, _: installed.get(name.replace("-", "_"))
    )
    return next(why for target, _, why in every if str(target) == text)


def test_tensorrt_is_told_the_ranges_of_every_axis():
    assert profile_settings(SIGNATURE) == {
        "trt_profile_min_shapes": "ids:1x8,x:1x3",
        "trt_profile_opt_shapes": "ids:4x64,x:4x3",
        "trt_profile_max_shapes": "ids:32x512,x:32x3",
    }
    assert profile_settings(Signature(SIGNATURE.inputs[:0])) == {}


def test_each_model_has_a_cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("NAVIGATOR_LAB_CACHE", str(tmp_path / "cache"))
    target = Target.parse("onnx:fp16@ort-trt-cuda:0")

    def told(folder, digest="", **options):
        opening = Opening(target, SIGNATURE, TensorrtOptions(**options))
        return tensorrt_settings(Product(digest, folder), opening)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(name.encode())
    one, two = told(tmp_path / "one"), told(tmp_path / "two")
    assert one["trt_engine_cache_path"] != two["trt_engine_cache_path"]
    assert one["trt_timing_cache_path"] == two["trt_timing_cache_path"]
    assert told(tmp_path / "one", "a" * 64)["trt_engine_cache_path"].endswith("a" * 64)
    assert (one["trt_fp16_enable"], one["trt_int8_enable"]) == ("1", "0")
    none = told(tmp_path / "one", engine_cache=False, level=0, workspace_mib=64)
    assert "trt_engine_cache_path" not in none
    assert none["trt_builder_optimization_level"] == "0"
    assert none["trt_max_workspace_size"] == str(64 << 20)


def test_what_it_lacks_stands_in_the_row():
    assert "TF32" in why("onnx:fp32@ort-trt-cuda:0", onnxruntime_gpu="1.31").reason
    target = "onnx:tf32@ort-trt-cuda:0"
    assert why(target, onnxruntime_gpu="1.31", tensorrt="10.13", onnx="1.23") is None
    newer = why(target, onnxruntime_gpu="1.31", tensorrt="11.4", onnx="1.23")
    assert newer.reason == "it needs tensorrt below 11, and tensorrt 11.4 is installed"
    openvino = why("onnx:fp32@ort-ov-cpu", onnxruntime="1.31")
    assert openvino.reason == "onnxruntime-openvino is not installed"
    assert openvino.remedy == "navigator-lab env create ort-openvino"


def small(path):
    """A sum with a weight."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    kind = TensorProto.FLOAT
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kind, ["batch", 3])],
        [helper.make_tensor_value_info("y", kind, ["batch", 3])],
        [weight],
    )
    sets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(made, opset_imports=sets, ir_version=8), path)
    return path


def test_a_runtime_without_the_provider_names_the_wheel_that_has_it(tmp_path):
    import onnxruntime

    if "OpenVINOExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has it")
    small(tmp_path / "model.onnx")
    opening = Opening(Target.parse("onnx:fp32@ort-ov-cpu"), SIGNATURE)
    with (
        pytest.raises(NavigatorError, match="no OpenVINOExecutionProvider") as no,
        ort_ov.action.fn(Product("", tmp_path), opening),
    ):
        pass
    assert "onnxruntime-openvino" in no.value.remedy


def test_triton_is_told_the_same():
    config, notes = messages().ModelConfig(), []
    target = Target.parse("onnx:int8@ort-trt-cuda:0")
    accelerate(config, target, TensorrtOptions(level=0, workspace_mib=1), notes)
    (one,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert one.name == "tensorrt"
    assert dict(one.parameters) == {
        "precision_mode": "INT8",
        "trt_builder_optimization_level": "0",
        "max_workspace_size_bytes": str(1 << 20),
    }
    assert "trt_engine_cache_path" in notes[0]
    assert "bf16" in unsaid(Target.parse("onnx:bf16@ort-trt-cuda:0"))
    config = messages().ModelConfig()
    accelerate(config, Target.parse("onnx:fp32@ort-ov-cpu"), None, notes)
    (one,) = config.optimization.execution_accelerators.cpu_execution_accelerator
    assert one.name == "openvino"


@pytest.mark.slow
def test_openvino_runs_in_its_environment_and_is_right(tmp_path, monkeypatch):
    monkeypatch.setenv("NAVIGATOR_LAB_CACHE", str(tmp_path / "cache"))
    create("ort-openvino")
    try:
        x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
        path = small(tmp_path / "small.onnx")
        with nav.explore(path, {"x": x}, name="small", workspace=tmp_path / "w") as lab:
            text = "onnx:fp32@ort-ov-cpu"
            row = lab.run(targets=[text], until="profile", batches=[1], seconds=0.05)[text]
            assert row.status == "done", row.reason
            assert row.passed
            folder = lab.package(text, tmp_path / "repository")
            assert 'name: "openvino"' in (folder / "config.pbtxt").read_text()
    finally:
        remove("ort-openvino")
