"""Torch's runtimes: what is put comes back named, nothing outlives an opening, sources run as given."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

# The models and products live beside the tests of the formats that they are built as.
sys.path.append(str(Path(__file__).parents[1] / "formats"))

import torch_made as tm

from navigator_lab.formats._torch_reasons import explain
from navigator_lab.runners._torch import fits
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Device, Precision
from navigator_lab.types.signature import Signature

CPU, CUDA = Device("cpu"), Device("cuda", 0)


def settings() -> tuple:
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.backends.mha.get_fastpath_enabled(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch._C._get_graph_executor_optimize(),
    )


@pytest.fixture
def unusual():
    """Settings that differ from the defaults, so that a reset to defaults is seen too."""
    before = settings()
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.benchmark = True
    yield settings()
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.benchmark = before[4]
    assert settings() == before


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", ["eager", "jit", "export"])
def test_every_setting_is_put_back(tmp_path, unusual, name, reference, fails):
    made = tm.bert(tmp_path)
    format = {"eager": "torch", "jit": "torchscript", "export": "torch-export"}[name]
    target = f"{format}:fp32@{name}-cpu"
    built = made.source if name == "eager" else made.build("torch:fp32", f"{format}:fp32")
    assert settings() == unusual, "a build left something"
    opening = made.opening(target, reference=reference, threads=1)
    try:
        with tm.RUNNERS[name].action.fn(built, opening) as running:
            assert torch.get_num_threads() == 1
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
            assert torch.backends.cudnn.deterministic is (reference or unusual[3])
            running.run(running.put(made.feeds[0]))
            if fails:
                raise KeyError("stop")
    except KeyError:
        assert fails
    assert settings() == unusual


def test_a_closed_session_holds_no_weights(tmp_path):
    import gc
    import weakref

    made = tm.cnn(tmp_path)
    with tm.RUNNERS["eager"].action.fn(
        made.source, made.opening("torch:fp32@eager-cpu")
    ) as running:
        weights = weakref.ref(running.call.a.weight)
    gc.collect()
    assert weights() is None
    with pytest.raises(RuntimeError, match="closed"):
        running.run(([], {}))


def test_names_are_derived_while_the_signature_has_none(tmp_path):
    made = tm.lstm(tmp_path)
    bare = Signature(made.signature.inputs, (), made.signature.axes, made.signature.call)
    got = made.answers(made.source, "torch:fp32@eager-cpu", 1, signature=bare)[0]
    assert list(got) == ["output_0", "output_1.0", "output_1.1"]


def test_given_names_go_by_position(tmp_path):
    from dataclasses import replace

    made = tm.lstm(tmp_path)
    named = tuple(
        replace(spec, name=n) for spec, n in zip(made.signature.outputs, "yhc", strict=True)
    )
    signature = replace(made.signature, outputs=named)
    got = made.answers(made.source, "torch:fp32@eager-cpu", 1, signature=signature)[0]
    assert list(got) == ["y", "h", "c"]


def test_another_number_of_outputs_is_said(tmp_path):
    from dataclasses import replace

    made = tm.lstm(tmp_path)
    signature = replace(made.signature, outputs=made.signature.outputs[:2])
    with pytest.raises(ValueError, match="3 outputs where its signature has 2"):
        made.answers(made.source, "torch:fp32@eager-cpu", 1, signature=signature)


def test_a_missing_feed_is_named(tmp_path):
    made = tm.lstm(tmp_path)
    opening = made.opening("torch:fp32@eager-cpu")
    with (
        tm.RUNNERS["eager"].action.fn(made.source, opening) as running,
        pytest.raises(ValueError, match=r"lack the inputs \['c'\]"),
    ):
        running.put({"x": made.feeds[0]["x"], "h": made.feeds[0]["h"]})


def test_feeds_and_answers_are_not_written_into(tmp_path):
    made = tm.writer(tmp_path)
    feed = {"x": np.zeros((1, 4), np.float32)}
    with tm.RUNNERS["eager"].action.fn(
        made.source, made.opening("torch:fp32@eager-cpu")
    ) as running:
        bound = running.put(feed)
        first = running.get(running.run(bound))["output"]
        second = running.get(running.run(bound))["output"]
    assert (feed["x"] == 0).all()
    assert (first == 1).all(), "a later run wrote into an answer"
    assert (second == 2).all()


def test_no_gradients_and_evaluation_mode(tmp_path):
    module = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.ReLU()).train()
    feeds = [{"x": np.ones((1, 64), np.float32)}]
    made = tm.made(tmp_path, module, feeds, {"x": ("batch", 64)}, {"output": ("batch", 64)})
    opening = made.opening("torch:fp32@eager-cpu")
    with tm.RUNNERS["eager"].action.fn(made.source, opening) as running:
        raw = running.run(running.put(feeds[0]))
        assert raw.is_inference()
        assert (running.get(raw)["output"] == 1).all()


@pytest.mark.parametrize("precision", list(Precision))
def test_only_tf32_is_refused_and_only_on_a_cpu(precision):
    runner = tm.RUNNERS["eager"]
    assert runner.refuses(precision, CUDA) == ""
    assert ("tensor cores" in runner.refuses(precision, CPU)) is (precision is Precision.TF32)


def test_a_users_torchscript_file_is_called_as_it_was_made(tmp_path):
    made = tm.lstm(tmp_path)
    folder = tmp_path / "theirs"
    folder.mkdir()
    torch.manual_seed(0)
    module = tm.Recurrent().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch is about to leave TorchScript
        torch.jit.save(torch.jit.script(module), str(folder / "model.pt"))
    got = made.answers(Product("t", folder), "torchscript:fp32@jit-cpu", reference=True)
    tm.same(got, made.answers(made.source, "torch:fp32@eager-cpu"))


def test_a_users_program_is_called_as_it_was_made(tmp_path):
    made = tm.bert(tmp_path)
    folder = tmp_path / "theirs"
    folder.mkdir()
    torch.manual_seed(0)
    module = tm.Bert().eval()
    batch, sequence = torch.export.Dim("batch", max=8), torch.export.Dim("sequence", max=32)
    axes = {0: batch, 1: sequence}
    kwargs = {n: torch.ones((2, 4), dtype=torch.int64) for n in ("input_ids", "attention_mask")}
    program = torch.export.export(
        module, (), kwargs, dynamic_shapes={"input_ids": axes, "attention_mask": axes}
    )
    torch.export.save(program, folder / "model.pt2")
    got = made.answers(Product("t", folder), "torch-export:fp32@export-cpu", reference=True)
    tm.same(got, made.answers(made.source, "torch:fp32@eager-cpu"))


def test_a_failing_script_says_its_reason_first(tmp_path):
    made = tm.cnn(tmp_path)
    built = made.build("torch:fp32", "torchscript:fp32")
    opening = made.opening("torchscript:fp32@jit-cpu")
    with tm.RUNNERS["jit"].action.fn(built, opening) as running:
        bound = running.put({"x": np.zeros((1, 4, 8, 8), np.float32)})
        with pytest.raises(RuntimeError, match="expected input") as caught:
            running.run(bound)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((9, 3, 8, 8), "float32", r"batch 1\.\.8"),
        ((2, 3, 8, 9), "float32", r"\[2, 3, 8, 9\]"),
        ((2, 3, 8, 8), "float64", "float64"),
        ((2, 3, 8), "float32", "takes float32"),
    ],
)
def test_what_was_not_compiled_for_is_refused(tmp_path, shape, dtype, said):
    made = tm.cnn(tmp_path)
    fits({"x": np.zeros((8, 3, 8, 8), np.float32)}, made.signature)
    with pytest.raises(ValueError, match=said):
        fits({"x": np.zeros(shape, dtype)}, made.signature)


@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
@pytest.mark.slow
def test_compiled_answers_follow_the_branch(tmp_path):
    made = tm.branching(tmp_path)
    before = settings()
    got = made.answers(made.source, "torch:fp32@compile-cpu")
    tm.same(got, made.answers(made.source, "torch:fp32@eager-cpu"))
    assert settings() == before


@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
@pytest.mark.slow
def test_too_many_shapes_are_a_failure_and_not_eager_code(tmp_path):
    from navigator_lab.runners.torch_compile import CompileOptions

    made = tm.turned(tmp_path)
    made.signature = Signature(
        made.signature.inputs, made.signature.outputs, (), made.signature.call
    )
    options = CompileOptions(dynamic=False)
    sizes = range(1, 2 + torch._dynamo.config.recompile_limit)
    with pytest.raises(RuntimeError, match=r"more than 8 kinds") as caught:
        made.answers(made.source, "torch:fp32@compile-cpu", *sizes, options=options)
    assert "dynamic" in explain(caught.value)
