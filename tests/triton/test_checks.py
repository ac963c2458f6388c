"""What a server would refuse, said before. `test_server` holds the same verdicts by a real one."""

from __future__ import annotations

import pytest
from triton_making import make, onnx_file, signature

from navigator_lab.errors import PackageError
from navigator_lab.triton.checks import check, check_config
from navigator_lab.triton.repository import publish


@pytest.fixture
def repository(tmp_path):
    import numpy as np

    model = onnx_file(tmp_path / "model")
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    sample = {"x": np.ones((1, 6), np.float32)}
    made, _ = make(tmp_path, "onnx:fp32@ort-cpu", model, sig, [sample], name="m")
    publish(made, tmp_path / "repository")
    return tmp_path / "repository"


def test_a_good_repository_has_no_findings(repository):
    assert check(repository) == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('name: "m"', 'name: "n"', "directory name"),
        ("max_batch_size: 8", "max_batch_size: -8", "non-negative"),
        ('name: "x"', 'name: ""', "must specify 'name'"),
        ("  data_type: TYPE_FP32\n  dims: 6", "  dims: 6", "must specify 'data_type'"),
        ("dims: 6\n}\noutput", "}\noutput", "must specify 'dims'"),
        ("dims: 6\n}\noutput", "dims: 0\n}\noutput", "integer >= 1"),
        ("dims: 3", "dims: 4", "tensor 'y'"),
        ("dims: 3", "dims: -1", "tensor 'y'"),
        ('name: "y"', 'name: "z"', "unexpected inference output 'z'"),
        ("TYPE_FP32\n  dims: 3", "TYPE_FP16\n  dims: 3", "TYPE_FP16"),
        ("dynamic_batching {", "dynamic_batching { preferred_batch_size: 9", "<= max batch size"),
        ("dynamic_batching {", "dynamic_batching { preferred_batch_size: 0", "positive"),
        ("kind: KIND_CPU", "kind: KIND_CPU gpus: 0", "KIND_CPU"),
        ("dims: 6\n      input_data", "dims: 7\n      input_data", "28 bytes"),
        ('"input_0"', '"input_1"', "failed to open text file for read"),
        ('backend: "onnxruntime"', 'platform: "onnxruntime"', "unexpected platform type"),
        ('backend: "onnxruntime"', 'backend: "openvino"', "model.xml"),
        ("dims: 3", "dims: 3 reshape { shape: [2] }", "different size"),
        ("max_batch_size", "max_batch_sise", "max_batch_sise"),
    ],
)
def test_each_mistake_is_found(repository, before, after, words):
    path = repository / "m/config.pbtxt"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    found = [one for one in check(repository) if one.error]
    assert any(words in one.message for one in found), found
    assert {one.model for one in found} == {"m"}


def test_missing_files(repository):
    (repository / "m/1/model.onnx").rename(repository / "m/1/other.onnx")
    assert [one.message for one in check(repository)] == [
        "unable to find '1/model.onnx' for the onnxruntime backend"
    ]
    (repository / "m/1").rename(repository / "m/first")
    assert ["version" in one.message for one in check(repository)] == [True]


def test_a_file_that_is_no_model(repository):
    (repository / "m/1/model.onnx").write_bytes(b"no model at all")
    (found,) = check(repository)
    assert found.error
    assert "model.onnx" in found.message


def test_an_unknown_backend_is_no_error_but_said(repository):
    path = repository / "m/config.pbtxt"
    path.write_text(path.read_text().replace('"onnxruntime"', '"mine"'))
    (found,) = check(repository)
    assert not found.error
    assert "mine" in found.message


def test_no_folder(tmp_path):
    with pytest.raises(PackageError, match="no model repository"):
        check(tmp_path / "none")


def test_a_text_is_read_as_the_server_reads_it():
    assert check_config('backend: "mine"', name="m").refused == []
    (found,) = check_config('backend:\u00a0"mine"', name="m").refused
    assert (found.model, "non ascii codepoint" in found.message) == ("m", True)
