"""An engine that can't run here has a row that says what it was built for, and goes to Triton."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tensorrt_made import built, images, network

import navigator_lab as nav
from navigator_lab.catalog import Catalog
from navigator_lab.engine.host import host
from navigator_lab.errors import PackageError
from navigator_lab.runners import _cuda
from navigator_lab.stages.package import PackageOptions, package
from navigator_lab.triton.config import parse
from navigator_lab.types.codec import encode
from navigator_lab.types.plugin import At, Gpu, Target, Variant

pytest.importorskip("tensorrt_rtx")
pytest.importorskip("polygraphy")
HERE = dataclasses.replace(host(), gpus=())
L4 = dataclasses.replace(host(), gpus=(Gpu(0, "NVIDIA L4", 1 << 34, "8.9", "580"),))
EVERYTHING = {"onnx": "1.23", "numpy": "2", "polygraphy": "0.53", "ml_dtypes": "0.5"}


def found(text, here, **installed):
    """Why a target of an ONNX model can't be had, on a machine with these packages."""
    versions = EVERYTHING | installed
    every = Catalog.installed().targets(
        Variant.parse("onnx:fp32"), here, lambda name, _: versions.get(name)
    )
    return next(why for target, _, why in every if str(target) == text)


def test_tensorrt_builds_where_a_gpu_is_and_rtx_everywhere():
    trt, rtx = "tensorrt:fp32@trt-cuda:0", "tensorrt-rtx:fp32@trt-rtx-cuda:0"
    both = {"tensorrt": "11.4", "tensorrt-rtx": "1.7"}
    assert found(trt, L4, **both) is None
    assert found(rtx, L4, **both) is None
    why = found(rtx, HERE, **both)
    assert why.reason == "no CUDA device 0 on this machine"
    assert why.builds
    why = found(trt, HERE, **both)
    assert not why.builds
    assert "times kernels" in why.remedy
    assert "tensorrt-rtx" in why.remedy
    why = found(trt, L4)
    assert why.reason == "tensorrt or tensorrt-cu13 or tensorrt-cu12 is not installed"
    assert why.remedy == "pip install tensorrt"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    import onnx

    onnx.save(network(), folder / "net.onnx")
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    with nav.explore(folder / "net.onnx", {"x": x}, name="net", workspace=folder / "w") as session:
        yield session


@pytest.mark.skipif(_cuda.present(), reason="there is a GPU here")
def test_what_can_not_run_here_is_built_and_its_row_says_for_what(lab, tmp_path):
    text = "tensorrt-rtx:fp16[compute_capabilities=8.9]@trt-rtx-cuda:0"
    results = lab.run(targets=[text])
    row = results[text]
    assert row.status == "skipped"
    assert row.reason == "built for sm_89, not run: no CUDA device 0 on this machine"
    assert "reused there" in row.remedy
    assert row.files[0].endswith("model.plan")
    assert row.stages == {"export": "done", "convert": "done"}
    assert "not run" in lab[text].why()
    # By its format, as it runs nowhere here; and not again.
    results = lab.run(formats=["tensorrt-rtx"], precisions=["fp16"])
    assert "built for sm_80" in results["tensorrt-rtx:fp16@trt-rtx-cuda:0"].reason
    # What has others of its format to run is not built by the way.
    results = lab.run(formats=["onnx"], precisions=["fp32"], until="correctness")
    assert results["onnx:fp32@ort-cuda:0"].stages == {}
    with pytest.raises(PackageError, match="no CUDA device") as no:
        lab.package("onnx:fp32@ort-cuda:0", tmp_path / "repository")
    assert "until='convert'" in no.value.remedy
    # It is Triton's as well: served by the Python backend, as Triton's own opens no such engine.
    folder = lab.package(text, tmp_path / "repository")
    config = parse((folder / "config.pbtxt").read_text())
    assert config.backend == "python"
    assert (folder / "1" / "artefact" / "model.plan").stat().st_size > 10_000
    assert "tensorrt-rtx==" in (folder / "1" / "requirements.txt").read_text()
    said = str(lab.config(text))
    assert "and none of TensorRT-RTX" in said
    assert "sm_89" in said


@pytest.mark.skipif(_cuda.present(), reason="there is a GPU here")
def test_int8_is_quantised_as_the_library_asks_and_as_the_user_says(lab):
    text = "tensorrt-rtx:int8[keep_worst=1,level=1]@trt-rtx-cuda:0"
    results = lab.run(targets=["tensorrt-rtx:int8@trt-rtx-cuda:0", text])
    assert results["tensorrt-rtx:int8@trt-rtx-cuda:0"].reason.startswith("built for")
    assert results[text].reason.startswith("built for")
    asked = "onnx:int8[activations=int8,quantize_bias=False,reduce_range=False,symmetric=True]"
    assert f"build {asked}" in lab["tensorrt-rtx:int8@trt-rtx-cuda:0"].why()
    assert asked.replace("quantize", "keep_worst=1,quantize") in lab[text].why()


def shipped(tmp_path, options=None, run_options=None, **facts):
    """The package of an engine as TensorRT would have made it, of a file that RTX made."""
    bench = images(tmp_path, network())
    value, product = built(bench, tuned_batches="1,8")
    server = ("the server needs TensorRT 11.4.0.106 and no other version",)
    value = dataclasses.replace(value, library="tensorrt", server=server, **facts)
    product = dataclasses.replace(product, value=encode(value))
    known = Catalog.installed()
    (tmp_path / "out").mkdir()
    at = At(
        tmp_path / "out",
        Target.parse("tensorrt:fp32@trt-cuda:0"),
        options or PackageOptions(name="net"),
        known.formats,
        known.runners,
        run_options=run_options,
    )
    return package.fn(at, product, bench.product("samples")), tmp_path / "out" / "net"


def test_a_plan_of_tensorrt_goes_as_it_is(tmp_path):
    from navigator_lab.runners.tensorrt import TrtRunOptions

    made, folder = shipped(tmp_path, run_options=TrtRunOptions(cuda_graph=True))
    config = parse((folder / "config.pbtxt").read_text())
    assert made.backend == config.backend == "tensorrt"
    assert (folder / "1" / "model.plan").stat().st_size > 10_000
    assert config.max_batch_size == 8
    assert list(config.instance_group[0].profile) == ["0", "1"]
    assert list(config.instance_group[0].gpus) == [0]
    assert config.optimization.cuda.graphs
    assert [(t.name, list(t.dims)) for t in config.input] == [("x", [3, 8, 8])]
    assert "the server needs TensorRT 11.4.0.106 and no other version" in made.notes


def test_no_larger_batch_is_promised_than_the_engine_has(tmp_path):
    made, _ = shipped(tmp_path, largest_batch=4)
    assert parse(made.config).max_batch_size == 4
    with pytest.raises(PackageError, match="built for batches up to 4"):
        shipped(tmp_path / "b", PackageOptions(name="net", max_batch_size=8), largest_batch=4)


def test_an_engine_without_its_weights_is_served_by_the_runner_that_puts_them_in(tmp_path):
    made, folder = shipped(tmp_path, weights="stripped")
    assert made.backend == "python"
    assert any("weights are not in the file" in note for note in made.notes)
    assert json.loads((folder / "1" / "serve.json").read_text())["value"]["weights"] == "stripped"
