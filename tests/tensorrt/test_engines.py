"""Engines of TensorRT-RTX, really built with no GPU: every precision, profiles, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tensorrt_made import (
    SYMMETRIC,
    built,
    float8,
    graph,
    images,
    network,
    onnx_format,
    sequences,
    signature,
    spec,
)

from navigator_lab.errors import ModelError, NavigatorError, RequestError
from navigator_lab.formats.onnx.quantize import StaticOptions
from navigator_lab.formats.tensorrt import library, suited
from navigator_lab.formats.tensorrt.build import _bytes, _network, _parse
from navigator_lab.formats.tensorrt.configure import configuration
from navigator_lab.formats.tensorrt.options import RtxOptions, TrtOptions
from navigator_lab.types.plugin import At, Variant

pytest.importorskip("tensorrt_rtx")
pytest.importorskip("polygraphy")


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "int8", "fp8"])
def test_an_engine_in_every_precision(tmp_path, precision):
    shape, output = ((16,), (16,)) if precision == "fp8" else ((3, 8, 8), (4,))
    model = float8() if precision == "fp8" else network()
    bench = images(tmp_path, model, shape=shape, output=output)
    source = "source"
    if precision in ("fp16", "bf16"):
        source, _ = bench.build(onnx_format.to_half, f"onnx:{precision}")
    if precision == "int8":
        source, _ = bench.build(onnx_format.to_int8, "onnx:int8", options=SYMMETRIC)
    made, product = built(bench, f"tensorrt-rtx:{precision}", source)
    plan = product.path / "model.plan"
    assert plan.stat().st_size > 10_000
    assert [(b.name, b.dtype, b.dims) for b in made.inputs] == [("x", "float32", (-1, *shape))]
    assert [(b.name, b.dtype, b.dims) for b in made.outputs] == [("y", "float32", (-1, *output))]
    assert made.version == library.loaded(library.RTX).__version__
    # Turing is left out, and what has no fp8 where that is asked.
    assert "7.5" not in made.capabilities
    assert ("8.0" in made.capabilities) == (precision != "fp8")
    assert made.built_for == ", ".join(map(library.sm, made.capabilities))
    assert f"TensorRT-RTX {made.version}" in made.server[0]
    assert made.built_for in made.server[0]
    assert made.largest_batch == 8


def test_it_is_built_for_the_capabilities_that_are_asked(tmp_path):
    bench = images(tmp_path, network())
    made, _ = built(bench, compute_capabilities="8.9, 12.0")
    assert made.capabilities == ("8.9", "12.0")
    assert made.built_for == "sm_89, sm_120"
    with pytest.raises(NavigatorError, match=r"compute capability '9\.0'") as refused:
        built(images(tmp_path / "b", network()), compute_capabilities="9.0")
    assert "8.9" in refused.value.remedy


def test_what_turing_lacks_is_said_with_its_remedy(tmp_path):
    with pytest.raises(ModelError, match="Turing") as refused:
        built(images(tmp_path, network()), compute_capabilities="7.5")
    assert "compute_capabilities" in refused.value.remedy


def configured(tmp_path, precision, kind=RtxOptions, **options):
    """The configuration that an engine would be built with. TensorRT's own options are shown to its
    sibling, which has the same API."""
    trt, loaders = library.loaded(library.RTX), library.polygraphy(library.RTX)
    onnx.save(network(), tmp_path / "model.onnx")
    builder = trt.Builder(library.log(trt))
    made = _network(trt, builder)
    wanted = kind(**options)
    _parse(trt, made, tmp_path / "model.onnx", wanted, library.RTX)
    at = At(tmp_path, Variant.parse(f"tensorrt-rtx:{precision}"), wanted, {}, {})
    from navigator_lab.formats.tensorrt.engine import Bounds

    shapes = ((Bounds("x", (1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8)),),)
    from_library = library.RTX if kind is RtxOptions else library.TENSORRT
    config, _ = configuration(at, trt, loaders, wanted, shapes, from_library)
    with pytest.warns(DeprecationWarning, match="no-ops"):  # Polygraphy's own, silenced in a build
        return trt, config(builder, made)


def test_the_options_reach_the_builder(tmp_path):
    trt, made = configured(tmp_path, "tf32", level=0, workspace_mib=256, compute_capabilities="8.9")
    assert made.builder_optimization_level == 0  # 0 is a level
    assert made.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 256 << 20
    assert made.get_flag(trt.BuilderFlag.TF32)
    assert made.num_compute_capabilities == 1
    assert made.num_optimization_profiles == 1
    trt, made = configured(tmp_path, "fp32")
    assert made.builder_optimization_level == 3
    assert not made.get_flag(trt.BuilderFlag.TF32)  # its own default is on


def test_the_options_of_tensorrt_reach_it_too(tmp_path):
    asked = {"timing_cache": False, "version_compatible": True, "compatibility": "ampere+"}
    trt, made = configured(tmp_path, "fp32", TrtOptions, level=5, **asked)
    assert made.builder_optimization_level == 5
    assert made.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    assert not made.get_flag(trt.BuilderFlag.TF32)
    trt, made = configured(tmp_path, "tf32", TrtOptions, timing_cache=False, weights="stripped")
    assert made.get_flag(trt.BuilderFlag.STRIP_PLAN)
    assert made.get_flag(trt.BuilderFlag.TF32)
    assert not made.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def test_timings_are_kept_by_library_version_and_gpu_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("NAVIGATOR_LAB_CACHE", str(tmp_path / "cache"))
    file = library.kept("timing", "tensorrt", "11.4.0", "NVIDIA L4/24 GB")
    assert file == tmp_path / "cache" / "timing" / "tensorrt-11.4.0-NVIDIA-L4-24-GB.cache"
    file.parent.mkdir(parents=True)
    trt, loaders = library.loaded(library.RTX), library.polygraphy(library.RTX)
    onnx.save(network(), tmp_path / "model.onnx")
    for _ in range(2):  # the second merges with what the first has kept
        builder = trt.Builder(library.log(trt))
        made = _network(trt, builder)
        _parse(trt, made, tmp_path / "model.onnx", RtxOptions(), library.RTX)
        config = loaders.CreateConfig(
            load_timing_cache=str(file) if file.exists() else None,
            profiles=[loaders.Profile().add("x", *[(n, 3, 8, 8) for n in (1, 2, 4)])],
        )
        _bytes(loaders, (builder, made, None), config, file, library.RTX, library.log(trt))
        assert file.stat().st_size > 0


def test_weights_apart_from_the_engine_need_a_gpu_and_it_says_so(tmp_path):
    from navigator_lab.runners._cuda import present

    if present():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match="can't build the engine") as refused:
        built(images(tmp_path, network()), weights="refittable")
    assert "weights='inside'" in refused.value.remedy


# profiles


def test_profiles_come_from_the_signature(tmp_path):
    made, _ = built(sequences(tmp_path))
    assert [(b.name, b.min, b.opt, b.max) for b in made.profiles[0]] == [
        ("x", (1, 2, 4), (4, 4, 4), (8, 16, 4))
    ]


def test_a_batch_that_nobody_bounded_ends_at_max_batch(tmp_path):
    made, _ = built(images(tmp_path, network()), max_batch=6)
    assert made.profiles[0][0].max[0] == 6
    assert made.largest_batch == 6


def test_a_profile_for_each_tuned_batch(tmp_path):
    made, _ = built(images(tmp_path, network()), tuned_batches="1,4")
    sizes = [(p[0].min[0], p[0].opt[0], p[0].max[0]) for p in made.profiles]
    assert sizes == [(1, 1, 1), (1, 4, 8)]


def test_ones_own_profiles_by_axis_and_by_input(tmp_path):
    own = [{"batch": [1, 1, 2], "length": [2, 9, 9]}, {"x": [[1, 2, 4], [1, 3, 4], [8, 4, 4]]}]
    made, _ = built(sequences(tmp_path), profiles=own)
    assert [(p[0].min, p[0].opt, p[0].max) for p in made.profiles] == [
        ((1, 2, 4), (1, 9, 4), (2, 9, 4)),
        ((1, 2, 4), (1, 3, 4), (8, 4, 4)),
    ]
    assert made.largest_batch == 8


def test_a_profile_that_does_not_cover_a_sample_is_refused_before_anything_is_built(tmp_path):
    with pytest.raises(
        ModelError, match=r"no profile covers sample 1: its 'x' is \[1, 9, 4\]"
    ) as no:
        built(sequences(tmp_path), profiles=[{"length": [2, 4, 8]}])
    assert "profiles" in no.value.remedy
    assert not (tmp_path / "tensorrt-rtx-fp32" / "model.plan").exists()


@pytest.mark.parametrize(
    ("profiles", "said"),
    [
        ([{"x": [[1, 2, 5], [1, 2, 5], [1, 2, 5]]}], "the graph has it as"),
        ([{"z": [1, 2, 3]}], "unknown input or axis"),
    ],
)
def test_profiles_of_what_there_is_not(tmp_path, profiles, said):
    with pytest.raises((ModelError, RequestError), match=said):
        built(sequences(tmp_path), profiles=profiles)


@pytest.mark.parametrize(
    "options",
    [
        {"profiles": "no json"},
        {"profiles": [{"batch": [1, 2]}]},
        {"profiles": [{"batch": [4, 2, 8]}]},
        {"profiles": ["batch"]},
        {"tuned_batches": "1,none"},
        {"workspace_mib": -1},
        {"plugins": "/nowhere/lib.so"},
    ],
)
def test_options_that_can_not_be(options):
    with pytest.raises(RequestError):
        RtxOptions(**options)


def test_a_plug_in_library_counts_by_its_content(tmp_path):
    lib = tmp_path / "plugin.so"
    lib.write_bytes(b"one")
    first = RtxOptions(plugins=str(lib))
    assert first.libraries == (lib,)
    assert RtxOptions(plugins=first.plugins) == first  # as a worker gets it
    lib.write_bytes(b"two")
    assert RtxOptions(plugins=str(lib)) != first


# graphs


def refused(tmp_path, model, inputs, outputs):
    bench = images(tmp_path, model)
    facts = signature(inputs, outputs, call=None, batch=(1, 4, 8))
    object.__setattr__(bench, "signature", facts)
    with pytest.raises(ModelError) as error:
        built(bench)
    return error.value


def test_an_operator_of_ones_own_is_named_with_its_node(tmp_path):
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["a"], "first"),
        helper.make_node("FancyOp", ["a"], ["y"], "fancy_7", domain="my.ops"),
    ]
    kind = TensorProto.FLOAT
    model = graph(
        nodes, [("x", kind, ["batch", 3])], [("y", kind, ["batch", 3])], domains=["my.ops"]
    )
    x, y = spec("x", "float32", "batch", 3), spec("y", "float32", "batch", 3)
    error = refused(tmp_path, model, [x], [y])
    assert "FancyOp 'fancy_7'" in error.message
    assert "plug-in" in error.remedy
    assert "onnx:*@ort" in error.remedy


def test_an_operator_that_it_lacks_is_named_with_its_node(tmp_path):
    kind = TensorProto.FLOAT
    nodes = [helper.make_node("Det", ["x"], ["y"], "det_3")]
    model = graph(nodes, [("x", kind, ["batch", 3, 3])], [("y", kind, ["batch"])])
    x, y = spec("x", "float32", "batch", 3, 3), spec("y", "float32", "batch")
    error = refused(tmp_path, model, [x], [y])
    assert "Det 'det_3': no such operator" in error.message
    assert error.remedy


def test_doubles_are_no_floats(tmp_path):
    kind = TensorProto.DOUBLE
    nodes = [helper.make_node("Erf", ["x"], ["y"], "erf")]
    model = graph(nodes, [("x", kind, ["batch", 3])], [("y", kind, ["batch", 3])])
    x, y = spec("x", "float64", "batch", 3), spec("y", "float64", "batch", 3)
    error = refused(tmp_path, model, [x], [y])
    assert "'x' is float64" in error.message
    assert "cast" in error.remedy


def test_text_is_refused_with_its_remedy(tmp_path):
    kind = TensorProto.STRING
    nodes = [helper.make_node("StringNormalizer", ["x"], ["y"], "norm")]
    model = graph(nodes, [("x", kind, ["batch"])], [("y", kind, ["n"])])
    error = refused(tmp_path, model, [spec("x", "object", "batch")], [spec("y", "object", "n")])
    assert "x: Failed to convert" in error.message
    assert "numbers only" in error.remedy


def test_unsigned_activations_are_refused_with_the_options_that_help(tmp_path):
    bench = images(tmp_path, network())
    unsigned = StaticOptions(activations="uint8", symmetric=False)
    source, _ = bench.build(onnx_format.to_int8, "onnx:int8", options=unsigned)
    with pytest.raises(ModelError, match="signed, symmetric") as error:
        built(bench, "tensorrt-rtx:int8", source)
    assert "symmetric=True" in error.value.remedy


def test_biases_in_integers_become_the_floats_that_they_stand_for(tmp_path):
    import onnxruntime

    bench = images(tmp_path, network())
    source, _ = bench.build(onnx_format.to_int8, "onnx:int8", options=SYMMETRIC)
    (tmp_path / "scratch").mkdir()
    path, notes = suited.suited(tmp_path / source, tmp_path / "scratch")
    assert "1 biases" in notes[0]
    feeds = bench.feeds()[-1]
    answers = [
        onnxruntime.InferenceSession(str(p), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for p in (tmp_path / source / "model.onnx", path)
    ]
    np.testing.assert_allclose(*answers, atol=1e-5)


def test_a_network_that_can_not_be_built_says_what_the_library_said(tmp_path):
    trt, loaders = library.loaded(library.RTX), library.polygraphy(library.RTX)
    heard = library.log(trt)
    builder = trt.Builder(heard)
    empty = builder.create_network(0)
    heard.errors.clear()
    with pytest.raises(ModelError, match=r"can't build the engine: .*[Nn]etwork"):
        _bytes(loaders, (builder, empty, None), loaders.CreateConfig(), None, library.RTX, heard)
