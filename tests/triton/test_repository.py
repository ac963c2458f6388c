"""Adding to a repository: whole or not at all, and nothing lost."""

from __future__ import annotations

import os
import threading

import pytest
from triton_making import onnx_file

from navigator_lab.errors import PackageError
from navigator_lab.triton import config as configs
from navigator_lab.triton.repository import add, publish, read, versions, write


def config(name="m", largest=8):
    one = configs.messages().ModelConfig(name=name, backend="onnxruntime", max_batch_size=largest)
    one.input.add(name="x", data_type=configs.messages().TYPE_FP32, dims=[6])
    one.output.add(name="y", data_type=configs.messages().TYPE_FP32, dims=[3])
    return one


@pytest.fixture
def files(tmp_path):
    folder = onnx_file(tmp_path / "source", external=True)
    return {p.name: p for p in folder.iterdir()}


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_layout(tmp_path, files):
    repository = tmp_path / "deep" / "repository"
    made = add(repository, "m", 1, files, config(), warmup={"input_0": b"1234"})
    assert made == repository / "m"
    assert tree(repository) == [
        "m/1/model.onnx",
        "m/1/model.onnx.data",
        "m/config.pbtxt",
        "m/warmup/input_0",
    ]
    assert read(made) == config()
    assert os.stat(made).st_mode & 0o777 == 0o755
    assert sorted(p.name for p in repository.parent.iterdir()) == ["repository"]


def test_a_version_is_added_beside_and_never_overwritten(tmp_path, files):
    add(tmp_path / "r", "m", 1, files, config(), warmup={"input_0": b"1234"})
    add(tmp_path / "r", "m", 3, files, config(), warmup={"input_0": b"5678"})
    assert versions(tmp_path / "r/m") == [1, 3]
    assert (tmp_path / "r/m/warmup/input_0").read_bytes() == b"1234"
    before = {name: (tmp_path / "r" / name).read_bytes() for name in tree(tmp_path / "r")}
    with pytest.raises(PackageError, match="version 3") as refused:
        add(tmp_path / "r", "m", 3, {"model.onnx": files["model.onnx.data"]}, config())
    assert "version=4" in refused.value.remedy
    assert {n: (tmp_path / "r" / n).read_bytes() for n in tree(tmp_path / "r")} == before


def test_another_configuration_is_refused_with_the_field(tmp_path, files):
    add(tmp_path / "r", "m", 1, files, config())
    with pytest.raises(PackageError, match="max_batch_size: 8 -> 4"):
        add(tmp_path / "r", "m", 2, files, config(largest=4))
    assert versions(tmp_path / "r/m") == [1]
    assert read(tmp_path / "r/m").max_batch_size == 8


def test_overwriting_is_told_and_keeps_the_other_versions(tmp_path, files):
    add(tmp_path / "r", "m", 1, files, config())
    add(tmp_path / "r", "m", 2, files, config())
    only = {"model.onnx": files["model.onnx"]}
    add(tmp_path / "r", "m", 2, only, config(largest=4), overwrite=True)
    assert tree(tmp_path / "r/m") == [
        "1/model.onnx",
        "1/model.onnx.data",
        "2/model.onnx",
        "config.pbtxt",
    ]
    assert read(tmp_path / "r/m").max_batch_size == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r", "source"]


def test_a_reader_never_sees_half_of_it(tmp_path, files):
    """While a model is replaced over and over, its files are there at every look, and whole."""
    add(tmp_path / "r", "m", 1, files, config())
    done = threading.Event()
    seen, torn = set(), []

    def look():
        while not done.is_set():
            try:
                text = (tmp_path / "r/m/config.pbtxt").read_text()
                size = (tmp_path / "r/m/1/model.onnx").stat().st_size
            except OSError as error:
                torn.append(repr(error))
                continue
            seen.add((configs.parse(text).max_batch_size, size))

    looking = threading.Thread(target=look)
    looking.start()
    for i in range(60):
        add(tmp_path / "r", "m", 1, files, config(largest=1 + i % 2), overwrite=True)
    done.set()
    looking.join()
    assert not torn
    size = files["model.onnx"].stat().st_size
    assert {(1, size), (2, size)} <= seen <= {(1, size), (2, size), (8, size)}


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../m",
        "a/b",
        "/abs",
        ".hidden",
        "a\\b",
        "a\nb",
        "a\x00b",
        " a",
        "a ",
        "x" * 300,
    ],
)
def test_hostile_names(tmp_path, files, name):
    with pytest.raises(PackageError, match="model's name"):
        add(tmp_path / "r", name, 1, files, config())
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b", "", "./a", "a//b"])
def test_hostile_files(tmp_path, files, name):
    with pytest.raises(PackageError, match="file of a model"):
        add(tmp_path / "r", "m", 1, {name: files["model.onnx"]}, config())
    assert tree(tmp_path / "r") == []


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0])
def test_versions_are_whole_numbers_from_one(tmp_path, files, version):
    with pytest.raises(PackageError, match="no model version"):
        add(tmp_path / "r", "m", version, files, config())


def test_folders_that_are_no_versions_are_not_taken_for_some(tmp_path, files):
    made = add(tmp_path / "r", "m", 1, files, config())
    for name in ("01", "latest", "1.5", "²"):
        (made / name).mkdir()
    assert versions(made) == [1]


def test_a_folder_of_another_name_is_refused(tmp_path, files):
    write(tmp_path / "other", 1, files, config("m"))
    with pytest.raises(PackageError, match=r"'other'.*'m'"):
        publish(tmp_path / "other", tmp_path / "r")


def test_a_place_that_cannot_be_written(tmp_path, files):
    (tmp_path / "file").write_text("")
    with pytest.raises(PackageError, match="no model can be added"):
        add(tmp_path / "file", "m", 1, files, config())


def test_an_existing_model_that_cannot_be_read_is_left_alone(tmp_path, files):
    (tmp_path / "r/m").mkdir(parents=True)
    (tmp_path / "r/m/config.pbtxt").write_text("what is this")
    with pytest.raises(PackageError, match="no Triton model configuration"):
        add(tmp_path / "r", "m", 1, files, config())
    assert tree(tmp_path / "r") == ["m/config.pbtxt"]
