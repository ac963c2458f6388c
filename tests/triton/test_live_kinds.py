"""Models that are asked in other ways, replayed on one real server: a sequence, an ensemble with
Python steps, text, an optional input, lengths that differ, none that batches."""

from __future__ import annotations

import json
import urllib.request

import numpy as np
import pytest

from navigator_lab.cli import main
from navigator_lab.errors import NavigatorError
from navigator_lab.session.loading import load_test
from navigator_lab.session.repository import serve_repository
from navigator_lab.stages.replay import sequences_of
from navigator_lab.triton.pressing import text_id
from navigator_lab.triton.server import serve

CODE = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        return [pb.InferenceResponse([self.answer(r)]) for r in requests]

    def given(self, request, name):
        tensor = pb.get_input_tensor_by_name(request, name)
        return None if tensor is None else tensor.as_numpy()

    def answer(self, r):
        {body}
"""

MODELS = {
    "sequence": (
        """
        max_batch_size: 1
        sequence_batching {
          control_input { name: "START"
            control { kind: CONTROL_SEQUENCE_START fp32_false_true: [0, 1] } }
          control_input { name: "ID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
        }
        input { name: "x" data_type: TYPE_INT64 dims: 2 }
        output { name: "y" data_type: TYPE_INT64 dims: 2 }
        """,
        'start = int(self.given(r, "START").ravel()[0]);'
        ' return pb.Tensor("y", self.given(r, "x") * 10 + start)',
        {"x": np.array([[1, 2], [3, 4]])},
        {"y": np.array([[11, 21], [31, 41]])},
    ),
    "first": (
        """
        max_batch_size: 4
        input { name: "text" data_type: TYPE_STRING dims: 1 }
        output { name: "lengths" data_type: TYPE_FP32 dims: 1 }
        """,
        'words = self.given(r, "text");'
        ' return pb.Tensor("lengths", np.array([[len(w[0].decode())] for w in words], np.float32))',
        {"text": np.array([["größe"], ["ab"], [""]])},
        {"lengths": np.array([[5], [2], [0]], np.float32)},
    ),
    "second": (
        """
        max_batch_size: 4
        input { name: "n" data_type: TYPE_FP32 dims: 1 }
        input { name: "scale" data_type: TYPE_FP32 dims: 1 optional: true }
        output { name: "scaled" data_type: TYPE_FP32 dims: 1 }
        """,
        'scale = self.given(r, "scale"); n = self.given(r, "n");'
        ' return pb.Tensor("scaled", n * (3 if scale is None else scale))',
        {"n": np.array([[1], [2]], np.float32)},
        {"scaled": np.array([[3], [6]], np.float32)},
    ),
    "both": (
        """
        platform: "ensemble"
        max_batch_size: 4
        input { name: "text" data_type: TYPE_STRING dims: 1 }
        output { name: "out" data_type: TYPE_FP32 dims: 1 }
        ensemble_scheduling {
          step { model_name: "first" model_version: -1
            input_map { key: "text" value: "text" } output_map { key: "lengths" value: "mid" } }
          step { model_name: "second" model_version: -1
            input_map { key: "n" value: "mid" } output_map { key: "scaled" value: "out" } }
        }
        """,
        None,
        {"text": np.array([["abc"], ["größe"]])},
        {"out": np.array([[9], [15]], np.float32)},
    ),
    "alone": (
        """
        max_batch_size: 0
        input { name: "x" data_type: TYPE_FP64 dims: [ 2, 2 ] }
        output { name: "total" data_type: TYPE_FP64 dims: 1 }
        """,
        'return pb.Tensor("total", self.given(r, "x").sum().reshape(1))',
        {"x": np.arange(12.0).reshape(3, 2, 2)},
        {"total": np.array([[6.0], [22.0], [38.0]])},
    ),
    "lengths": (
        """
        max_batch_size: 4
        input { name: "ids" data_type: TYPE_INT64 dims: -1 allow_ragged_batch: true }
        output { name: "sum" data_type: TYPE_INT64 dims: 1 }
        dynamic_batching { }
        """,
        'return pb.Tensor("sum", self.given(r, "ids").sum(axis=1, keepdims=True))',
        {"ids": np.array([[1, 2, 3], [4, 5, 6]])},
        {"sum": np.array([[6], [15]])},
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds") / "repository"
    for name, (config, body, _, _) in MODELS.items():
        (root / name / "1").mkdir(parents=True)
        head = f'name: "{name}"\n' + ('backend: "python"\n' if body else "")
        (root / name / "config.pbtxt").write_text(head + config)
        if body:
            (root / name / "1/model.py").write_text(CODE.replace("{body}", body))
    with serve(root) as made:
        made.root = root
        yield made


@pytest.mark.parametrize("name", MODELS)
def test_a_replay_of(server, name, tmp_path):
    _, _, inputs, outputs = MODELS[name]
    np.savez(tmp_path / "in.npz", **inputs)
    np.savez(tmp_path / "out.npz", **outputs)
    with serve_repository(
        server.root, name, samples=tmp_path / "in.npz", expected=tmp_path / "out.npz",
        url=server.http, grpc=server.grpc,
    ) as served:  # fmt: skip
        assert [(one.passed, one.said) for one in served.replay.exchanges if not one.passed] == []
        if name != "sequence":
            (point,) = load_test(served, concurrency=2, count=10).points
            assert (point.requests, point.errors) == (10, 0)


COUNTS = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        self.seen = {}
        self.wrong = 0

    def execute(self, requests):
        answers = []
        for request in requests:
            start, end, ready, who, x = (
                pb.get_input_tensor_by_name(request, n).as_numpy().ravel()[0]
                for n in ("START", "END", "READY", "ID", "x")
            )
            self.wrong += bool(start) != (who not in self.seen)
            self.seen[who] = 1 if start else self.seen.get(who, 0) + 1
            self.wrong += bool(end) != (self.seen[who] == 5)
            answer = np.array([[len(self.seen), self.wrong, max(self.seen.values())]], np.int64)
            answers.append(pb.InferenceResponse([pb.Tensor("y", answer)]))
        return answers
"""
BOOLEAN = "fp32_false_true: [0, 1]"


@pytest.fixture(scope="module", params=["UINT64", "INT32", "STRING"])
def counting(request, tmp_path_factory):
    """A model that counts the sequences that it saw, and the requests that were out of place."""
    root = tmp_path_factory.mktemp("sequences") / "repository"
    (root / "counts/1").mkdir(parents=True)
    (root / "counts/1/model.py").write_text(COUNTS)
    controls = "".join(
        f'control_input {{ name: "{n}" control {{ kind: CONTROL_SEQUENCE_{n} {BOOLEAN} }} }}\n'
        for n in ("START", "END", "READY")
    )
    (root / "counts/config.pbtxt").write_text(
        f"""
        name: "counts" backend: "python" max_batch_size: 8
        sequence_batching {{ {controls}
          control_input {{ name: "ID"
            control {{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_{request.param} }} }}
          oldest {{ max_candidate_sequences: 8 }}
        }}
        input {{ name: "x" data_type: TYPE_INT64 dims: 1 }}
        output {{ name: "y" data_type: TYPE_INT64 dims: 3 }}
        """
    )
    samples = root.parent / "x.npz"
    np.savez(samples, x=np.arange(7).reshape(7, 1))
    with serve_repository(root, samples=samples, send=False) as served:
        served.root = root
        yield served


def test_loads_of_whole_sequences(counting):
    """Each has its own id, begins with a start, ends with an end and is sent in order."""
    asked = {"sequence_length": 5, "warmup_s": 0.0, "second_opinion": False}
    few = load_test(counting, concurrency=2, count=23, **asked).points[0]
    many = load_test(counting, concurrency=6, count=60, processes=2, **asked).points[0]
    assert (few.error_words, many.error_words) == ({}, {})
    # Whole sequences only: 23 requests are five sequences.
    assert [(p.requests, p.errors, p.sequence) for p in (few, many)] == [(25, 0, 5), (60, 0, 5)]
    open_ = load_test(counting, rate=20, arrivals="constant", seconds=1.0, **asked)
    point = open_.points[0]
    assert (point.requests, point.errors) == (100, 0)
    assert point.kept_up
    assert "sequences of 5, constant, per s 20" in str(open_)
    end = counting.server.wire.statistics("counts")["inference_count"]
    assert int(end) == 25 + 60 + 100
    with pytest.raises(NavigatorError, match="one sample each"):
        load_test(counting, request_batch=2)
    with pytest.raises(NavigatorError, match="sequence_length=0"):
        load_test(counting, sequence_length=0)
    who = text_id(7) if sequences_of(counting.config) == "text" else 7
    probe = {
        "parameters": {"sequence_id": who, "sequence_start": True},
        "inputs": [{"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [1]}],
    }
    url = f"http://{counting.server.http}/v2/models/counts/infer"
    with urllib.request.urlopen(url, json.dumps(probe).encode(), timeout=30) as answer:
        (found,) = json.loads(answer.read())["outputs"]
    sequences, wrong, longest = found["data"]
    assert (sequences, wrong, longest) == (5 + 12 + 20 + 1, 0, 5)
    there = {"url": counting.server.http, "grpc": counting.server.grpc}
    with serve_repository(counting.root, samples=counting.root.parent / "x.npz", **there) as again:
        assert [(e.requests, e.problem) for e in again.replay.exchanges] == [(15, ""), (15, "")]


def test_the_shell_asks_a_running_server(server, tmp_path, capsys):
    np.savez(tmp_path / "in.npz", **MODELS["both"][2])
    np.savez(tmp_path / "out.npz", **MODELS["both"][3])
    there = ["--url", server.http, "--grpc", server.grpc, "--samples", str(tmp_path / "in.npz")]
    ours = [str(server.root), "--model", "both", *there]
    assert main(["replay", *ours, "--expected", str(tmp_path / "out.npz")]) == 0
    assert "replay of both: passed" in capsys.readouterr().out
    plot = tmp_path / "plot.html"
    assert main(["load-test", *ours, "--concurrency", "1,2", "--count", "8",
                 "--plot", str(plot)]) == 0  # fmt: skip
    assert "concurrency 2" in capsys.readouterr().out
    assert plot.stat().st_size > 1e6
    assert main(["load-test", *ours, "--rate", "x"]) == 2
    assert main(["load-test", *ours, "--concurrency", "1", "--p99-ms", "1e-6"]) == 1
    assert main(["replay", str(server.root), *there]) == 2
    assert "several models" in capsys.readouterr().err
