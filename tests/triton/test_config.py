"""The configuration as text and back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from navigator_lab.errors import PackageError
from navigator_lab.triton import config as configs


def made():
    one = configs.messages().ModelConfig(name="m", backend="onnxruntime", max_batch_size=8)
    one.input.add(name="x", data_type=configs.messages().TYPE_FP32, dims=[3, -1])
    one.dynamic_batching.preferred_batch_size.extend([4, 8])
    for key in ("zebra", "ant", "moth"):
        one.parameters[key].string_value = key.upper()
    return one


def test_text_and_back_is_the_same_message_and_the_same_bytes():
    text = configs.to_text(made())
    assert configs.parse(text) == made()
    assert configs.to_text(configs.parse(text)) == text
    assert text.index('"ant"') < text.index('"moth"') < text.index('"zebra"')


def test_names_that_are_not_ascii_survive():
    one = configs.messages().ModelConfig(name="größe", backend="python")
    assert "größe" in configs.to_text(one)
    assert configs.parse(configs.to_text(one)).name == "größe"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_sise: 8", "max_batch_sise"),
        ("max_batch_size: 'eight'", "eight"),
        ("input [ { name: 'x' ", "end of input|Expected"),
        ("input { data_type: TYPE_FP31 }", "TYPE_FP31"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_place(text, words):
    with pytest.raises(PackageError, match=words):
        configs.parse(text, "here.pbtxt")


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("float32", "TYPE_FP32"),
        ("bfloat16", "TYPE_BF16"),
        ("bool", "TYPE_BOOL"),
        ("uint64", "TYPE_UINT64"),
        ("<U12", "TYPE_STRING"),
        ("object", "TYPE_STRING"),
    ],
)
def test_types(dtype, name):
    assert configs.type_name(dtype) == name
    assert configs.messages().DataType.Value(name) > 0


def test_a_type_that_triton_lacks():
    with pytest.raises(PackageError, match="complex64"):
        configs.type_name("complex64")


def test_differences_name_the_fields():
    other = made()
    assert configs.differences(made(), other) == []
    other.max_batch_size = 16
    other.input[0].dims[1] = 7
    other.parameters["moth"].string_value = "butterfly"
    del other.parameters["ant"]
    other.model_warmup.add(name="w")
    other.ClearField("dynamic_batching")
    said = configs.differences(made(), other)
    assert "max_batch_size: 8 -> 16" in said
    assert "input[0].dims: [3, -1] -> [3, 7]" in said
    assert "dynamic_batching: set -> unset" in said
    assert "model_warmup: 0 -> 1 entries" in said
    assert any(line.startswith("parameters[ant]") for line in said)
    assert any("butterfly" in line for line in said)


def test_an_empty_block_differs_from_none():
    with_block = configs.messages().ModelConfig(name="m")
    with_block.dynamic_batching.SetInParent()
    without = configs.messages().ModelConfig(name="m")
    assert configs.differences(without, with_block) == ["dynamic_batching: unset -> set"]


def test_the_messages_load_no_grpc_and_live_beside_the_clients():
    code = (
        "import sys\n"
        "from navigator_lab.triton.config import messages, to_text\n"
        "m = messages().ModelConfig(name='m')\n"
        "to_text(m)\n"
        "assert not [k for k in sys.modules if k.split('.')[0] in ('grpc', 'numpy', 'tritonclient')]\n"
        "from tritonclient.grpc import model_config_pb2 as theirs\n"
        "assert theirs.ModelConfig.FromString(m.SerializeToString()).name == 'm'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


REAL = """
name: "simple"
platform: "tensorrt_plan"
max_batch_size: 8
input [
  { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] label_filename: "labels.txt" } ]
version_policy: { specific { versions: [ 1, 3 ] } }
instance_group [ { kind: KIND_GPU count: 2 gpus: [ 0, 1 ] } ]
sequence_batching {
  oldest { max_candidate_sequences: 4 preferred_batch_size: [ 2 ] }
  control_input [ { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] } ]
}
optimization { cuda { graphs: true } }
"""


def test_a_configuration_that_a_person_wrote_is_kept_whole(tmp_path: Path):
    one = configs.parse(REAL)
    assert list(one.version_policy.specific.versions) == [1, 3]
    assert one.sequence_batching.oldest.max_candidate_sequences == 4
    assert configs.parse(configs.to_text(one)) == one
