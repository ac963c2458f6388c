"""What can be known of running an engine where no GPU is: profiles, versions, devices, and the reasons."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tensorrt_made import built, images, network, sequences

from navigator_lab.errors import ModelError, NavigatorError
from navigator_lab.formats.tensorrt.engine import (
    Binding,
    Bounds,
    Engine,
    asked,
    choose,
    fits_device,
    fits_version,
)
from navigator_lab.runners import _cuda
from navigator_lab.runners.tensorrt import trt_rtx
from navigator_lab.types.codec import encode
from navigator_lab.types.plugin import Opening, Target

pytest.importorskip("tensorrt_rtx")
pytest.importorskip("polygraphy")
TARGET = Target.parse("tensorrt-rtx:fp32@trt-rtx-cuda:0")


def engine(**facts):
    given = {
        "library": "tensorrt",
        "version": "11.4.0.106",
        "built_for": "sm_89 (NVIDIA L4)",
        "capabilities": ("8.9",),
        "inputs": (Binding("x", "float32", (-1, 4)),),
        "outputs": (),
        "profiles": (),
    }
    return Engine(**given | facts)


PROFILES = (
    (Bounds("x", (1, 4), (1, 4), (1, 4)),),
    (Bounds("x", (1, 4), (8, 4), (8, 4)),),
    (Bounds("x", (1, 4), (32, 4), (64, 4)),),
)


@pytest.mark.parametrize(("batch", "profile"), [(1, 0), (2, 1), (8, 1), (9, 2), (64, 2)])
def test_a_call_goes_to_the_profile_that_is_tuned_nearest(batch, profile):
    assert choose(PROFILES, {"x": (batch, 4)}) == profile


def test_a_call_that_no_profile_allows_says_what_they_allow():
    with pytest.raises(ModelError, match=r"'x' with the shape \[65, 4\].* \[64, 4\]") as no:
        choose(PROFILES, {"x": (65, 4)})
    assert "max_batch" in no.value.remedy
    with pytest.raises(ModelError, match=r"\[4\]"):
        choose(PROFILES, {"x": (4,)})


def test_an_input_whose_values_are_shapes_goes_by_its_values():
    bindings = (Binding("x", "float32", (-1, 4)), Binding("size", "int64", (2,), values=True))
    feeds = {"x": np.zeros((3, 4), np.float32), "size": np.array([7, 9])}
    assert asked(bindings, feeds) == {"x": (3, 4), "size": (7, 9)}


def test_another_version_is_refused_with_both_and_the_remedy():
    fits_version(engine(), "TensorRT", "11.4.0.200")  # a build of the same version
    with pytest.raises(NavigatorError, match=r"11\.4\.0\.106, and 11\.5\.0\.9 is installed") as no:
        fits_version(engine(), "TensorRT", "11.5.0.9")
    assert "pip install 'tensorrt==11.4.0.106'" in no.value.remedy
    fits_version(engine(any_version=True), "TensorRT", "11.5.0.9")
    with pytest.raises(NavigatorError):
        fits_version(engine(any_version=True), "TensorRT", "11.3.0.9")  # never an older one


def test_another_gpu_is_refused_with_what_it_was_built_for():
    fits_device(engine(), "TensorRT", "8.9", "cuda:0")
    with pytest.raises(NavigatorError, match=r"for sm_89 \(NVIDIA L4\), and cuda:0 is sm_90"):
        fits_device(engine(), "TensorRT", "9.0", "cuda:0")
    newer = engine(capabilities=("8.0",), upwards=True)
    fits_device(newer, "TensorRT", "12.0", "cuda:0")
    with pytest.raises(NavigatorError):
        fits_device(newer, "TensorRT", "7.5", "cuda:0")


def test_an_engine_of_another_version_is_refused_before_the_library_sees_it(tmp_path):
    bench = images(tmp_path, network())
    value, product = built(bench)
    older = dataclasses.replace(
        product, value=encode(dataclasses.replace(value, version="1.0.0.1"))
    )
    opening = Opening(TARGET, bench.signature)
    with (
        pytest.raises(NavigatorError, match=r"TensorRT-RTX 1\.0\.0\.1, and"),
        trt_rtx.action.fn(older, opening),
    ):
        pass


@pytest.mark.skipif(_cuda.present(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so(tmp_path):
    bench = sequences(tmp_path)
    _, product = built(bench)
    with (
        pytest.raises(NavigatorError, match=r"no NVIDIA driver|CUDA") as no,
        trt_rtx.action.fn(product, Opening(TARGET, bench.signature)),
    ):
        pass
    assert "GPU" in no.value.remedy


@pytest.mark.skipif(not _cuda.present(), reason="needs a GPU")
def test_memory_goes_up_and_comes_down_and_is_used_again():
    with _cuda.device(0) as cuda:
        assert cuda.capability.count(".") == 1
        array = np.arange(1000, dtype=np.float32).reshape(10, 100)
        held = cuda.upload(array)
        np.testing.assert_array_equal(cuda.download(held, (10, 100), np.float32), array)
        address = held.address
        del held
        assert cuda.take(4000).address == address
        graph = cuda.record(lambda: cuda.upload(array))
        graph.launch()
        cuda.wait()
        with pytest.raises(NavigatorError, match="CUDA"):
            cuda.take(1 << 60)
