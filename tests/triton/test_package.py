"""What the package action writes and says; that it serves is `test_server`'s."""

from __future__ import annotations

import dataclasses
import importlib.util
import json

import numpy as np
import pytest
from triton_making import make, onnx_file, product, signature

from navigator_lab.errors import NavigatorError, PackageError
from navigator_lab.runners.torchscript import ScriptOptions
from navigator_lab.triton import config as configs
from navigator_lab.triton import native
from navigator_lab.triton.carry import pickled_modules
from navigator_lab.types.measure import BatchTiming, Interval, Timing
from navigator_lab.types.target import Target

SIG = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))], largest=32)
SAMPLES = [{"x": np.arange(6, dtype=np.float32).reshape(1, 6)}]


def packed(tmp_path, target="onnx:fp32@ort-cpu", timing=None, **options):
    model = onnx_file(tmp_path / "model")
    folder, value = make(tmp_path, target, model, SIG, SAMPLES, timing, name="m", **options)
    assert configs.to_text(configs.parse(value.config)) == value.config
    assert (folder / "config.pbtxt").read_text() == value.config
    return folder, value, configs.parse(value.config)


def timing(*batches, best=None):
    """One ms of latency for each sample of a batch."""
    span = Interval(1.0, 1.0, 1.0)
    measured = tuple(
        BatchTiming(
            b, 20, 3, span, 1.0, 1.0, Interval(float(b), 0, 0), 1.0, Interval(b * 1000.0, 0, 0)
        )
        for b in batches
    )
    return Timing(measured, 1.0, 1, best_batch=best)


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    one, _, _ = packed(tmp_path / "one", backend="python")
    two, _, _ = packed(tmp_path / "two", backend="python")
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(two) for p in two.rglob("*") if p.is_file())
    assert [f for f in files if (one / f).read_bytes() != (two / f).read_bytes()] == []


def test_sizes_come_from_what_was_measured(tmp_path):
    _, value, config = packed(tmp_path, timing=timing(1, 2, 4, 8, 16, best=4))
    assert config.max_batch_size == 16
    assert list(config.dynamic_batching.preferred_batch_size) == [4]
    assert any("largest batch that was measured" in note for note in value.notes)


def test_a_latency_limit_chooses_sizes_and_delay(tmp_path):
    _, value, config = packed(tmp_path, timing=timing(1, 2, 4, 8, 16, best=2), p99_ms=10.5)
    assert config.max_batch_size == 8
    assert list(config.dynamic_batching.preferred_batch_size) == [2]
    # What is left of 10.5 ms after two batches of 8 ms is nothing.
    assert config.dynamic_batching.max_queue_delay_microseconds == 0
    _, value, config = packed(tmp_path / "4", timing=timing(1, 2, 4), p99_ms=10.5)
    assert config.dynamic_batching.max_queue_delay_microseconds == 2500
    reasons = dict(value.reasons)
    assert "4 ms of 10.5 ms" in reasons["max_batch_size"]
    assert "two batches" in reasons["dynamic_batching.max_queue_delay_microseconds"]
    _, value, config = packed(tmp_path / "2", timing=timing(1, 2), p99_ms=10.5)
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    with pytest.raises(PackageError, match=r"the quickest is batch 1 with 1 ms"):
        packed(tmp_path / "none", timing=timing(1, 2), p99_ms=0.5)


def test_every_default_says_where_it_comes_from(tmp_path):
    _, value, config = packed(tmp_path, timing=timing(1, 2, 4, best=2))
    reasons = dict(value.reasons)
    assert "largest batch that was measured" in reasons["max_batch_size"]
    assert "measured on cpu" in reasons["instance_group"]
    assert "no throughput was gained" in reasons["dynamic_batching.preferred_batch_size"]
    written = {field.name for field, _ in config.ListFields()} - {"name", "backend"}
    said = {part for name in reasons for part in name.partition(".")[0].split(", ")}
    assert written <= said


def test_the_configuration_may_be_edited(tmp_path):
    asked = {
        "max_batch_size": 4,
        "dynamic_batching": {"preferred_batch_size": [np.int64(3)], "preserve_ordering": True},
        "instance_group": [{"kind": "CPU", "count": 2}],
        "parameters": {"intra_op_thread_count": 1},
        "version_policy": {"latest": {"num_versions": 2}},
    }
    _, value, config = packed(tmp_path, timing=timing(1, 8, best=2), config=asked)
    assert config.max_batch_size == 4
    assert [one.batch_size for one in config.model_warmup] == [1, 4]
    assert list(config.dynamic_batching.preferred_batch_size) == [3]
    assert config.dynamic_batching.preserve_ordering
    assert config.instance_group[0].count == 2
    assert config.parameters["intra_op_thread_count"].string_value == "1"
    reasons = dict(value.reasons)
    assert reasons["instance_group"] == "asked for in config"
    assert "dynamic_batching.preferred_batch_size" not in reasons


def test_sequences_instead_of_the_dynamic_batcher(tmp_path):
    control = [{"name": "S", "control": [{"kind": "START", "int32_false_true": [0, 1]}]}]
    _, _, config = packed(
        tmp_path, config={"sequence_batching": {"control_input": control, "direct": {}}}
    )
    assert config.WhichOneof("scheduling_choice") == "sequence_batching"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"dynamic_baching": {}}, "dynamic_batching"),
        ({"dynamic_batching": {"preferred_batch_size": [99]}}, "must be <= max batch size"),
        ({"instance_group": [{"kind": "CPU", "gpus": [0]}]}, "specifies one or more GPUs"),
        ({"name": "other"}, "name=…"),
        ({"input": [{"name": "z", "data_type": "FP32", "dims": [6]}]}, "other inputs"),
        ("no json", "no JSON"),
    ],
)
def test_an_edit_that_means_nothing_or_is_refused(tmp_path, config, words):
    with pytest.raises(NavigatorError) as refused:
        packed(tmp_path, config=config)
    assert words in str(refused.value)


def test_what_was_not_measured_is_said(tmp_path):
    _, value, config = packed(tmp_path)
    assert config.max_batch_size == 32
    assert any("nothing was measured" in note for note in value.notes)


def test_options_are_written(tmp_path):
    folder, value, config = packed(
        tmp_path,
        version=7,
        max_batch_size=8,
        preferred_batch_sizes=(2, 4),
        max_queue_delay_us=250,
        instance_count=3,
        warmup=False,
        platform=True,
    )
    assert (folder / "7/model.onnx").is_file()
    assert config.platform == "onnxruntime_onnx"
    assert not config.backend
    assert list(config.dynamic_batching.preferred_batch_size) == [2, 4]
    assert config.dynamic_batching.max_queue_delay_microseconds == 250
    assert config.instance_group[0].count == 3
    assert not config.model_warmup
    assert value.version == 7


def test_no_batching(tmp_path):
    _, _, config = packed(tmp_path, max_batch_size=0)
    assert not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == [-1, 6]
    assert list(config.model_warmup[0].inputs["x"].dims) == [1, 6]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_batch_size": 64}, "up to 32"),
        ({"max_batch_size": -2}, "max_batch_size"),
        ({"max_batch_size": 4, "preferred_batch_sizes": (8,)}, "preferred batch size of 8"),
        ({"preferred_batch_sizes": (0,)}, "below 1"),
        ({"instance_count": 0}, "instance_count"),
        ({"max_queue_delay_us": -1}, "max_queue_delay_us"),
        ({"version": 0}, "version"),
    ],
)
def test_options_that_mean_nothing(tmp_path, options, words):
    with pytest.raises(PackageError, match=words):
        packed(tmp_path, **options)


def test_cuda(tmp_path):
    _, _, config = packed(tmp_path, "onnx:tf32@ort-cuda:1")
    kinds = configs.messages().ModelInstanceGroup
    assert config.instance_group[0].kind == kinds.KIND_GPU
    assert list(config.instance_group[0].gpus) == [1]
    (cuda,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert dict(cuda.parameters) == {"use_tf32": "1"}


def test_warm_up_is_the_real_sample(tmp_path):
    folder, _, config = packed(tmp_path, max_batch_size=8)
    assert [one.batch_size for one in config.model_warmup] == [1, 8]
    file = config.model_warmup[0].inputs["x"].input_data_file
    data = np.frombuffer((folder / "warmup" / file).read_bytes(), np.float32)
    np.testing.assert_array_equal(data, SAMPLES[0]["x"].ravel())


def test_a_file_that_declares_less_than_it_can_is_carried(tmp_path):
    """Triton's backend would hold every answer to the declared batch of one."""
    import onnx

    model = onnx_file(tmp_path / "model")
    made = onnx.load(model / "model.onnx")
    made.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(made, model / "model.onnx")
    _, value = make(tmp_path, "onnx:fp32@ort-cpu", model, SIG, SAMPLES, name="m")
    assert value.backend == "python"
    assert any("axis 0 of 'y' as 1" in note for note in value.notes)


def test_a_file_of_other_names_is_refused(tmp_path):
    model = onnx_file(tmp_path / "model")
    other = signature([("z", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    with pytest.raises(PackageError, match="no input 'z'"):
        make(tmp_path, "onnx:fp32@ort-cpu", model, other, [{"z": SAMPLES[0]["x"]}], name="m")


def test_what_a_carried_package_holds(tmp_path):
    folder, value, config = packed(tmp_path, backend="python")
    assert config.backend == "python"
    assert {"1/model.py", "1/artefact/model.onnx", "1/serve.json", "1/requirements.txt"} <= set(
        value.files
    )
    needs = (folder / "1/requirements.txt").read_text().split()
    assert any(line.startswith("onnxruntime") and "==" in line for line in needs)
    serve = json.loads((folder / "1/serve.json").read_text())
    assert serve["target"] == "onnx:fp32@ort-cpu"
    text = b"".join(p.read_bytes() for p in folder.rglob("*.json"))
    assert str(tmp_path).encode() not in text


def test_precision_of_openvino(tmp_path):
    import openvino

    onnx_file(tmp_path / "onnx")
    (tmp_path / "model").mkdir()
    model = openvino.convert_model(tmp_path / "onnx/model.onnx")
    openvino.save_model(model, tmp_path / "model/model.xml")
    _, value = make(tmp_path, "openvino:fp32@ov-cpu", tmp_path / "model", SIG, SAMPLES, name="m")
    config = configs.parse(value.config)
    assert config.max_batch_size == 0
    assert "HINT_BF16" not in config.parameters
    assert any("f32" in note for note in value.notes)
    # Without a CPU that has bf16 only what would be written can be seen.
    native.tune(config, Target.parse("openvino:bf16@ov-cpu"), native.Fit("openvino"), None, [])
    assert config.parameters["HINT_BF16"].string_value == "YES"


def test_options_of_the_runner_reach_the_configuration(tmp_path):
    given = {"threads": 2, "optimization": "extended", "execution": "parallel"}
    _, _, config = packed(tmp_path, run_options=given)
    said = {name: one.string_value for name, one in config.parameters.items()}
    assert said == {"intra_op_thread_count": "2", "execution_mode": "1"}
    assert config.optimization.graph.level == 1


@pytest.mark.filterwarnings(r"ignore:`torch\.jit:FutureWarning")
@pytest.mark.filterwarnings(r"ignore:`torch\.jit:DeprecationWarning")
def test_torchscript_that_the_cpp_backend_cannot_call_is_carried(tmp_path):
    import torch

    class Takes(torch.nn.Module):
        def forward(self, x) -> dict[str, torch.Tensor]:
            return {"y": x[:, :3]}

    (tmp_path / "model").mkdir()
    torch.jit.script(Takes()).save(str(tmp_path / "model/model.pt"))
    _, value = make(
        tmp_path, "torchscript-script:fp32@jit-cpu", tmp_path / "model", SIG, SAMPLES, name="m"
    )
    assert value.backend == "python"
    assert any("Dict" in note for note in value.notes)


@pytest.mark.filterwarnings(r"ignore:`torch\.jit:FutureWarning")
@pytest.mark.filterwarnings(r"ignore:`torch\.jit:DeprecationWarning")
def test_scripted_arguments_go_by_the_call(tmp_path):
    """A raw module that is called by keywords keeps its names: they are forward's own."""
    import torch

    class Named(torch.nn.Module):
        def forward(self, first, second):
            return first[:, :3] - second[:, :3]

    (tmp_path / "model").mkdir()
    torch.jit.script(Named()).save(str(tmp_path / "model/model.pt"))
    inputs = [("second", "float32", ("batch", 6)), ("first", "float32", ("batch", 6))]
    call = {"args": [], "kwargs": {n: {"input": n} for n in ("second", "first")}}
    sample = dict.fromkeys(("second", "first"), SAMPLES[0]["x"])
    sig = signature(inputs, [("y", "float32", ("batch", 3))], call=call)
    _, value = make(
        tmp_path, "torchscript-script:fp32@jit-cpu", tmp_path / "model", sig, [sample], name="m"
    )
    config = configs.parse(value.config)
    assert value.backend == "pytorch"
    assert [io.name for io in config.input] == ["second", "first"]
    assert not [note for note in value.notes if "served as" in note]


def test_a_native_package_that_was_insisted_on_says_what_is_wrong(tmp_path):
    _, value, _ = packed(tmp_path, "onnx:fp32@odd-cpu", backend="native")
    assert value.backend == "onnxruntime"
    assert any("would not compute what was measured" in note for note in value.notes)


def test_the_files_that_a_pickle_names(tmp_path):
    import pickle

    import cloudpickle

    def calls(x):
        return json.dumps(np.sum(x))

    for protocol in (2, 4, 5):
        folder = tmp_path / str(protocol)
        folder.mkdir()
        (folder / "callable.pkl").write_bytes(cloudpickle.dumps(calls, protocol=protocol))
        named = pickled_modules(product(folder))
        assert {"cloudpickle", "numpy", "json"} <= named, named
        assert all(importlib.util.find_spec(name) for name in named - {"test_package"}), named
    (tmp_path / "5/other.pkl").write_bytes(pickle.dumps(signature([], []), protocol=5))
    assert "navigator_lab" in pickled_modules(product(tmp_path / "5"))
    (tmp_path / "5/torn.pkl").write_bytes(b"\x80\x05\x95")
    assert "numpy" in pickled_modules(product(tmp_path / "5"))


def test_a_model_that_keeps_state_is_not_held_against_itself(tmp_path):
    model = onnx_file(tmp_path / "model")
    sig = dataclasses.replace(SIG, stateful=True)
    _, value = make(tmp_path, "onnx:fp32@odd-cpu", model, sig, SAMPLES, name="m")
    assert value.backend == "onnxruntime"


@pytest.mark.parametrize(
    ("device", "profile", "off"),
    [("cpu", None, False), ("cuda:0", None, True), ("cuda:0", True, False), ("cpu", False, True)],
)
def test_torchscript_is_served_as_it_was_measured(device, profile, off):
    config, notes = configs.messages().ModelConfig(), []
    found = native.Fit("pytorch")
    options = ScriptOptions(profile=profile)
    native.tune(config, Target.parse(f"torchscript:fp32@jit-{device}"), found, options, notes)
    said = (
        config.parameters["DISABLE_OPTIMIZED_EXECUTION"].string_value if config.parameters else ""
    )
    assert said == ("true" if off else "")
