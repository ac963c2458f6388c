"""What lies beside a configuration: names of an output's elements, and a packed environment.

One real server uses both: it answers by the names, and runs a model in the environment.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import urllib.request
import venv
from pathlib import Path

import numpy as np
import pytest
from triton_making import make, onnx_file, signature

from navigator_lab import triton
from navigator_lab.errors import NavigatorError, PackageError
from navigator_lab.stages.package import PackageOptions
from navigator_lab.triton import environment
from navigator_lab.triton.repository import publish
from navigator_lab.triton.runtime import ready
from navigator_lab.triton.server import serve

SIG = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
X = np.random.default_rng(3).normal(size=(2, 6)).astype(np.float32)
NAMES = ["low", "größer", "high"]
TELLS = """
import sys
import numpy as np
import triton_python_backend_utils as pb_utils

try:
    import onnxruntime
except ImportError:
    onnxruntime = None


class TritonPythonModel:
    def execute(self, requests):
        said = [sys.prefix, np.__version__, str(onnxruntime), sys.executable]
        answer = pb_utils.Tensor("said", np.array(said, object))
        return [pb_utils.InferenceResponse([answer]) for _ in requests]
"""


def packed(folder, labels, name="m", **more):
    model = onnx_file(folder / "model")
    sample = [{"x": X[:1]}]
    return make(folder, "onnx:fp32@ort-cpu", model, SIG, sample, name=name, labels=labels, **more)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter with numpy 1.26 and nothing else, as the wheel's server needs it."""
    home = tmp_path_factory.mktemp("environment") / "env"
    venv.create(home, symlinks=True, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    shutil.copytree(ready().numpy, packages, dirs_exist_ok=True)
    return str(home / "bin/python")


@pytest.fixture(scope="module")
def repository(tmp_path_factory, python):
    folder = tmp_path_factory.mktemp("beside")
    made, _ = packed(folder, NAMES)
    root = folder / "repository"
    publish(made, root)
    (folder / "tells.py").write_text(TELLS)
    model = triton.python_model(
        "tells", folder / "tells.py", [{"name": "x", "data_type": "FP32", "dims": [1]}],
        [{"name": "said", "data_type": "STRING", "dims": [4]}],
        requirements=["numpy<2"], environment=python,
    )  # fmt: skip
    triton.Repository(root).add(model.write(folder))
    return root


def test_a_real_server_uses_both(repository):
    assert [one for one in triton.check(repository) if one.error] == []
    with serve(repository) as server:
        asked = {
            "inputs": [{"name": "x", "shape": [2, 6], "datatype": "FP32",
                        "data": X.ravel().tolist()}],
            "outputs": [{"name": "y", "parameters": {"classification": 1}}],
        }  # fmt: skip
        url = f"http://{server.http}/v2/models/m/infer"
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(asked).encode(), method="POST"), timeout=30
        ) as answer:
            (found,) = json.loads(answer.read())["outputs"]
        best = server.infer("m", {"x": X})["y"].argmax(-1)
        assert [one.split(":")[2] for one in found["data"]] == [NAMES[i] for i in best]

        prefix, version, other, executable = (
            one.decode() for one in server.infer("tells", {"x": np.ones(1, np.float32)})["said"]
        )
    assert prefix.startswith("/tmp/python_env_")
    assert executable.startswith(prefix)
    assert version == "1.26.4"
    assert other == "None"  # the server's own Python has it: `m` is served with it


def test_what_the_archive_holds(repository):
    path = repository / "tells" / environment.ARCHIVE
    with tarfile.open(path) as archive:
        names = archive.getnames()
    lib = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    assert names[0] == "bin/activate"
    assert {"bin/python3", f"{lib}/os.py", f"{lib}/site-packages/numpy/__init__.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("/")]
    assert environment.activates(path)


def test_an_environment_that_cannot_be_had(tmp_path, python):
    with pytest.raises(PackageError, match="has no onnxruntime"):
        environment.pack(tmp_path / "a.tar.gz", ["onnxruntime"], python)
    with pytest.raises(PackageError, match="no environment can be packed from /nowhere/python"):
        environment.stamped("/nowhere/python")
    with pytest.raises(PackageError, match="onnxruntime backend takes no environment"):
        packed(tmp_path, "", environment=environment.stamped(python))


def test_the_runner_and_what_it_requires_are_packed(tmp_path):
    """Of this very interpreter: a carried model's archive, without running it."""
    stamp = environment.stamped(sys.executable)
    folder, value = packed(tmp_path, "", backend="python", environment=stamp)
    assert "environment.tar.gz" in value.files
    assert 'string_value: "$$TRITON_MODEL_DIRECTORY/environment.tar.gz"' in value.config
    with tarfile.open(folder / "environment.tar.gz") as archive:
        tops = {name.split("/")[3] for name in archive.getnames() if "site-packages/" in name}
    assert {"numpy", "onnxruntime", "google"} <= tops  # onnxruntime requires protobuf
    assert not {"torch", "IPython", "navigator_lab"} & tops
    assert any("onnxruntime==" in note and "MB" in note for note in value.notes)


def test_the_checks_look_for_the_script(repository, tmp_path):
    shutil.copytree(repository / "tells", tmp_path / "tells")
    path = tmp_path / "tells" / environment.ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        archive.add(Path(__file__), "env/bin/activate")
    (found,) = [one for one in triton.check(tmp_path) if one.error]
    assert "should contain an 'activate' script" in found.message
    with (
        pytest.raises(NavigatorError, match="should contain an 'activate' script"),
        serve(tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", "b"], "2 labels for output 'y', which has 3 elements"),
        ({"z": ["a"]}, "unknown output 'z'"),
        (["a", "b\nc", "d"], "more than one line"),
        ({"y": "abc"}, "labels are no lists"),
        ("[", "labels is no JSON"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, words):
    with pytest.raises(NavigatorError) as refused:
        packed(tmp_path, labels)
    assert words in str(refused.value)


def test_several_outputs_are_named(tmp_path):
    assert PackageOptions(labels={"a": ["x"]}).labelled(["a", "b"]) == {"a": ["x"]}
    with pytest.raises(PackageError, match="of which output: a, b"):
        PackageOptions(labels=["x"]).labelled(["a", "b"])


def test_labels_are_shared_by_all_versions(tmp_path):
    root = tmp_path / "repository"
    for i, (version, labels) in enumerate([(1, NAMES), (2, NAMES), (3, ["a", "b", "c"])]):
        (tmp_path / str(i)).mkdir()
        made, _ = packed(tmp_path / str(i), labels, version=version)
        if version == 3:
            with pytest.raises(PackageError, match=r"another labels\.txt already"):
                publish(made, root)
            publish(made, root, overwrite=True)
        else:
            publish(made, root)
    assert (root / "m/labels.txt").read_text() == "a\nb\nc\n"
    assert sorted(p.name for p in (root / "m").iterdir() if p.is_dir()) == ["1", "2", "3", "warmup"]
    (root / "m/labels.txt").write_text("a\n")
    (found,) = triton.check(root)
    assert not found.error
    assert "has 1 labels for the 3 elements" in found.message
