"""All of Triton's configuration from Python: what can be said, what is refused, and read back."""

from __future__ import annotations

import pickle

import pytest

from navigator_lab.errors import NavigatorError, PackageError
from navigator_lab.triton.config import messages
from navigator_lab.triton.modelconfig import ModelConfig

FULL = {
    "name": "m",
    "backend": "onnxruntime",
    "max_batch_size": 8,
    "default_model_filename": "model.onnx",
    "version_policy": {"specific": {"versions": [1, 3]}},
    "input": [
        {"name": "x", "data_type": "float32", "dims": [3, -1], "format": "none",
         "allow_ragged_batch": True, "optional": True},
        {"name": "i", "data_type": "STRING", "dims": 1,
         "reshape": {"shape": []}},
    ],
    "output": {"name": "y", "data_type": "TYPE_FP16", "dims": [4], "label_filename": "l.txt"},
    "batch_input": [{"kind": "item_shape", "target_name": ["s"], "data_type": "INT32",
                     "source_input": ["x"]}],
    "batch_output": [{"kind": "scatter_with_input_shape", "target_name": ["y"],
                      "source_input": ["x"]}],
    "dynamic_batching": {
        "preferred_batch_size": [4, 8], "max_queue_delay_microseconds": 100,
        "priority_levels": 2, "default_priority_level": 1,
        "default_queue_policy": {"timeout_action": "reject", "max_queue_size": 3},
        "priority_queue_policy": {2: {"timeout_action": "DELAY", "allow_timeout_override": True,
                                      "default_timeout_microseconds": 5}},
    },
    "instance_group": [
        {"kind": "cpu", "count": 2, "host_policy": "p", "passive": True,
         "rate_limiter": {"priority": 1, "resources": [{"name": "r", "global_": True, "count": 2}]},
         "secondary_devices": [{"kind": "KIND_NVDLA", "device_id": 1}]},
        {"kind": "GPU", "gpus": [0, 1], "profile": ["0"]},
    ],
    "optimization": {
        "priority": "max", "cuda": {"graphs": True, "output_copy_stream": True},
        "execution_accelerators": {
            "gpu_execution_accelerator": [
                {"name": "tensorrt", "parameters": {
                    "precision_mode": "FP16", "trt_engine_cache_enable": "true"}}
            ],
            "cpu_execution_accelerator": [{"name": "openvino"}],
        },
        "input_pinned_memory": {"enable": False}, "gather_kernel_buffer_threshold": 2,
    },
    "model_warmup": [{"name": "w", "batch_size": 1, "count": 2, "inputs": {
        "x": {"data_type": "FP32", "dims": [3, 4], "input_data_file": "x"}}}],
    "parameters": {"text": "x", "number": 3, "flag": True},
    "metric_tags": {"a": "b"},
    "cc_model_filenames": {"8.0": "m.plan"},
    "model_operations": {"op_library_filename": ["lib.so"]},
    "model_transaction_policy": {"decoupled": False},
    "model_repository_agents": {"agents": [{"name": "checksum", "parameters": {"a": "b"}}]},
    "response_cache": {"enable": True},
}  # fmt: skip
SEQUENCES = {
    "sequence_batching": {
        "max_sequence_idle_microseconds": 7,
        "oldest": {"max_candidate_sequences": 4, "preferred_batch_size": [2]},
        "control_input": [
            {"name": "S", "control": [{"kind": "START", "fp32_false_true": [0, 1]}]},
            {"name": "C", "control": [{"kind": "CORRID", "data_type": "UINT64"}]},
        ],
        "state": [{"input_name": "i", "output_name": "o", "data_type": "FP32", "dims": [2],
                   "initial_state": {"name": "z", "data_type": "FP32", "dims": [2],
                                     "zero_data": True}}],
    }
}  # fmt: skip


def test_all_fields_of_the_message_are_reachable():
    """What this test says by name is all there is; a new field in the protobuf shows here."""
    said = {*FULL, *SEQUENCES, "platform", "runtime", "ensemble_scheduling", "model_metrics"}
    fields = {field.name for field in messages().ModelConfig.DESCRIPTOR.fields}
    assert fields - {"model_metrics"} == said - {"model_metrics"}


@pytest.mark.parametrize(
    "fields", [FULL, {"name": "s", **SEQUENCES}, {}], ids=["full", "seq", "no"]
)
def test_there_and_back(fields):
    config = ModelConfig(**fields)
    assert ModelConfig(**config.to_dict()) == config
    assert ModelConfig(config.text) == config
    assert ModelConfig(config.to_dict()) == config
    assert ModelConfig(config.message) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert set(config.to_dict()) == {*fields}


def test_values_are_plain_python_with_names_of_enums():
    config = ModelConfig(**FULL)
    assert config.max_batch_size == 8
    assert config.input[0]["data_type"] == "TYPE_FP32"
    assert config.input[1]["reshape"] == {}
    assert config.parameters == {"text": "x", "number": "3", "flag": "true"}
    assert config.dynamic_batching["priority_queue_policy"][2]["timeout_action"] == "DELAY"
    assert config.instance_group[0]["kind"] == "KIND_CPU"
    assert config.ensemble_scheduling is None
    assert config.platform == ""
    assert "dynamic_batching" in dir(config)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_batch_sise": 8}, "did you mean 'max_batch_size'?"),
        ({"dynamic_batching": {"prefered_batch_size": [1]}}, "'preferred_batch_size'"),
        ({"instance_group": [{"kind": "CPUS"}]}, "instance_group[0].kind can't be 'CPUS'"),
        ({"input": [{"name": "x", "data_type": "FP31"}]}, "did you mean 'TYPE_FP32'?"),
        ({"max_batch_size": "8"}, "a whole number"),
        ({"max_batch_size": True}, "a whole number"),
        ({"max_batch_size": 2**31}, "a whole number"),
        ({"instance_group": [{"gpus": [-1.5]}]}, "instance_group[0].gpus[0]"),
        ({"name": 3}, "a text"),
        ({"response_cache": {"enable": 1}}, "True or False"),
        ({"dynamic_batching": {}, "sequence_batching": {}}, "exclude each other"),
        ({"version_policy": {"latest": {}, "all": {}}}, "exclude each other"),
        ({"input": [3]}, "a dict of name"),
        ({"parameters": ["a"]}, "a dict"),
        ({"dynamic_batching": [3]}, "dynamic_batching can't be [3]"),
    ],
)
def test_what_means_nothing_is_refused_by_its_place(fields, words):
    with pytest.raises(NavigatorError) as refused:
        ModelConfig(**fields)
    assert words in str(refused.value)


def test_an_edit_gives_another_and_leaves_the_rest():
    one = ModelConfig(**FULL)
    two = one.edit(
        dynamic_batching={"preferred_batch_size": [2], "default_queue_policy": None},
        parameters={"text": None, "more": 1},
        response_cache=None,
    )
    assert one == ModelConfig(**FULL)
    assert two.dynamic_batching["max_queue_delay_microseconds"] == 100
    assert two.parameters == {"number": "3", "flag": "true", "more": "1"}
    assert one.differences(two) == [
        "dynamic_batching.preferred_batch_size: [4, 8] -> [2]",
        "dynamic_batching.default_queue_policy: set -> unset",
        'parameters[more]: unset -> string_value: "1"',
        'parameters[text]: string_value: "x" -> unset',
        "response_cache: set -> unset",
    ]
    with pytest.raises(AttributeError, match=r"\.edit\(max_batch_size=…\)"):
        one.max_batch_size = 3
    with pytest.raises(AttributeError, match="no field 'nothing'"):
        one.nothing  # noqa: B018


def test_one_scheduler_takes_the_place_of_another():
    config = ModelConfig(**FULL).edit(**SEQUENCES)
    assert config.dynamic_batching is None
    assert config.sequence_batching["oldest"]["max_candidate_sequences"] == 4


def test_a_block_without_fields_is_written():
    assert "dynamic_batching {\n}" in ModelConfig(dynamic_batching=True).text
    assert ModelConfig(dynamic_batching={}) == ModelConfig(dynamic_batching=True)
    assert ModelConfig(dynamic_batching=False) == ModelConfig()


def test_the_fields_can_be_looked_up():
    assert "dynamic_batching" in ModelConfig.fields()
    assert "KIND_GPU" in ModelConfig.fields("instance_group")
    assert "[InitialState]" in ModelConfig.fields("sequence_batching.state")
    assert "REJECT | DELAY" in ModelConfig.fields("dynamic_batching.priority_queue_policy")
    with pytest.raises(NavigatorError, match="dynamic_bathing"):
        ModelConfig.fields("dynamic_bathing")


def test_files(tmp_path):
    config = ModelConfig(**FULL)
    assert config.save(tmp_path) == tmp_path / "config.pbtxt"
    assert [path.name for path in tmp_path.iterdir()] == ["config.pbtxt"]
    assert ModelConfig.read(tmp_path) == ModelConfig.read(tmp_path / "config.pbtxt") == config
    with pytest.raises(PackageError, match="can't be read"):
        ModelConfig.read(tmp_path / "none")


def test_as_a_server_takes_it_at_load():
    from google.protobuf import json_format

    config = ModelConfig(**FULL)
    assert ModelConfig(json_format.Parse(config.to_json(), messages().ModelConfig())) == config
    assert '"max_batch_size": 8' in config.to_json()


def test_what_a_server_would_say_of_it():
    assert ModelConfig(name="m", backend="python").check() == []
    (found,) = ModelConfig(name="m", backend="python", max_batch_size=-1).check()
    assert found.message == "'max_batch_size' must be non-negative value for m"
