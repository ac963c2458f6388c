"""Tab after ``%navigator``, through IPython's own completer."""

import os

import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import navigator_lab as nav
from navigator_lab.testing import Affine


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    os.environ["IPYTHONDIR"] = str(tmp_path_factory.mktemp("ipython"))
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "navigator_lab")
    x = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    lab = nav.explore(
        Affine(), x, name="affine", workspace=tmp_path_factory.mktemp("w"),
        plugins=["navigator_lab.testing"], output_names=["scores"],
    )  # fmt: skip
    lab.run(formats=["toy"], until="correctness")
    made.user_ns.update(model=1, images=2, lab=lab)
    yield made
    lab.close()
    made.run_line_magic("unload_ext", "navigator_lab")
    made.history_manager.end_session()
    InteractiveShell.clear_instance()
    del os.environ["IPYTHONDIR"]


def offers(shell, text):
    """What Tab at the end of a text offers, as a notebook asks for it."""
    with provisionalcompleter():
        return [found.text for found in shell.Completer.completions(text, len(text))]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%navigator ru", ["run"]),
        ("%navigator pa", ["package", "pareto", "parallel"]),
        ("%%navigator ", ["verify"]),
        ("x = %navigator tab", ["table"]),
        ("%navigator profile --formats to", ["torch-export", "torch", "torch-trt", "torchscript",
                                             "torchscript-script", "toy"]),
        ("%navigator profile --formats toy,onn", ["onnx"]),
        ("%navigator profile --precisions int8", ["int8", "int8-dynamic", "int8-weights"]),
        ("%navigator profile --runners to", ["torch-trt", "toy"]),
        ("%navigator profile --targets toy:fp1", ["fp16@toy-cpu"]),
        ("%navigator run --until corr", ["correctness"]),
        ("%navigator open mod", ["model"]),
        ("%navigator open model --samples im", ["images"]),
        ("%navigator open model --samples images --wo", ["--workspace"]),
        ("%navigator why toy:fp3", ["fp32@toy-cpu"]),
        ("%navigator compare toy:fp32@toy-cpu toy:fp16@t", ["toy-cpu"]),
        ("%navigator surface toy:fp16@toy-cpu sc", ["scores"]),
        ("%navigator log toy:fp16@toy-cpu inf", ["infer"]),
        ("%navigator pareto --latency p9", ["p90_ms", "p95_ms", "p99_ms"]),
        ("%navigator choose lat", ["latency"]),
        ("%navigator tolerance --only bf", ["bf16"]),
    ],
)  # fmt: skip
def test_tab_offers(shell, line, offered):
    assert sorted(offers(shell, line)) == sorted(offered)


def test_other_lines_are_left_alone(shell):
    assert "model" in offers(shell, "mod")
    assert "profile" not in offers(shell, "navigator pro")
    assert "run" not in offers(shell, "%%navigator verify\nru")
