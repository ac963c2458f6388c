"""Configurations by the rule that they keep or break; `test_verdicts` holds both sides to them.

Each is an edit of one good configuration. What the real server (2.51) says of each is in
``configs/verdicts.json``.
"""

from __future__ import annotations

from navigator_lab.triton.modelconfig import ModelConfig

X = {"name": "x", "data_type": "FP32", "dims": [4]}
Y = {"name": "y", "data_type": "FP32", "dims": [4]}
GOOD = ModelConfig(name="m", backend="mine", max_batch_size=8, input=[X], output=[Y])


def _control(kind="START", **values):
    return {"name": kind, "control": [{"kind": kind, **(values or {"int32_false_true": [0, 1]})}]}


def _sequence(*controls, **more):
    return {"sequence_batching": {"control_input": list(controls), **more}}


def _state(**more):
    state = {"input_name": "s_in", "output_name": "s_out", "data_type": "FP32", "dims": [2]}
    begin = {"name": "zero", "data_type": "FP32", "dims": [2], "zero_data": True}
    begin |= more.pop("begin", {})
    return {**state, "initial_state": [begin], **more}


def _warm(**one):
    sample = {"data_type": "FP32", "dims": [4], "zero_data": True, **one}
    return {"model_warmup": [{"name": "w", "batch_size": 1, "inputs": {"x": sample}}]}


def _reshape(dims, shape, **more):
    return {"input": [{**X, "dims": dims, "reshape": {"shape": shape}}], **more}


def _priority(**more):
    return {"dynamic_batching": {"priority_levels": 2, "default_priority_level": 1, **more}}


LATE = {"timeout_action": "DELAY", "default_timeout_microseconds": 5}
CASES: dict[str, dict] = {
    "good": {},
    "no_name": {"name": ""},
    "negative_batch": {"max_batch_size": -1},
    "no_tensors": {"input": None, "output": None},
    "input_twice": {"input": [X, X]},
    "output_is_input": {"output": [X]},
    "unnamed_output": {"output": [{**Y, "name": ""}]},
    "no_type": {"output": [{**Y, "data_type": None}]},
    "no_dims": {"input": [{**X, "dims": []}]},
    "dims_zero": {"output": [{**Y, "dims": [4, 0]}]},
    "dims_minus_two": {"input": [{**X, "dims": [-2]}]},
    "format_two_dims": {"input": [{**X, "dims": [4, 4], "format": "NCHW"}]},
    "format_three_dims": {"input": [{**X, "dims": [4, 4, 3], "format": "NHWC"}]},
    "shape_tensor": {"output": [{**Y, "is_shape_tensor": True}]},
    "non_linear": {"input": [{**X, "is_non_linear_format_io": True}]},
    "non_linear_two_dims": {
        "backend": "tensorrt",
        "input": [{**X, "dims": [4, 4], "is_non_linear_format_io": True}],
    },
    "shape_tensor_tensorrt": {"backend": "tensorrt", "input": [{**X, "is_shape_tensor": True}]},
    "optional_ragged": {"input": [{**X, "optional": True, "allow_ragged_batch": True}]},
    "reshape": _reshape([4], [2, 2]),
    "reshape_other_size": _reshape([4], [3]),
    "reshape_free": _reshape([2, 4, -1, 6], [8, -1, 1, 6]),
    "reshape_free_other_size": _reshape([2, -1, 6], [3, -1, 6]),
    "reshape_free_other_count": _reshape([2, -1], [-1, -1]),
    "reshape_free_to_fixed": _reshape([-1], [4]),
    "reshape_fixed_to_free": _reshape([4], [-1]),
    "reshape_zero": _reshape([4], [4, 0]),
    "reshape_empty": _reshape([1], []),
    "reshape_empty_of_four": _reshape([4], []),
    "reshape_empty_unbatched": _reshape([1], [], max_batch_size=0),
    "batch_input_empty": {"batch_input": [{}]},
    "gpu_below_zero": {"instance_group": [{"gpus": [-1]}]},
    "batch_input": {
        "batch_input": [
            {"kind": "BATCH_ELEMENT_COUNT", "target_name": ["c"], "data_type": "FP32",
             "source_input": ["x"]}
        ]
    },
    "batch_input_int64": {
        "batch_input": [
            {"kind": "BATCH_ITEM_SHAPE", "target_name": ["c"], "data_type": "INT64",
             "source_input": ["x"]}
        ]
    },
    "batch_input_unknown": {
        "batch_input": [
            {"kind": "BATCH_ITEM_SHAPE", "target_name": ["c"], "data_type": "INT32",
             "source_input": ["z"]}
        ]
    },
    "batch_input_two": {
        "batch_input": [
            {"kind": "BATCH_ACCUMULATED_ELEMENT_COUNT", "target_name": ["c"],
             "data_type": "INT32", "source_input": ["x", "x"]}
        ]
    },
    "batch_output_unknown_target": {
        "batch_output": [
            {"kind": "BATCH_SCATTER_WITH_INPUT_SHAPE", "target_name": ["z"], "source_input": ["x"]}
        ]
    },
    "batch_output_no_source": {
        "batch_output": [{"kind": "BATCH_SCATTER_WITH_INPUT_SHAPE", "target_name": ["y"]}]
    },
    "preferred": {"dynamic_batching": {"preferred_batch_size": [4, 8]}},
    "preferred_zero": {"dynamic_batching": {"preferred_batch_size": [0]}},
    "preferred_above": {"dynamic_batching": {"preferred_batch_size": [9]}},
    "dynamic_unbatched": {"max_batch_size": 0, "dynamic_batching": {}},
    "preferred_unbatched": {"max_batch_size": 0, "dynamic_batching": {"preferred_batch_size": [1]}},
    "priority": _priority(priority_queue_policy={2: LATE}, default_queue_policy=LATE),
    "priority_no_default": _priority(default_priority_level=0),
    "priority_default_above": _priority(default_priority_level=3),
    "priority_policy_above": _priority(priority_queue_policy={3: LATE}),
    "priority_policy_without_levels": {"dynamic_batching": {"priority_queue_policy": {3: LATE}}},
    "ordered_priorities": _priority(preserve_ordering=True),
    "ordered_delay": {"dynamic_batching": {"preserve_ordering": True, "default_queue_policy": LATE}},
    "ordered_delay_of_level": {
        "dynamic_batching": {
            "preserve_ordering": True, "priority_levels": 1, "default_priority_level": 1,
            "priority_queue_policy": {1: LATE},
        }
    },
    "ordered_delay_no_timeout": {
        "dynamic_batching": {
            "preserve_ordering": True, "default_queue_policy": {"timeout_action": "DELAY"}
        }
    },
    "cache": {"response_cache": {"enable": True}, "dynamic_batching": {}},
    "cache_decoupled": {
        "response_cache": {"enable": True}, "model_transaction_policy": {"decoupled": True}
    },
    "cache_sequence": {**_sequence(), "response_cache": {"enable": True}},
    "sequence": _sequence(
        _control("START"), _control("END", fp32_false_true=[0, 1]),
        _control("READY", bool_false_true=[False, True]), _control("CORRID", data_type="UINT64"),
    ),
    "sequence_empty": _sequence(),
    "control_unnamed": _sequence({**_control(), "name": ""}),
    "control_same_tensor": _sequence(_control("START"), {**_control("END"), "name": "START"}),
    "control_kind_twice": _sequence(_control("START"), {**_control("START"), "name": "other"}),
    "control_no_values": _sequence({"name": "c", "control": [{"kind": "START"}]}),
    "control_two_values": _sequence(
        _control("END", int32_false_true=[0, 1], fp32_false_true=[0, 1])
    ),
    "control_one_entry": _sequence(_control("READY", int32_false_true=[1])),
    "control_three_bools": _sequence(_control("READY", bool_false_true=[True, False, True])),
    "corrid_values": _sequence(_control("CORRID", int32_false_true=[0, 1], data_type="INT32")),
    "corrid_twice": _sequence(
        _control("CORRID", data_type="INT32"),
        {**_control("CORRID", data_type="INT32"), "name": "other"},
    ),
    "corrid_float": _sequence(_control("CORRID", data_type="FP32")),
    "corrid_no_type": _sequence({"name": "c", "control": [{"kind": "CORRID"}]}),
    "direct": _sequence(direct={"minimum_slot_utilization": 0.5}),
    "direct_above_one": _sequence(direct={"minimum_slot_utilization": 1.5}),
    "direct_negative": _sequence(direct={"minimum_slot_utilization": -0.5}),
    "oldest": _sequence(oldest={"max_candidate_sequences": 4, "preferred_batch_size": [2]}),
    "oldest_zero": _sequence(oldest={"preferred_batch_size": [0]}),
    "oldest_above": _sequence(oldest={"preferred_batch_size": [9]}),
    "state": _sequence(state=[_state()]),
    "state_no_beginning": _sequence(state=[_state(initial_state=[])]),
    "state_two_beginnings": _sequence(state=[_state(initial_state=[{"name": "a"}, {"name": "b"}])]),
    "state_type": _sequence(state=[_state(begin={"data_type": "INT32"})]),
    "state_unnamed": _sequence(state=[_state(begin={"name": ""})]),
    "state_twice": _sequence(state=[_state(), _state()]),
    "state_rank": _sequence(state=[_state(begin={"dims": [2, 1]})]),
    "state_free": _sequence(state=[_state(dims=[-1], begin={"dims": [-1]})]),
    "state_free_began": _sequence(state=[_state(dims=[-1])]),
    "state_other_dim": _sequence(state=[_state(begin={"dims": [3]})]),
    "state_no_data": _sequence(state=[_state(begin={"zero_data": None})]),
    "state_no_file": _sequence(state=[_state(begin={"zero_data": None, "data_file": "none"})]),
    "state_short_file": _sequence(state=[_state(begin={"zero_data": None, "data_file": "short"})]),
    "state_file": _sequence(state=[_state(begin={"zero_data": None, "data_file": "long"})]),
    "instances": {"instance_group": [{"kind": "CPU", "count": 2}, {"kind": "AUTO", "name": "b"}]},
    "instances_negative": {"instance_group": [{"kind": "CPU", "count": -1}]},
    "instance_cpu_gpus": {"instance_group": [{"kind": "CPU", "gpus": [0]}]},
    "instance_model_gpus": {"instance_group": [{"kind": "MODEL", "gpus": [0], "name": "g"}]},
    "instance_gpu": {"instance_group": [{"kind": "GPU"}]},
    "instance_gpu_7": {"instance_group": [{"kind": "GPU", "gpus": [7]}]},
    "instance_auto_gpus": {"instance_group": [{"gpus": [0]}]},
    "instance_profile": {"instance_group": [{"kind": "CPU", "profile": ["0"]}]},
    "instance_profile_tensorrt": {
        "backend": "tensorrt", "instance_group": [{"kind": "CPU", "profile": ["0"]}]
    },
    "instance_profile_word": {
        "backend": "tensorrt", "instance_group": [{"kind": "CPU", "profile": ["first"]}]
    },
    "instance_profile_negative": {
        "backend": "tensorrt", "instance_group": [{"kind": "CPU", "profile": ["-1"]}]
    },
    "instance_profile_empty": {
        "backend": "tensorrt", "instance_group": [{"kind": "CPU", "profile": [""]}]
    },
    "instance_policy_passive": {
        "instance_group": [
            {"kind": "CPU", "host_policy": "none"}, {"kind": "CPU", "passive": True, "name": "p"}
        ]
    },
    "rate_limiter": {
        "instance_group": [
            {"kind": "CPU", "rate_limiter": {
                "priority": 2, "resources": [{"name": "r", "count": 4},
                                             {"name": "r", "global": True, "count": 1}]}}
        ]
    },
    "version_latest_none": {"version_policy": {"latest": {"num_versions": 0}}},
    "version_all": {"version_policy": {"all": {}}},
    "version_specific": {"version_policy": {"specific": {"versions": [1, 5]}}},
    "version_specific_absent": {"version_policy": {"specific": {"versions": [5]}}},
    "version_policy_empty": {"version_policy": {}},
    "warm": _warm(),
    "warm_random_text": {**_warm(data_type="STRING", random_data=True, zero_data=None)},
    "warm_free": _warm(dims=[-1]),
    "warm_no_data": _warm(zero_data=None),
    "warm_no_file": _warm(zero_data=None, input_data_file="none"),
    "warm_short_file": _warm(zero_data=None, input_data_file="short"),
    "warm_file": _warm(zero_data=None, input_data_file="long"),
    "warm_shape": _warm(dims=[5]),
    "warm_rank": _warm(dims=[1, 4]),
    "warm_type": _warm(data_type="FP16"),
    "warm_lacks_input": {**_warm(), "input": [X, {**X, "name": "z"}]},
    "warm_twice": {**_warm(), "input": [X, X]},
    "warm_lacks_optional": {**_warm(), "input": [X, {**X, "name": "z", "optional": True}]},
    "warm_other_input": {**_warm(), "input": [{**X, "name": "z", "optional": True}]},
    "warm_other_required": {**_warm(), "input": [{**X, "name": "z"}]},
    "warm_batch_above": {"model_warmup": [{"name": "w", "batch_size": 20, "inputs": {"x": {
        "data_type": "FP32", "dims": [4], "zero_data": True}}}]},
    "warm_sequence": {**_warm(), **_sequence(_control("START"))},
    "warm_text": {**_warm(data_type="STRING", random_data=True, zero_data=None),
                  "input": [{**X, "data_type": "STRING"}]},
    "warm_text_short": {**_warm(data_type="STRING", input_data_file="short", zero_data=None),
                        "input": [{**X, "data_type": "STRING"}]},
    "warm_text_file": {**_warm(data_type="STRING", input_data_file="long", zero_data=None),
                       "input": [{**X, "data_type": "STRING"}]},
    "warm_unbatched": {**_warm(dims=[1, 4]), "max_batch_size": 0, "input": [{**X, "dims": [-1, 4]}]},
    "warm_batch_zero": {"model_warmup": [{"name": "w", "inputs": {"x": {"dims": [-1]}}}]},
    "labels": {"output": [{**Y, "label_filename": "labels.txt"}]},
    "labels_absent": {"output": [{**Y, "label_filename": "none.txt"}]},
    "platform_unknown": {"backend": "", "platform": "onnx"},
    "platform_onnx": {"backend": "", "platform": "onnxruntime_onnx"},
    "platform_pair": {"backend": "onnxruntime", "platform": "onnxruntime_onnx"},
    "platform_wrong_pair": {"backend": "onnxruntime", "platform": "tensorrt_plan"},
    "platform_other_pair": {"backend": "mine", "platform": "whatever"},
    "platform_of_another": {"backend": "mine", "platform": "tensorrt_plan"},
    "platform_tensorflow": {"backend": "", "platform": "tensorflow_savedmodel"},
    "tensorflow_no_platform": {"backend": "tensorflow"},
    "tensorflow_by_file": {"backend": "tensorflow", "default_model_filename": "model.graphdef"},
    "pytorch_libtorch": {"backend": "", "platform": "libtorch"},
    "pytorch_aoti": {"backend": "pytorch", "platform": "torch_aoti"},
    "openvino_platform": {"backend": "openvino", "platform": "anything"},
    "file_says_backend": {"backend": "", "default_model_filename": "model.onnx"},
    "file_says_nothing": {"backend": "", "default_model_filename": "weights.bin"},
    "nothing_says_backend": {"backend": ""},
    "ensemble_backend": {"platform": "ensemble"},
    "ensemble_no_steps": {"backend": "", "platform": "ensemble"},
    "ensemble_empty": {"backend": "", "platform": "ensemble", "ensemble_scheduling": {}},
    "ensemble_not_platform": {"ensemble_scheduling": {"step": [{"model_name": "m"}]}},
    "runtime_unknown": {"runtime": "nothing"},
    "runtime_python": {"runtime": "model.py"},
    "batch_strategy_sequence": {
        **_sequence(), "parameters": {"TRITON_BATCH_STRATEGY_PATH": "/nowhere.so"}
    },
    "parameters": {"parameters": {"any": "thing"}, "metric_tags": {"a": "b"}},
    "optimization": {
        "optimization": {
            "priority": "MAX", "cuda": {"graphs": True, "busy_wait_events": True},
            "execution_accelerators": {"gpu_execution_accelerator": [{"name": "tensorrt"}]},
            "input_pinned_memory": {"enable": False}, "eager_batching": True,
        },
        "backend": "onnxruntime",
    },
}  # fmt: skip
# What is wrong, or only odd, before a configuration is one.
TEXTS = {
    "empty": "",
    "comment": "# nothing\n",
    "twice": 'backend: "mine" max_batch_size: 1 max_batch_size: 2',
    "two_schedulers": 'backend: "mine" dynamic_batching {} sequence_batching {}',
    "type_by_number": 'backend: "mine" input { name: "x" data_type: 11 dims: 1 }',
    "type_unknown_number": 'backend: "mine" input { name: "x" data_type: 99 dims: 1 }',
    "kind_unknown_number": 'backend: "mine" instance_group { kind: 9 }',
    "kind_lower": 'backend: "mine" instance_group { kind: kind_cpu }',
    "float_for_int": 'backend: "mine" max_batch_size: 8.0',
    "hexadecimal": 'backend: "mine" max_batch_size: 0x8',
    "too_large": 'backend: "mine" max_batch_size: 2147483648',
    "bool_upper": 'backend: "mine" model_transaction_policy { decoupled: TRUE }',
    "trailing_comma": 'backend: "mine" input { name: "x" data_type: TYPE_FP32 dims: [1,] }',
    "quotes": "backend: 'mi' \"ne\"",
    "open_brace": 'backend: "mine" input { name: "x"',
    "unknown_block": 'backend: "mine" nothing { a: 1 }',
    "escape": 'backend: "m\\q"',
    "good_escape": 'backend: "m\\x69ne"',
    "separators": 'backend: "mine"; max_batch_size: 3, metric_tags { key: "a" value: "b" }',
    "angles": 'backend: "mine" input < name: "x" data_type: TYPE_FP32 dims: 1 >',
    # Others wrote these: a value for a block, a block twice, a comma too many, a name for a number.
    "agent": 'model_repository_agents { agents [ { name: "relocation" } ] }',
    "block_twice": 'backend: "mine" dynamic_batching { } dynamic_batching { }',
    "commas": 'backend: "mine", max_batch_size: 4, input [ { name: "x", data_type: TYPE_FP32, dims: [1] }, ]',
    "template": 'backend: "mine" max_batch_size: ${max_batch_size}',
    "quoted_number": 'backend: "mine" max_batch_size: "4"',
    "quoted_type": 'backend: "mine" input { name: "x" data_type: "TYPE_FP32" dims: 1 }',
    "json": '{ "backend": "mine" }',
    "type_in_short": 'backend: "mine" input { name: "x" data_type: FP32 dims: 1 }',
    "block_by_equals": 'backend = "mine"',
    "slashes": 'backend: "mine" // which',
    "yes": 'backend: "mine" input { name: "x" data_type: TYPE_FP32 dims: 1 optional: yes }',
    "true_in_capitals": 'backend: "mine" input { name: "x" data_type: TYPE_FP32 dims: 1 optional: True }',
    "empty_list": 'backend: "mine" instance_group []',
    "map_as_block": 'backend: "mine" parameters { key: "a" value { string_value: "b" } }',
    "map_twice": 'backend: "mine" parameters { key: "a" } parameters { key: "a" value { string_value: "c" } }',
    "negative_unsigned": 'backend: "mine" dynamic_batching { max_queue_delay_microseconds: -1 }',
    "no_break_space": 'backend:\u00a0"mine"',
    "byte_order_mark": '\ufeffbackend: "mine"',
    "blank_of_unicode": 'backend: "mine"\u2003max_batch_size: 4',
    "separator_character": 'backend: "mine"\x1cmax_batch_size: 4',
    "umlaut_in_comment": '# größe\nbackend: "mine" # über',
    "umlaut_in_text": 'backend: "mine" parameters { key: "größe" value { string_value: "ä" } }',
    "crlf": 'backend: "mine"\r\nmax_batch_size: 4\r\n',
    "nan": 'backend: "mine" sequence_batching { direct { minimum_slot_utilization: nan } }',
}


def _model(**more):
    io = {"data_type": "FP32", "dims": [1]}
    return {"backend": "mine", "max_batch_size": 8, "input": [{"name": "p", **io}],
            "output": [{"name": "q", **io}], **more}  # fmt: skip


def _steps(*steps, **more):
    io = {"data_type": "FP32", "dims": [1]}
    made = [
        {"model_name": model, "model_version": version, "input_map": begin, "output_map": end}
        for model, begin, end, version in steps
    ]
    return {
        "platform": "ensemble", "max_batch_size": 8, "input": [{"name": "x", **io}],
        "output": [{"name": "y", **io}], "ensemble_scheduling": {"step": made}, **more,
    }  # fmt: skip


def _one(model, begin="p", end="q", version=-1, **more):
    return _steps((model, {begin: "x"}, {end: "y"}, version), **more)


def _two(first, second):
    return _steps((first, {"p": "x"}, {"q": "t"}, -1), (second, {"p": "t"}, {"q": "y"}, -1))


P = {"name": "p", "data_type": "FP32", "dims": [1]}
# One repository: models, and ensembles of them.
PIPELINES: dict[str, dict] = {
    "a": _model(),
    "unbatched": _model(max_batch_size=0, input=[{**P, "dims": [-1, 1]}],
                        output=[{**P, "name": "q", "dims": [-1, 1]}]),
    "fixed": _model(max_batch_size=0, input=[{**P, "dims": [3, 1]}]),
    "broken": _model(input=[{**P, "dims": [0]}]),
    "optional": _model(input=[P, {**P, "name": "o", "optional": True}]),
    "stream": _model(model_transaction_policy={"decoupled": True}),
    "reshaped": _model(input=[{**P, "reshape": {"shape": []}}]),
    "ok": _one("a"),
    "version_1": _one("a", version=1),
    "version_2": _one("a", version=2),
    "of_unbatched": _one("unbatched"),
    "of_fixed": _one("fixed"),
    "mixed": _two("a", "unbatched"),
    "of_broken": _one("broken"),
    "of_optional": _one("optional"),
    "of_optional_alone": _one("optional", begin="o"),
    "of_reshaped": _one("reshaped"),
    "stream_first": _two("stream", "a"),
    "streams": _two("stream", "stream"),
    "of_ensemble": _one("ok", "x", "y"),
    "of_bad_ensemble": _one("version_2", "x", "y"),
    "of_missing": _one("nowhere"),
    "of_two_missing": _two("nowhere", "elsewhere"),
    "circle": _one("round", "x", "y"),
    "round": _one("circle", "x", "y"),
    "itself": _one("itself", "x", "y"),
    "too_large": _one("a", max_batch_size=9),
    "other_type": _one("a", input=[{**P, "name": "x", "data_type": "INT32"}]),
    "other_shape": _one("a", input=[{**P, "name": "x", "dims": [2]}]),
    "free_shape": _one("a", input=[{**P, "name": "x", "dims": [-1]}]),
    "no_such_input": _one("a", begin="z"),
    "no_such_output": _one("a", end="z"),
    "cached": _one("a", response_cache={"enable": True}),
    "two_streams_answer": _steps(
        ("stream", {"p": "x"}, {"q": "y"}, -1), ("a", {"p": "x"}, {"q": "z"}, -1),
        output=[{**P, "name": "y"}, {**P, "name": "z"}],
    ),
}  # fmt: skip


def write_text(root, name: str) -> None:
    """One text as a model's folder."""
    (root / name / "1").mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(TEXTS[name])


def write_pipelines(root) -> None:
    """All models and ensembles, in one repository."""
    for name, fields in PIPELINES.items():
        (root / name / "1").mkdir(parents=True)
        ModelConfig(name=name, **fields).save(root / name)


SCRAP = {"short": b"12", "long": bytes(64)}


def write(root, name: str) -> None:
    """One case as a model's folder; all have the files that some name."""
    config = GOOD.edit(**{"name": name, **CASES[name]})
    folder = root / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config.text)
    (folder / "labels.txt").write_text("a\nb\n")
    for place in ("warmup", "initial_state"):
        (folder / place).mkdir()
        for file, data in SCRAP.items():
            (folder / place / file).write_bytes(data)
