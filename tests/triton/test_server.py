"""A real tritonserver serves what `package` made, and answers what the runtime itself answers.

All models lie in one repository, served once: starting a server is what costs. Here is what is odd
about a package; the plain ones of every format are test_every_target's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from triton_making import make, onnx_file, signature

from navigator_lab.errors import NavigatorError, PackageError
from navigator_lab.triton import keeper
from navigator_lab.triton.checks import check
from navigator_lab.triton.repository import publish
from navigator_lab.triton.server import serve

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`torch\.jit:FutureWarning"),
    pytest.mark.filterwarnings(r"ignore:`torch\.jit:DeprecationWarning"),
]

RNG = np.random.default_rng(7)


def rows(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return tmp_path_factory.mktemp("served") / "repository"


@pytest.fixture(scope="module")
def served(repository):
    """(server, expected): a repository of every kind of package, and a direct run for each."""
    expected = {}
    for name, build in BUILDS.items():
        folder = repository.parent / name
        folder.mkdir()
        made, expected[name] = build(folder, name)
        publish(made, repository)
    with serve(repository) as server:
        yield server, expected


def _onnx(folder: Path, name: str):
    import onnxruntime

    model = onnx_file(folder / "model", external=True)
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    made, value = make(
        folder, "onnx:fp32@ort-cpu", model, sig, [{"x": rows(1, 6)}, {"x": rows(1, 6)}], name=name
    )
    assert value.backend == "onnxruntime"
    session = onnxruntime.InferenceSession(model / "model.onnx")
    return made, (lambda feeds: {"y": session.run(None, feeds)[0]}, {"x": rows(5, 6)})


def _onnx_ids(folder: Path, name: str):
    """Two int64 inputs of free length, and one output whose batch is not its first axis."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(rows(16, 4), "table")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["e"]),
            helper.make_node("Cast", ["mask"], ["m"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["m", "last"], ["mm"]),
            helper.make_node("Mul", ["e", "mm"], ["em"]),
            helper.make_node("Transpose", ["em"], ["turned"], perm=[1, 0, 2]),
        ],
        "g",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("mask", TensorProto.INT64, ["batch", "length"]),
        ],
        [helper.make_tensor_value_info("turned", TensorProto.FLOAT, ["length", "batch", 4])],
        [table, numpy_helper.from_array(np.array([2], np.int64), "last")],
    )
    (folder / "model").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save_model(model, folder / "model/model.onnx")
    sig = signature(
        [("ids", "int64", ("batch", "length")), ("mask", "int64", ("batch", "length"))],
        [("turned", "float32", ("length", "batch", 4))],
    )

    def ids(batch, length):
        return {
            "ids": RNG.integers(0, 16, (batch, length)),
            "mask": RNG.integers(0, 2, (batch, length)),
        }

    made, value = make(
        folder, "onnx:fp32@ort-cpu", folder / "model", sig, [ids(1, 5), ids(1, 7)], name=name
    )
    assert "max_batch_size" not in value.config
    assert any("requests carry their own batch" in note for note in value.notes)
    session = onnxruntime.InferenceSession(folder / "model/model.onnx")
    return made, (lambda feeds: {"turned": session.run(None, feeds)[0]}, ids(3, 6))


def _onnx_scalar(folder: Path, name: str):
    """No batch at all, and an output without axes."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
            helper.make_node("Neg", ["x"], ["minus"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("minus", TensorProto.FLOAT, [4, 4]),
        ],
    )
    (folder / "model").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save_model(model, folder / "model/model.onnx")
    sig = signature(
        [("x", "float32", (4, 4))], [("total", "float32", ()), ("minus", "float32", (4, 4))]
    )
    made, value = make(
        folder, "onnx:fp32@ort-cpu", folder / "model", sig, [{"x": rows(4, 4)}], name=name
    )
    assert any("'total' travels as [1]" in note for note in value.notes)
    session = onnxruntime.InferenceSession(folder / "model/model.onnx")

    def direct(feeds):
        total, minus = session.run(["total", "minus"], feeds)
        return {"total": total.reshape(1), "minus": minus}

    return made, (direct, {"x": rows(4, 4)})


def _openvino_padded(folder: Path, name: str):
    """Batching that was asked for: the backend pads."""
    import openvino

    onnx_file(folder / "onnx")
    (folder / "model").mkdir()
    model = openvino.convert_model(folder / "onnx/model.onnx")
    openvino.save_model(model, folder / "model/model.xml", compress_to_fp16=False)
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    made, value = make(
        folder,
        "openvino:fp32@ov-cpu",
        folder / "model",
        sig,
        [{"x": rows(1, 6)}],
        name=name,
        max_batch_size=4,
    )
    assert value.backend == "openvino"
    assert {"1/model.xml", "1/model.bin"} <= set(value.files)
    assert "ENABLE_BATCH_PADDING" in value.config
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return made, (lambda feeds: {"y": compiled(feeds)[0]}, {"x": rows(3, 6)})


def _module():
    import torch

    class Sides(torch.nn.Module):
        """Defined here, so that only pickling by value can carry it."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.one = torch.nn.Linear(6, 4)

        def forward(self, left, right):
            made = torch.tanh(self.one(left))
            return made + right, made.sum(1)

    return Sides().eval()


SIDES = [
    [("left", "float32", ("batch", 6)), ("right", "float32", ("batch", 4))],
    [("joined", "float32", ("batch", 4)), ("total", "float32", ("batch",))],
]


def _sides(batch: int):
    return {"left": rows(batch, 6), "right": rows(batch, 4)}


def _direct_sides(module):
    import torch

    def direct(feeds):
        with torch.inference_mode():
            joined, total = module(*map(torch.from_numpy, feeds.values()))
        return {"joined": joined.numpy(), "total": total.numpy().reshape(-1, 1)}

    return direct


def _torchscript_crossed(folder: Path, name: str):
    """Names that libtorch's backend would take for other positions are changed, and it is said."""
    import torch

    module = _module()
    (folder / "model").mkdir()
    traced = torch.jit.trace(module, tuple(map(torch.from_numpy, _sides(2).values())))
    traced.save(str(folder / "model/model.pt"))
    inputs = [("x__1", "float32", ("batch", 6)), ("x__0", "float32", ("batch", 4))]
    sample = dict(zip(("x__1", "x__0"), _sides(1).values(), strict=True))
    made, value = make(
        folder, "torchscript:fp32@jit-cpu", folder / "model", signature(inputs, SIDES[1]), [sample],
        name=name,
    )  # fmt: skip
    assert value.backend == "pytorch"
    assert any("'x__1' is served as 'x__0'" in note for note in value.notes)
    feeds = dict(zip(("x__0", "x__1"), _sides(3).values(), strict=True))
    return made, (_direct_sides(module), feeds)


def _torch_export(folder: Path, name: str):
    import torch

    module = _module()
    (folder / "model").mkdir()
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(
        module,
        tuple(map(torch.from_numpy, _sides(2).values())),
        dynamic_shapes=({0: batch}, {0: batch}),
    )
    torch.export.save(program, folder / "model/model.pt2")
    made, value = make(
        folder, "torch-export:fp32@export-cpu", folder / "model", signature(*SIDES), [_sides(1)],
        name=name,
    )  # fmt: skip
    assert value.backend == "python"
    return made, (_direct_sides(module), _sides(4))


def _callable(folder: Path, name: str):
    import cloudpickle

    def double(values, flags):
        return {"doubled": values * 2, "none": ~flags}

    (folder / "model").mkdir()
    (folder / "model/callable.pkl").write_bytes(cloudpickle.dumps(double))
    sig = signature(
        [("values", "int64", ("batch", 2)), ("flags", "bool", ("batch", 3))],
        [("doubled", "int64", ("batch", 2)), ("none", "bool", ("batch", 3))],
        call={"args": [{"input": "values"}, {"input": "flags"}], "kwargs": {}},
    )

    def feeds(batch):
        return {
            "values": RNG.integers(-9, 9, (batch, 2)),
            "flags": RNG.integers(0, 2, (batch, 3)).astype(bool),
        }

    made, _ = make(folder, "python:fp32@python-cpu", folder / "model", sig, [feeds(1)], name=name)
    return made, (lambda given: double(*given.values()), feeds(3))


def _carried_onnx(folder: Path, name: str):
    """Although Triton has a backend for it, the measured runner is asked for; external data."""
    import onnxruntime

    model = onnx_file(folder / "model", external=True)
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    made, value = make(
        folder, "onnx:fp32@ort-cpu", model, sig, [{"x": rows(1, 6)}], name=name, backend="python"
    )
    assert value.backend == "python"
    session = onnxruntime.InferenceSession(model / "model.onnx")
    return made, (lambda feeds: {"y": session.run(None, feeds)[0]}, {"x": rows(2, 6)})


def _odd(folder: Path, name: str):
    """The measured runner isn't what Triton's backend computes: it is seen, and it is served."""
    import onnxruntime

    model = onnx_file(folder / "model")
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    made, value = make(folder, "onnx:fp32@odd-cpu", model, sig, [{"x": rows(1, 6)}], name=name)
    assert value.backend == "python"
    assert any("would not compute what was measured: y is" in note for note in value.notes)
    session = onnxruntime.InferenceSession(model / "model.onnx")
    return made, (lambda feeds: {"y": session.run(None, feeds)[0] + 1}, {"x": rows(2, 6)})


OWN_CODE = """
import torch

class Own(torch.nn.Module):
    def forward(self, total):
        return {"twice": total * 2, "scalar": total.sum()}
"""


def _own_code(folder: Path, name: str):
    """A class in the user's own file, which the server doesn't have; an output without axes."""
    import importlib

    import cloudpickle
    import torch

    (folder / "own").mkdir()
    (folder / "own/navigator_lab_test_own.py").write_text(OWN_CODE)
    sys.path.insert(0, str(folder / "own"))
    try:
        module = importlib.import_module("navigator_lab_test_own").Own()
        (folder / "model").mkdir()
        torch.save(module, folder / "model/model.pt", pickle_module=cloudpickle)
        sig = signature(
            [("total", "float32", (2, 3))],
            [("twice", "float32", (2, 3)), ("scalar", "float32", ())],
            call={"args": [], "kwargs": {"total": {"input": "total"}}},
        )
        made, value = make(
            folder, "torch:fp32@eager-cpu", folder / "model", sig, [{"total": rows(2, 3)}],
            name=name,
        )  # fmt: skip
    finally:
        sys.path.remove(str(folder / "own"))
    assert any("navigator_lab_test_own" in note for note in value.notes)

    def direct(feeds):
        return {"twice": feeds["total"] * 2, "scalar": feeds["total"].sum().reshape(1)}

    return made, (direct, {"total": rows(2, 3)})


def _onnx_text(folder: Path, name: str):
    """Strings in, strings out."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["words"], ["same"])],
        "g",
        [helper.make_tensor_value_info("words", TensorProto.STRING, ["batch", 2])],
        [helper.make_tensor_value_info("same", TensorProto.STRING, ["batch", 2])],
    )
    (folder / "model").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save_model(model, folder / "model/model.onnx")
    sig = signature([("words", "<U5", ("batch", 2))], [("same", "object", ("batch", 2))])
    made, _ = make(
        folder, "onnx:fp32@ort-cpu", folder / "model", sig, [{"words": np.array([["a", "größe"]])}],
        name=name,
    )  # fmt: skip
    words = np.array([["x", "äöü"], ["", "long enough"]], object)
    return made, (
        lambda feeds: {"same": np.char.encode(feeds["words"].astype("U")).astype(object)},
        {"words": words},
    )


BUILDS = {
    "onnx": _onnx,
    "onnx_ids": _onnx_ids,
    "onnx_scalar": _onnx_scalar,
    "openvino_padded": _openvino_padded,
    "torchscript_crossed": _torchscript_crossed,
    "torch_export": _torch_export,
    "callable": _callable,
    "carried_onnx": _carried_onnx,
    "odd": _odd,
    "own_code": _own_code,
    "onnx_text": _onnx_text,
}


@pytest.mark.parametrize("name", BUILDS)
def test_answers_like_the_direct_run(served, name):
    server, expected = served
    direct, feeds = expected[name]
    got, wanted = server.infer(name, feeds), direct(feeds)
    assert set(got) == set(wanted)
    for output, array in wanted.items():
        assert got[output].dtype == array.dtype
        assert got[output].shape == array.shape
        if array.dtype == object:
            assert got[output].tolist() == array.tolist()
        else:
            np.testing.assert_allclose(got[output], array, rtol=1e-4, atol=1e-4)


def test_warm_up_ran_at_one_and_at_the_largest_batch(served):
    server, _ = served
    stats = server.statistics("torch_export")
    assert {1, 8} <= {int(one["batch_size"]) for one in stats["batch_stats"]}


def test_our_checks_find_nothing_in_what_the_server_takes(served, repository):
    assert check(repository) == []


def test_a_carried_package_needs_nothing_of_ours(served, repository):
    """What it imports of ours is the copy that it carries."""
    carried = repository / "carried_onnx/1/carried"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from navigator_lab.runners.onnxruntime import ort\n"
        "own = [m.__file__ for n, m in sys.modules.items() if n.startswith('navigator_lab')]\n"
        "assert own and all(f.startswith(sys.argv[1]) for f in own), own\n"
    )
    done = subprocess.run([sys.executable, "-c", code, carried], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_refusals_are_in_the_servers_words(served):
    server, _ = served
    with pytest.raises(NavigatorError, match=r"unexpected shape for input 'x'"):
        server.infer("onnx", {"x": rows(2, 7)})
    with pytest.raises(NavigatorError, match="batch-size must be <= 8"):
        server.infer("onnx", {"x": rows(9, 6)})


def test_a_request_that_fails_leaves_the_model_serving(served):
    server, expected = served
    direct, feeds = expected["onnx_ids"]
    bad = {"ids": np.full((1, 3), 99), "mask": np.ones((1, 3), np.int64)}
    with pytest.raises(NavigatorError, match="out of data bounds"):
        server.infer("onnx_ids", bad)
    np.testing.assert_allclose(
        server.infer("onnx_ids", feeds)["turned"], direct(feeds)["turned"], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('name: "y"', 'name: "z"'), "output 'z'"),
        (("TYPE_FP32\n  dims: 3", "TYPE_FP64\n  dims: 3"), "TYPE_FP64"),
        (("dims: 3", "dims: 4"), "tensor 'y'"),
        (('backend: "onnxruntime"', 'backend: "nothing"'), "nothing"),
        (("batch_size: 1\n", "batch_sise: 1\n"), "batch_sise"),
    ],
    ids=["name", "type", "dims", "backend", "field"],
)
def test_a_bad_repository_is_refused_with_the_reason(tmp_path, change, words):
    model = onnx_file(tmp_path / "model")
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    made, value = make(tmp_path, "onnx:fp32@ort-cpu", model, sig, [{"x": rows(1, 6)}], name="bad")
    publish(made, tmp_path / "repository")
    assert change[0] in value.config
    config = tmp_path / "repository/bad/config.pbtxt"
    config.write_text(config.read_text().replace(*change))
    with pytest.raises(PackageError) as refused, serve(tmp_path / "repository"):
        pass
    assert words in refused.value.message
    # Our own checks say so too; of a backend they only know that it is none of Triton's.
    (found, *_) = check(tmp_path / "repository")
    assert words in found.message
    assert found.error == ("nothing" not in words)


def test_no_repository_and_no_model(tmp_path):
    with pytest.raises(PackageError, match="no model repository"), serve(tmp_path / "none"):
        pass
    with pytest.raises(PackageError, match="no models"), serve(tmp_path):
        pass


SCRIPT = """
import sys, time
from navigator_lab.triton.server import serve
with serve(sys.argv[1]) as server:
    print(server.http, flush=True)
    time.sleep(600)
"""


def test_no_server_outlives_a_killed_parent(tmp_path):
    model = onnx_file(tmp_path / "model")
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    made, _ = make(tmp_path, "onnx:fp32@ort-cpu", model, sig, [{"x": rows(1, 6)}], name="one")
    publish(made, tmp_path / "repository")
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "repository")], stdout=subprocess.PIPE
    ) as parent:
        port = parent.stdout.readline().strip().partition(b":")[2].decode()
        mine = _processes(f"--http-port={port}")
        assert mine, "the server should be running by now"
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    until = time.monotonic() + 20
    while time.monotonic() < until and _processes(f"--http-port={port}"):
        time.sleep(0.05)
    assert not _processes(f"--http-port={port}")
    assert not list(Path("/dev/shm").glob(f"navigator_lab_{parent.pid}_*"))


def test_a_keeper_that_is_ended_takes_its_server_along():
    """As `timeout` does: it ends the whole group, the keeper too."""
    command = [sys.executable, "-S", keeper.__file__, "none", "sleep", "613"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as made:
        until = time.monotonic() + 20
        while len(_processes("sleep\x00613\x00")) < 2 and time.monotonic() < until:
            time.sleep(0.02)  # its own words have the server's in them
        while made.poll() is None and time.monotonic() < until:
            made.terminate()
            time.sleep(0.5)
        assert made.poll() is not None
    while _processes("sleep\x00613\x00") and time.monotonic() < until:
        time.sleep(0.02)
    assert not _processes("sleep\x00613\x00")


def _processes(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark.encode() in (folder / "cmdline").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
    return found
