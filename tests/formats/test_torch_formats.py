"""Builds from a torch module answer as the module does, or fail with the true reason."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import torch_made as tm

from navigator_lab.formats import _torch, aoti
from navigator_lab.formats._identifiers import identifiers
from navigator_lab.formats._torch import CannotBuild, Exported
from navigator_lab.formats._torch_reasons import explain
from navigator_lab.types.plugin import Host
from navigator_lab.types.signature import Signature, TensorSpec

WAYS = {
    "torchscript": "jit",
    "torchscript-script": "jit",
    "torch-export": "export",
}
LOW = {"fp16": 0.01, "bf16": 0.05}


def reference(made: tm.Made) -> list:
    return made.answers(made.source, "torch:fp32@eager-cpu", reference=True)


@pytest.mark.parametrize("format", WAYS)
@pytest.mark.parametrize(
    "model", ["cnn", "bert", "lstm", "detector", "turned", "writer", "counter"]
)
def test_same_answers_in_fp32(tmp_path, model, format):
    made = tm.ALL[model](tmp_path)
    built = made.build("torch:fp32", f"{format}:fp32")
    tm.same(made.answers(built, f"{format}:fp32@{WAYS[format]}-cpu"), reference(made))


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_a_trace_keeps_convolutions_in_the_precision_that_it_is_of(tmp_path, precision):
    made = tm.ALL["cnn"](tmp_path)
    before = torch.backends.cudnn.allow_tf32
    built = made.build(
        "torch:fp32", *(["torch:tf32"] * (precision == "tf32")), f"torchscript:{precision}"
    )
    assert torch.backends.cudnn.allow_tf32 == before
    with _torch.quiet_build():
        loaded = torch.jit.load(str(built.path / "model.pt"))
    graph = loaded.inlined_graph  # its nodes live as long as it
    nodes = graph.findAllNodes("aten::_convolution")
    # _convolution(..., benchmark, deterministic, cudnn_enabled, allow_tf32)
    kept = [[value.toIValue() for value in list(node.inputs())[-4:]] for node in nodes]
    assert kept
    assert all(one == [False, False, True, precision == "tf32"] for one in kept)


@pytest.mark.parametrize("format", ["torch", *WAYS])
@pytest.mark.parametrize(
    ("model", "precision"),
    [("cnn", "fp16"), ("bert", "bf16"), ("lstm", "fp16"), ("detector", "bf16")],
)
def test_low_precision_keeps_types_at_the_border(tmp_path, model, format, precision):
    made = tm.ALL[model](tmp_path)
    way = ["torch:fp32", f"torch:{precision}"]
    if format != "torch":
        way.append(f"{format}:{precision}")
    built = made.build(*way)
    runner = WAYS.get(format, "eager")
    got = made.answers(built, f"{format}:{precision}@{runner}-cpu")
    wanted = reference(made)
    tm.same(got, wanted, LOW[precision])
    exact = [
        np.array_equal(mine[name], theirs[name])
        for mine, theirs in zip(got, wanted, strict=True)
        for name in theirs
        if theirs[name].dtype == np.float32
    ]
    assert not all(exact), "it was computed in fp32"


@pytest.mark.parametrize("format", ["torchscript", "torch-export"])
def test_nested_mixed_types_and_rank_zero(tmp_path, format):
    made = tm.mixed(tmp_path)
    built = made.build("torch:fp32", f"{format}:fp32")
    got = made.answers(built, f"{format}:fp32@{WAYS[format]}-cpu")
    tm.same(got, reference(made))
    assert got[0]["output_2"].shape == ()
    assert got[0]["output_0"].dtype == np.float64


def test_doubles_come_back_as_doubles_from_bf16(tmp_path):
    made = tm.mixed(tmp_path)
    got = made.answers(made.build("torch:fp32", "torch:bf16"), "torch:bf16@eager-cpu")
    tm.same(got, reference(made), 0.05)


def test_a_script_follows_the_branch_that_a_trace_lost(tmp_path):
    made = tm.branching(tmp_path)
    wanted = reference(made)
    script = made.build("torch:fp32", "torchscript-script:fp32")
    tm.same(made.answers(script, "torchscript-script:fp32@jit-cpu"), wanted)
    trace = made.build("torch:fp32", "torchscript:fp32")
    got = made.answers(trace, "torchscript:fp32@jit-cpu")
    # The trace is wrong on the negative sample, and nothing may hide that from the comparison.
    assert np.abs(got[-1]["output"] - wanted[-1]["output"]).max() == 9
    assert "boolean" in trace.read(Exported).notes[0]


def test_an_export_names_the_data_dependent_branch(tmp_path):
    made = tm.branching(tmp_path)
    with pytest.raises(CannotBuild, match="data-dependent") as caught:
        made.build("torch:fp32", "torch-export:fp32")
    assert "torch.cond" in explain(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_script_names_what_it_cannot_compile(tmp_path):
    made = tm.mixed(tmp_path)
    with pytest.raises(CannotBuild, match="keyword-only") as caught:
        made.build("torch:fp32", "torchscript-script:fp32")
    assert "torchscript (traced)" in explain(caught.value)


@pytest.mark.parametrize(
    ("model", "format", "said"),
    [
        ("held", "torchscript", r"instead of \[1, 4\]"),
        ("held", "torch-export", "batch"),
        ("one_size", "torch-export", "batch"),
    ],
)
def test_what_fits_one_size_is_refused_at_build(tmp_path, model, format, said):
    made = getattr(tm, model)(tmp_path)
    with pytest.raises(CannotBuild, match=said):
        made.build("torch:fp32", f"{format}:fp32")


def test_scripts_of_one_class_follow_each_other(tmp_path):
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        made = tm.cnn(folder)
        built = made.build("torch:fp32", "torch:bf16", "torchscript-script:bf16")
        tm.same(
            made.answers(built, "torchscript-script:bf16@jit-cpu"), reference(made), LOW["bf16"]
        )


def test_sizes_that_follow_from_each_other_are_found_and_noted(tmp_path):
    made = tm.cached(tmp_path)
    built = made.build("torch:fp32", "torch-export:fp32")
    assert "past" in built.read(Exported).notes[-1]
    tm.same(made.answers(built, "torch-export:fp32@export-cpu"), reference(made))


@pytest.mark.parametrize("format", ["torchscript", "torch-export"])
def test_autocast_is_kept_by_an_export(tmp_path, format):
    made = tm.cnn(tmp_path)
    low = made.build("torch:fp32", "torch:bf16", options={"how": "autocast"})
    whole = tm.Made(tmp_path, low, made.samples, made.signature, made.feeds)
    built = whole.build("torch:bf16", f"{format}:bf16")
    got = made.answers(built, f"{format}:bf16@{WAYS[format]}-cpu")
    tm.same(got, made.answers(low, "torch:bf16@eager-cpu"), 1e-3)
    assert not np.array_equal(got[0]["output"], reference(made)[0]["output"])


def test_static_shapes_are_the_users_choice(tmp_path):
    made = tm.held(tmp_path)
    built = made.build("torch:fp32", "torch-export:fp32", options={"shapes": "static"})
    assert len(made.answers(built, "torch-export:fp32@export-cpu", 2)) == 1


@pytest.mark.parametrize("format", WAYS)
def test_a_tensor_of_its_own_type_is_named(tmp_path, format):
    made = tm.own_dtype(tmp_path)
    with pytest.raises(CannotBuild, match="same dtype") as caught:
        made.build("torch:fp32", "torch:fp16", f"{format}:fp16")
    assert "register_buffer" in explain(caught.value)


def test_autocast_computes_what_a_conversion_cannot(tmp_path):
    made = tm.own_dtype(tmp_path)
    low = made.build("torch:fp32", "torch:bf16", options={"how": "autocast"})
    tm.same(made.answers(low, "torch:bf16@eager-cpu"), reference(made), 0.05)


def test_a_lowered_file_opens_without_this_package(tmp_path):
    import subprocess
    import sys

    made = tm.own_dtype(tmp_path)
    low = made.build("torch:fp32", "torch:bf16", options={"how": "autocast"})
    # The model's own class lives in a test file, so only that folder is on the path.
    code = (
        "import sys, torch\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.startswith('navigator_lab.'): raise ImportError(name)\n"
        f"sys.meta_path.insert(0, Refuse())\n"
        f"m = torch.load({str(low.path / 'model.pt')!r}, weights_only=False)\n"
        "print(m(torch.ones(1, 4)).dtype)\n"
    )
    import cloudpickle

    cloudpickle.register_pickle_by_value(tm)
    try:
        module = _torch.load(low.path / "model.pt")
        torch.save(module, low.path / "model.pt", pickle_module=cloudpickle)
    finally:
        cloudpickle.unregister_pickle_by_value(tm)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "torch.float32", done.stderr


def test_tf32_is_the_same_file(tmp_path):
    made = tm.cnn(tmp_path)
    built = made.build("torch:fp32", "torch:tf32")
    assert (built.path / "model.pt").read_bytes() == (made.source.path / "model.pt").read_bytes()


def test_inputs_keep_their_names_in_a_trace(tmp_path):
    made = tm.bert(tmp_path)
    built = made.build("torch:fp32", "torchscript:fp32")
    with pytest.warns(FutureWarning, match="deprecated"):
        module = torch.jit.load(str(built.path / "model.pt"))
    assert [a.name for a in module.forward.schema.arguments[1:]] == ["input_ids", "attention_mask"]


def test_names_become_parameters():
    assert identifiers(["a.b", "a_b", "A_B", "1", "class", "self", "ü"]) == [
        "a_b", "a_b_", "A_B__", "input_1", "input_class", "input_self", "input__",
    ]  # fmt: skip


def test_what_is_no_module_is_said(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "model.pt")
    with pytest.raises(CannotBuild, match="holds a dict"):
        _torch.load(tmp_path / "model.pt")


def test_bfloat16_arrays_travel_both_ways():
    import ml_dtypes

    array = np.array([[1.5, -2.0]], ml_dtypes.bfloat16)
    tensor = _torch.tensor_of(array)
    assert tensor.dtype == torch.bfloat16
    assert tensor.tolist() == [[1.5, -2.0]]
    back = _torch.array_of(tensor)
    assert back.dtype == array.dtype
    assert (back == array).all()


def test_trials_differ_in_every_axis():
    spec = TensorSpec("x", "float32", ("batch", "length"))
    feeds = [{"x": np.zeros((1, n), np.float32)} for n in (1, 7)]
    from navigator_lab.types.signature import Axis

    signature = Signature((spec,), (), (Axis("batch", 1, 2, 4), Axis("length", 1, 7, 9)))
    shapes = [one["x"].shape for _, one in _torch.trials(feeds, signature)]
    assert shapes == [(2, 7), (1, 7), (3, 7), (2, 1)]


def test_a_package_for_cuda_needs_a_gpu():
    found = aoti.for_cuda.action.check(Host("cpu", 1, 1))
    assert "no CUDA GPU" in found.reason
    assert found.remedy


@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
@pytest.mark.slow
@pytest.mark.parametrize("model", ["cnn", "mixed"])
def test_a_package_answers_as_the_module(tmp_path, model):
    made = tm.ALL[model](tmp_path)
    built = made.build("torch:fp32", "torch-export:fp32", "aoti:fp32")
    tm.same(made.answers(built, "aoti:fp32@aoti-cpu"), reference(made))
    if model == "cnn":
        with pytest.raises(ValueError, match=r"batch 1\.\.8"):
            made.answers(built, "aoti:fp32@aoti-cpu", 9)
