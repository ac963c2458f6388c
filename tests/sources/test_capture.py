"""Models as users give them: recognised, fingerprinted, written, and the bad ones refused."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from navigator_lab.errors import ModelError, TrustError
from navigator_lab.sources import capture

# Torch says that TorchScript is on its way out, also when a user's file is opened on purpose.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit.*:FutureWarning"),
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit.*:DeprecationWarning"),
]


class Net(nn.Module):
    """A small model with attributes of several kinds."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)
        self.scale = scale
        self.register_buffer("mean", torch.arange(4.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(x)) * self.scale + self.mean


def python(code: str, *arguments: str, cwd: Path | None = None) -> str:
    """The output of a fresh interpreter that runs ``code``."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def onnx_model(weights: np.ndarray | None = None) -> onnx.ModelProto:
    weights = np.arange(12, dtype=np.float32).reshape(3, 4) if weights is None else weights
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_a_module_is_written_and_read_without_its_class(tmp_path: Path) -> None:
    class Local(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) - 1

    model = Local().train()
    captured = capture(model)
    captured.write(tmp_path)
    assert model.training, "the user's module was changed"
    assert str(captured.variant) == "torch:fp32"
    assert captured.name == "local"
    assert captured.parameters == ("x",)
    assert any("train mode" in note for note in captured.notes)
    x = torch.randn(2, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    out = python(
        """
        import sys, json, torch, numpy
        model = torch.load(sys.argv[1] + "/model.pt", weights_only=False, mmap=True).eval()
        x = torch.from_numpy(numpy.load(sys.argv[1] + "/x.npy"))
        print(json.dumps(model(x).tolist()))
        """,
        str(tmp_path),
        cwd=tmp_path,
    )
    np.testing.assert_allclose(json.loads(out), model(x).tolist(), rtol=1e-6)


NOTEBOOK = """
import torch, sys
from navigator_lab.sources import capture
def helper(x): return x * {factor}
class Cell(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 4)
    def forward(self, x):
        {comment}
        return helper(super().__repr__() and self.layer(x)) + {shift}
print(capture(Cell()).fingerprint)
"""


def test_a_notebook_cell_is_known_by_its_code() -> None:
    def run(factor: int = 2, shift: int = 1, comment: str = "# said later") -> str:
        return python(NOTEBOOK.format(factor=factor, shift=shift, comment=comment))

    first = run()
    assert run() == first, "it changed from one process to another"
    assert run(comment="'''says something'''") == first
    assert run(shift=3) != first
    assert run(factor=3) != first, "a function that forward calls was changed"


def test_a_users_module_is_carried_along(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    (here / "mine" / "__init__.py").write_text("")
    (here / "mine" / "parts.py").write_text("FACTOR = 3.0\ndef scaled(x):\n    return x * FACTOR\n")
    (here / "mine" / "net.py").write_text(
        textwrap.dedent(
            """
            import torch
            from . import parts
            class Net(torch.nn.Module):
                def forward(self, x):
                    return parts.scaled(x)
            def make():
                return Net()
            """
        )
    )
    write = """
        import sys, pathlib
        from navigator_lab.sources import capture
        captured = capture("mine.net:make")
        captured.write(pathlib.Path(sys.argv[1]))
        print(captured.name, captured.fingerprint)
        """
    said = python(write, str(tmp_path), cwd=here)
    assert said.startswith("net ")
    read = """
        import sys, torch
        print(torch.load(sys.argv[1] + "/model.pt", weights_only=False)(torch.ones(1)).item())
        """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert python(read, str(tmp_path), cwd=elsewhere) == "3.0"
    (here / "mine" / "parts.py").write_text("FACTOR = 4.0\ndef scaled(x):\n    return x * FACTOR\n")
    assert python(write, str(tmp_path), cwd=here) != said


def test_equal_instances_are_one_and_changes_are_seen() -> None:
    first = capture(Net()).fingerprint
    assert capture(Net()).fingerprint == first
    assert capture(Net().train()).fingerprint == capture(Net().eval()).fingerprint

    def changed(change: object) -> str:
        model = Net()
        change(model)  # type: ignore[operator]
        return capture(model).fingerprint

    def weight(model: Net) -> None:
        model.layer.weight.data[1, 2] += 1e-3  # does not move the tensor's version

    def hook(model: Net) -> None:
        model.layer.register_forward_hook(lambda m, i, o: o * 2)

    def other_hook(model: Net) -> None:
        model.layer.register_forward_hook(lambda m, i, o: o * 3)

    def closure(model: Net) -> None:
        factor = 5
        model.forward = lambda x: x * factor  # type: ignore[method-assign]

    changes = [
        weight,
        hook,
        other_hook,
        closure,
        lambda m: setattr(m.norm, "eps", 1e-3),
        lambda m: setattr(m, "scale", 3.0),
        lambda m: m.mean.add_(1),
        lambda m: m.half(),
        lambda m: setattr(m, "layer", nn.Sequential(m.layer)),
    ]
    digests = [changed(change) for change in changes]
    assert len({first, *digests}) == len(changes) + 1
    assert changed(hook) == changed(hook)


def test_the_same_live_module_is_hashed_again() -> None:
    model = Net()
    before = capture(model).fingerprint
    model.layer.weight.data.mul_(2)
    assert capture(model).fingerprint != before


def test_strides_do_not_count_but_shapes_do() -> None:
    from navigator_lab.sources.fingerprint import of_tensor

    x = torch.randn(2, 3, 4, 5)
    assert of_tensor(x.to(memory_format=torch.channels_last)) == of_tensor(x)
    assert of_tensor(x.reshape(6, 20)) != of_tensor(x)
    assert of_tensor(x.view(torch.int32)) != of_tensor(x)
    assert of_tensor(x[:, ::2]) == of_tensor(x[:, ::2].clone())
    assert of_tensor(torch.empty(0)) != of_tensor(torch.empty(0, 1))


def test_callables_are_known_by_code_closure_and_globals() -> None:
    def make(factor: int, default: int = 0) -> object:
        def call(x: np.ndarray, y: int = default) -> np.ndarray:
            return x * factor + y

        return call

    first = capture(make(2)).fingerprint
    assert capture(make(2)).fingerprint == first
    assert len({first, capture(make(3)).fingerprint, capture(make(2, 1)).fingerprint}) == 3
    assert capture(np.tanh).fingerprint != capture(np.sin).fingerprint


class Table:
    """A callable object with state."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __call__(self, index: np.ndarray) -> np.ndarray:
        return self.values[index]


def test_callable_objects_are_known_by_their_state(tmp_path: Path) -> None:
    first = capture(Table(np.arange(3)))
    assert first.fingerprint == capture(Table(np.arange(3))).fingerprint
    assert first.fingerprint != capture(Table(np.arange(1, 4))).fingerprint
    first.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["callable.pkl"]
    read = "import sys, pickle; print(pickle.load(open(sys.argv[1], 'rb'))([2, 0]).tolist())"
    assert python(read, str(tmp_path / "callable.pkl"), cwd=tmp_path) == "[2, 0]"


def test_a_large_module_is_never_held_twice(tmp_path: Path) -> None:
    said = python(
        """
        import pathlib, sys, threading, time, psutil, torch
        from navigator_lab.sources import capture
        model = torch.nn.Linear(16384, 8192, bias=False)  # 512 MiB
        model.weight.data.fill_(0.5)
        capture(torch.nn.Linear(2, 2)).write(pathlib.Path(sys.argv[1]))  # all imports done
        me = psutil.Process(); before = me.memory_info().rss; peak = [0]; stop = []
        def watch():
            while not stop:
                peak[0] = max(peak[0], me.memory_info().rss - before); time.sleep(0.002)
        thread = threading.Thread(target=watch); thread.start()
        capture(model).write(pathlib.Path(sys.argv[1]))
        stop.append(1); thread.join()
        print(peak[0] >> 20)
        """,
        str(tmp_path),
    )
    assert int(said) < 200, f"{said} MiB more while capturing and writing 512 MiB"


def test_torchscript_files_and_objects(tmp_path: Path) -> None:
    model = Net().eval()
    scripted = torch.jit.script(model)
    path = tmp_path / "My-Net.v1.pt"
    scripted.save(str(path))
    captured = capture(str(path))
    assert (str(captured.variant), captured.name) == ("torchscript:fp32", "my-net_v1")
    assert captured.parameters == ("x",)
    (tmp_path / "out").mkdir()
    captured.write(tmp_path / "out")
    x = torch.randn(2, 3)
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "out" / "model.pt"))(x), model(x))
    live = capture(torch.jit.load(str(path)))
    assert live.fingerprint == capture(torch.jit.load(str(path))).fingerprint
    loaded = torch.jit.load(str(path))
    loaded.layer.weight.data.mul_(2)
    assert capture(loaded).fingerprint != live.fingerprint


def test_exported_programs(tmp_path: Path) -> None:
    program = torch.export.export(Net().eval(), (torch.randn(2, 3),))
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    for model in (program, path):
        captured = capture(model)
        assert str(captured.variant) == "torch-export:fp32"
        assert captured.parameters == ("x",)
        out = tmp_path / captured.name
        out.mkdir()
        captured.write(out)
        x = torch.randn(2, 3)
        again = torch.export.load(out / "model.pt2").module()
        torch.testing.assert_close(again(x), Net().eval()(x))
    other = torch.export.export(Net(3.0).eval(), (torch.randn(2, 3),))
    assert capture(other).fingerprint != capture(program).fingerprint


def test_onnx_files_and_objects(tmp_path: Path) -> None:
    proto = onnx_model()
    path = tmp_path / "product.onnx"
    onnx.save(proto, path)
    for model in (path, proto):
        captured = capture(model)
        assert str(captured.variant) == "onnx:fp32"
        assert captured.inputs is not None
        assert captured.inputs[0].shape == ("batch", 3)
        assert captured.inputs[0].dtype == "float32"
        out = tmp_path / f"out-{type(model).__name__}"
        out.mkdir()
        captured.write(out)
        assert onnx.load(out / "model.onnx") == proto
    digests = {capture(onnx_model(np.full((3, 4), v, np.float32))).fingerprint for v in (1, 2)}
    assert len(digests) == 2
    half = onnx_model(np.ones((3, 4), np.float16))
    half.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert str(capture(half).variant) == "onnx:fp16"


def test_external_data_counts_and_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save = {"save_as_external_data": True, "location": "sub.bin", "size_threshold": 0}
    onnx.save(onnx_model(), path, **save)
    first = capture(path)
    (tmp_path / "out").mkdir()
    first.write(tmp_path / "out")
    again = onnx.load(tmp_path / "out" / "model.onnx")
    np.testing.assert_array_equal(
        numpy_helper.to_array(again.graph.initializer[0]).ravel(), np.arange(12)
    )
    data = bytearray((tmp_path / "sub.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "sub.bin").write_bytes(data)
    assert capture(path).fingerprint != first.fingerprint
    (tmp_path / "sub.bin").write_bytes(data[:20])
    with pytest.raises(ModelError, match="cut off"):
        capture(path)
    (tmp_path / "sub.bin").unlink()
    with pytest.raises(ModelError, match=r"needs 'sub\.bin'"):
        capture(path)


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin", "a/../../secret.bin", "C:/x"])
def test_external_data_may_not_lead_out(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    folder = tmp_path / "model"
    folder.mkdir()
    proto = onnx_model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="outside of its folder"):
        capture(folder / "m.onnx")
    link = tensor.external_data[0]
    link.value = "weights.bin"
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(ModelError, match="link out of its folder"):
        capture(folder / "m.onnx")


def test_a_large_proto_is_written_in_pieces(tmp_path: Path) -> None:
    from navigator_lab.sources import onnx_data

    proto = onnx_model(np.random.default_rng(0).random((3, 400), np.float32))
    before = proto.SerializeToString()
    onnx_data.write(proto, tmp_path, "model.onnx", inline_bytes=1000)
    assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}
    assert proto.SerializeToString() == before, "the user's proto was changed"
    again = onnx.load(tmp_path / "model.onnx")
    np.testing.assert_array_equal(
        numpy_helper.to_array(again.graph.initializer[0]),
        numpy_helper.to_array(proto.graph.initializer[0]),
    )


class Evil:
    """Leaves a file behind where it is opened."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (Path(self.path),)


def test_pickled_files_need_trust(tmp_path: Path) -> None:
    torch.save(Net(), tmp_path / "net.pt")
    with pytest.raises(TrustError, match="pickled") as caught:
        capture(tmp_path / "net.pt")
    assert "trust=True" in caught.value.remedy
    trusted = capture(tmp_path / "net.pt", trust=True)
    assert trusted.name == "net"
    assert trusted.fingerprint == capture(Net()).fingerprint
    mark = tmp_path / "was-here"
    torch.save(Evil(str(mark)), tmp_path / "evil.pt")
    torch.save(Evil(str(mark)), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("evil.pt", "old.pt"):
        with pytest.raises(TrustError):
            capture(tmp_path / name)
    assert not mark.exists()


def test_a_pt2_with_a_pickle_inside_needs_trust(tmp_path: Path) -> None:
    import io

    program = torch.export.export(Net().eval(), (torch.randn(2, 3),))
    torch.export.save(program, tmp_path / "good.pt2")
    mark = tmp_path / "was-here"
    pickled = io.BytesIO()
    torch.save((Evil(str(mark)),), pickled)
    with (
        zipfile.ZipFile(tmp_path / "good.pt2") as good,
        zipfile.ZipFile(tmp_path / "evil.pt2", "w") as evil,
    ):
        for name in good.namelist():
            content = good.read(name)
            evil.writestr(name, pickled.getvalue() if name.endswith("model.pt") else content)
    with pytest.raises(TrustError, match="can run any code"):
        capture(tmp_path / "evil.pt2")
    assert not mark.exists()


def test_a_state_dict_is_no_model(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "model": Net().state_dict()}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="only weights") as caught:
        capture(tmp_path / "weights.pth")
    assert "load_state_dict" in caught.value.remedy


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize("kind", ["pt", "pt2", "onnx", "script", "pickle"])
def test_cut_off_files_are_refused(tmp_path: Path, kind: str, keep: float) -> None:
    path = tmp_path / f"model.{kind}"
    if kind == "pt2":
        torch.export.save(torch.export.export(Net().eval(), (torch.randn(2, 3),)), path)
    elif kind == "onnx":
        onnx.save(onnx_model(), path)
    elif kind == "script":
        torch.jit.script(Net().eval()).save(str(path))
    else:
        state = Net().state_dict()
        torch.save(state, path, _use_new_zipfile_serialization=kind == "pt")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ModelError) as caught:
        capture(path)
    assert caught.value.remedy


def _plain_file(folder: Path) -> Path:
    (folder / "notes.onnx").write_text("this is no model at all\n" * 9)
    return folder / "notes.onnx"


def _empty_file(folder: Path) -> Path:
    (folder / "empty.onnx").touch()
    return folder / "empty.onnx"


def _arrays(folder: Path) -> Path:
    np.savez(folder / "x.npz", x=np.ones(3))
    return folder / "x.npz"


def _parametrized(folder: Path) -> nn.Module:
    return torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))


def _no_inputs(folder: Path) -> onnx.ModelProto:
    proto = onnx_model()
    del proto.graph.input[:]
    return proto


BAD = {
    "None": (lambda folder: None, "no model"),
    "number": (lambda folder: 3, "no model"),
    "missing": (lambda folder: str(folder / "gone.onnx"), "there is no file"),
    "folder": (lambda folder: folder, "is a folder"),
    "empty": (_empty_file, "is empty"),
    "text": (_plain_file, r"no (whole ONNX file|model|ONNX model)"),
    "arrays": (_arrays, "holds arrays"),
    "class": (lambda folder: Net, "is a class"),
    "meta": (lambda folder: nn.Linear(2, 2, device="meta"), "meta device"),
    "parametrized": (_parametrized, "parametrizations"),
    "no forward": (lambda folder: nn.ModuleList([nn.Linear(2, 2)]), r"no forward"),
    "factory": (lambda folder: "torch.nn:Linear", "without arguments"),
    "factory name": (lambda folder: "torch.nn:Liner", "there is no 'Liner'"),
    "factory module": (lambda folder: "not_there_at_all:make", "No module named"),
    "no inputs": (_no_inputs, "has no inputs"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_model_is_refused_with_a_remedy(tmp_path: Path, what: str) -> None:
    make, says = BAD[what]
    with pytest.raises(ModelError, match=says) as caught:
        capture(make(tmp_path))
    assert caught.value.remedy or what == "no inputs"


def test_a_lazy_module_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that lazy modules are new
        lazy = nn.LazyLinear(3)
    with pytest.raises(ModelError, match="lazy"):
        capture(lazy)


def test_what_cannot_be_pickled_is_refused(tmp_path: Path) -> None:
    import threading

    model = Net()
    model.lock = threading.Lock()
    captured = capture(model)
    with pytest.raises(ModelError, match="can't be written"):
        captured.write(tmp_path)


def test_wrappers_are_taken_off() -> None:
    model = Net()
    plain = capture(model)
    wrapped = capture(torch.compile(model))
    assert wrapped.fingerprint == plain.fingerprint
    assert any("torch.compile" in note for note in wrapped.notes)


def test_file_hashes_are_remembered(tmp_path: Path) -> None:
    class Memory:
        def __init__(self) -> None:
            self.known: dict[Path, str] = {}

        def get(self, path: Path) -> str | None:
            return self.known.get(path)

        def put(self, path: Path, digest: str) -> None:
            self.known[path] = digest

    path = tmp_path / "m.onnx"
    onnx.save(onnx_model(), path)
    memory = Memory()
    first = capture(path, hashes=memory)
    assert list(memory.known) == [path]
    memory.known[path] = "0" * 64
    assert capture(path, hashes=memory).fingerprint != first.fingerprint, "it wasn't asked"


def test_nothing_is_imported_for_a_callable() -> None:
    said = python(
        """
        import sys
        from navigator_lab.sources import capture
        from navigator_lab.sources.samples import take
        take([[1.0]] and __import__("numpy").ones(3), capture(lambda x: x))
        print([m for m in ("torch", "onnx", "onnxruntime") if m in sys.modules])
        """
    )
    assert said == "[]"
