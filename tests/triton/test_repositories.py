"""Looking at a repository and changing it, in a folder and in an object store alike."""

from __future__ import annotations

import os
import subprocess
import sys

import fsspec
import pytest
from triton_making import onnx_file

from navigator_lab.errors import NavigatorError, PackageError
from navigator_lab.triton import ModelConfig, Repository, check
from navigator_lab.triton.repository import write


def config(name="m", largest=8):
    return ModelConfig(
        name=name, backend="onnxruntime", max_batch_size=largest,
        input=[{"name": "x", "data_type": "FP32", "dims": [6]}],
        output=[{"name": "y", "data_type": "FP32", "dims": [3]}],
    )  # fmt: skip


@pytest.fixture
def made(tmp_path):
    """Makes a finished model folder: name, version -> its path."""
    source = onnx_file(tmp_path / "source", external=True)
    files = {path.name: path for path in source.iterdir()}

    def make(name="m", version=1, largest=8):
        folder = tmp_path / f"made-{name}-{version}-{largest}" / name
        if not folder.exists():
            write(folder, version, files, config(name, largest).message, {"x": b"1234"})
        return folder

    return make


@pytest.fixture(params=["folder", "store"])
def where(request, tmp_path):
    if request.param == "folder":
        (tmp_path / "repository").mkdir()
        yield tmp_path / "repository"
        return
    url = f"memory://bucket-{os.getpid()}/{tmp_path.name}"
    yield url
    filesystem = fsspec.filesystem("memory")
    if filesystem.exists(url):
        filesystem.rm(url, recursive=True)


def test_adding_listing_and_reading(where, made):
    repository = Repository(where)
    assert list(repository) == []
    repository.add(made())
    repository.add(made(version=2))
    repository.add(made("n"))
    assert list(repository) == ["m", "n"]
    assert len(repository) == 2
    assert "m" in repository
    assert repository.versions("m") == [1, 2]
    assert set(repository.files("m")) == {
        "1/model.onnx", "1/model.onnx.data", "2/model.onnx", "2/model.onnx.data", "config.pbtxt",
        "warmup/x",
    }  # fmt: skip
    assert repository["m"] == config()
    entry = repository.models[0]
    assert (entry.name, entry.versions, entry.backend) == ("m", (1, 2), "onnxruntime")
    assert "m: onnxruntime, max_batch_size 8; versions 1, 2" in repr(repository)
    with pytest.raises(NavigatorError, match="unknown model"):
        repository["nothing"]


def test_nothing_is_overwritten_unasked(where, made):
    repository = Repository(where)
    repository.add(made())
    before = repository.files("m")
    assert len(before) == 4
    with pytest.raises(PackageError, match="version 1 already") as refused:
        repository.add(made())
    assert "version=2" in refused.value.remedy
    with pytest.raises(PackageError, match="max_batch_size: 8 -> 4"):
        repository.add(made(version=2, largest=4))
    assert repository.files("m") == before
    repository.add(made(version=1, largest=4), overwrite=True)
    assert repository["m"].max_batch_size == 4


def test_edits_are_checked_and_written(where, made):
    repository = Repository(where)
    repository.add(made())
    repository.edit("m", dynamic_batching={"preferred_batch_size": [4]}, max_batch_size=4)
    assert repository["m"].dynamic_batching == {"preferred_batch_size": [4]}
    with pytest.raises(PackageError, match="must be <= max batch size") as refused:
        repository.edit("m", dynamic_batching={"preferred_batch_size": [9]})
    assert refused.value.remedy
    assert repository["m"].dynamic_batching == {"preferred_batch_size": [4]}
    with pytest.raises(PackageError, match="can't be called"):
        repository.edit("m", name="n")
    assert set(repository.files("m")) == {
        "1/model.onnx", "1/model.onnx.data", "config.pbtxt", "warmup/x"
    }  # fmt: skip


def test_differences_name_models_fields_and_files(where, made, tmp_path):
    repository = Repository(where)
    repository.add(made())
    repository.add(made("n"))
    (tmp_path / "other").mkdir()
    other = Repository(tmp_path / "other")
    other.add(made("m", version=2, largest=4))
    other.add(made("o"))
    found = repository.differences(other)
    assert found["n"] == ["is there -> is not there"]
    assert found["o"] == ["is not there -> is there"]
    assert "max_batch_size: 8 -> 4" in found["m"]
    assert any(line.startswith("1/model.onnx: ") and "not there" in line for line in found["m"])
    assert repository.differences(Repository(where)) == {}


def test_checks(where, made):
    repository = Repository(where)
    repository.add(made())
    assert repository.check() == check(where) == []
    repository.add(made(largest=-1), overwrite=True)
    assert "must be non-negative" in repository.check()[0].message
    assert check(where) == repository.check()


def test_a_model_that_cannot_be_read_is_listed_with_the_reason(tmp_path, made):
    repository = Repository(tmp_path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/config.pbtxt").write_text("what is this")
    assert "no Triton model configuration" in repr(repository)


def test_the_model_and_the_configuration_are_written_last(made):
    """An object store has no rename: what a server opens last must come last."""
    url = f"memory://order-{os.getpid()}"
    Repository(url).add(made())
    filesystem = fsspec.filesystem("memory")
    written = sorted(
        (filesystem.created(path), path.rpartition("/m/")[2]) for path in filesystem.find(url)
    )
    assert [file for _, file in written][-2:] == ["1/model.onnx", "config.pbtxt"]
    filesystem.rm(url, recursive=True)


def test_where_nothing_is():
    with pytest.raises(PackageError, match="no model repository"):
        Repository("/nonexistent/place")
    with pytest.raises(PackageError, match="can't be opened") as refused:
        Repository("nothing://bucket")
    assert refused.value.remedy


def test_without_fsspec_there_is_a_remedy():
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from navigator_lab.triton import Repository\n"
        "try:\n    Repository('s3://bucket/models')\n"
        "except Exception as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "fsspec is not installed" in done.stdout
    assert "pip install fsspec" in done.stdout


def plain(backend, **more):
    return ModelConfig(
        name="given", backend=backend, max_batch_size=8,
        input=[{"name": "x", "data_type": "FP32", "dims": [6]}],
        output=[{"name": "y", "data_type": "FP32", "dims": [3]}], **more,
    )  # fmt: skip


def test_a_tensorrt_plan_is_put_read_and_checked(where, tmp_path):
    (tmp_path / "engine.trt").write_bytes(b"ftrt and more")
    config = plain(
        "tensorrt", instance_group=[{"count": 1, "kind": "KIND_GPU", "profile": ["0"]}],
        optimization={"cuda": {"graphs": True}},
    )  # fmt: skip
    repository = Repository(where)
    with pytest.warns(UserWarning, match="a server needs 1 GPU for it"):
        repository.put(config, tmp_path / "engine.trt")
    assert repository["given"] == config
    assert set(repository.files("given")) == {"config.pbtxt", "1/model.plan"}
    assert [one.error for one in repository.check()] == [False]
    assert [one.message for one in repository.check(gpus=0) if one.error]
    assert repository.check(gpus=1) == []
    (tmp_path / "nothing").write_bytes(b"")
    with pytest.raises(PackageError, match=r"model\.plan is empty"):
        repository.put(config, tmp_path / "nothing", version=2)


def test_a_saved_model_is_put_with_a_warning(where, tmp_path):
    (tmp_path / "saved/variables").mkdir(parents=True)
    (tmp_path / "saved/variables/variables.index").write_bytes(b"1")
    repository = Repository(where)
    with pytest.raises(PackageError, match="Could not find SavedModel"):
        repository.put(plain("tensorflow"), tmp_path / "saved")
    (tmp_path / "saved/saved_model.pb").write_bytes(b"2")
    with pytest.warns(UserWarning, match=r"not in servers after 25\.02 .*ONNX.*Python"):
        repository.put(plain("tensorflow"), tmp_path / "saved")
    assert "1/model.savedmodel/variables/variables.index" in repository.files("given")
    assert "given: tensorflow, max_batch_size 8; versions 1" in repr(repository)
    assert [one.error for one in repository.check()] == [False]
    (newer,) = repository.check(triton="2.60")
    assert newer.error
    assert "unable to find backend library for backend 'tensorflow'" in newer.message
    older = plain("", platform="tensorflow_savedmodel")
    with (
        pytest.raises(PackageError, match="another configuration"),
        pytest.warns(UserWarning, match="after 25"),
    ):
        repository.put(older, tmp_path / "saved", version=2)


def test_files_that_can_not_be_put(tmp_path):
    (tmp_path / "r").mkdir()
    with pytest.raises(PackageError, match="there is no file"):
        Repository(tmp_path / "r").put(plain("tensorrt"), tmp_path / "none.plan")
    (tmp_path / "m.bin").write_bytes(b"1")
    with pytest.raises(PackageError, match="not known what the mine backend calls its file"):
        Repository(tmp_path / "r").put(plain("mine"), tmp_path / "m.bin")
    with pytest.warns(UserWarning, match="none of Triton's own"):
        Repository(tmp_path / "r").put(
            plain("mine", default_model_filename="m.bin"), tmp_path / "m.bin"
        )
    assert (tmp_path / "r/given/1/m.bin").is_file()
