"""Pipelines: their edges are checked as a server would, and a real server serves them."""

from __future__ import annotations

import numpy as np
import pytest
from triton_making import make, onnx_file, signature

from navigator_lab import triton
from navigator_lab.errors import NavigatorError, PackageError
from navigator_lab.triton.repository import publish
from navigator_lab.triton.server import serve

SCALE = 255.0
NAMES = np.array(["low", "middle", "high"], object)


def brighten(pixels):
    """What a client sends are bytes; the model wants numbers."""
    return {"x": pixels.astype(np.float32) / SCALE}


def label(y):
    """The name of the largest, and how large it is."""
    best = y.argmax(-1)
    return NAMES[best][:, None], y.max(-1, keepdims=True)


def before(**more):
    return triton.python_model(
        "before", brighten,
        [{"name": "pixels", "data_type": "uint8", "dims": [6]}],
        [{"name": "x", "data_type": "FP32", "dims": [6]}],
        **{"max_batch_size": 8, **more},
    )  # fmt: skip


def after(**more):
    spec = {"name": "y", "data_type": "FP32", "dims": [3]}
    return triton.python_model(
        "after", label, [{**spec, **more}],
        [{"name": "label", "data_type": "STRING", "dims": [1]},
         {"name": "score", "data_type": "FP32", "dims": [1]}],
        max_batch_size=8,
    )  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A model of the middle step, packaged as ever."""
    folder = tmp_path_factory.mktemp("pipeline")
    model = onnx_file(folder / "model")
    sig = signature([("x", "float32", ("batch", 6))], [("y", "float32", ("batch", 3))])
    sample = {"x": np.ones((1, 6), np.float32)}
    made, _ = make(folder, "onnx:fp32@ort-cpu", model, sig, [sample], name="m")
    publish(made, folder / "repository")
    return folder / "repository"


@pytest.fixture(scope="module")
def pipeline(repository):
    made = triton.ensemble("pipeline", [before(), "m", after()], repository)
    made.save(repository)
    triton.Repository(repository).add(made.bls().write(repository.parent / "bls"))
    return made


def test_what_is_written_passes_the_checks(pipeline, repository):
    assert triton.check(repository) == []
    assert list(triton.Repository(repository)) == [
        "after",
        "before",
        "m",
        "pipeline",
        "pipeline_bls",
    ]
    assert pipeline.config.max_batch_size == 8
    assert [io["name"] for io in pipeline.config.input] == ["pixels"]
    assert [io["name"] for io in pipeline.config.output] == ["label", "score"]
    with pytest.raises(PackageError, match="version 1 already"):
        pipeline.save(repository)


def test_the_graph(pipeline):
    text = pipeline.graph()
    assert "request ──pixels UINT8 [6]──▶ before" in text
    assert "m ──y FP32 [3]──▶ after" in text
    assert "after ──label STRING [1]──▶ response" in text
    assert 'm1 -->|"y FP32 [3]"| m2' in pipeline.mermaid()


def test_a_real_server_answers_through_it(pipeline, repository):
    import onnxruntime

    session = onnxruntime.InferenceSession(repository / "m/1/model.onnx")
    pixels = np.random.default_rng(0).integers(0, 255, (5, 6)).astype(np.uint8)
    wanted, score = label(session.run(None, brighten(pixels))[0])
    with serve(repository) as server:
        for name in ("pipeline", "pipeline_bls"):
            got = server.infer(name, {"pixels": pixels})
            assert [one.decode() for one in got["label"].ravel()] == wanted.ravel().tolist()
            np.testing.assert_allclose(got["score"], score, rtol=1e-5)
        assert int(server.statistics("m")["inference_count"]) >= 10
        with pytest.raises(NavigatorError, match="pixels"):
            server.infer("pipeline", {"pixels": pixels.astype(np.float32)})


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (lambda: [before(), "m", after(data_type="FP16")], "inconsistent data type: TYPE_FP32"),
        (lambda: [before(), "m", after(dims=[4])], "inconsistent shape: [-1,3]"),
        (lambda: [triton.Step("m", {"x": "a"}, {"y": "a"})], "look for a circle"),
        (list, "must specify 'step'"),
        (lambda: [before(), triton.Step("m", {"z": "x"})], "unknown input of m 'z'"),
        (lambda: ["nothing"], "unknown model"),
    ],
    ids=["type", "shape", "circle", "empty", "name", "model"],
)
def test_edges_that_do_not_fit(repository, steps, words):
    with pytest.raises(NavigatorError) as refused:
        triton.ensemble("bad", steps(), repository)
    assert words in str(refused.value)


def test_batches(repository):
    small = before(max_batch_size=2)
    assert triton.ensemble("e", [small, "m"], repository).config.max_batch_size == 2
    with pytest.raises(PackageError, match="only allows maximum batch size to be 2"):
        triton.ensemble("e", [small, "m"], repository, max_batch_size=4)
    whole = triton.ensemble("e", ["m"], repository, max_batch_size=0)
    assert whole.config.input[0]["dims"] == [-1, 6]


def test_tensors_may_be_renamed_chosen_and_left_out(repository):
    made = triton.ensemble(
        "e", [triton.Step("m", {"x": "image"}, {"y": "logits"}), triton.Step(after(), {"y": "logits"})],
        repository, outputs=["logits", "label"],
    )  # fmt: skip
    assert [io["name"] for io in made.config.input] == ["image"]
    assert [io["name"] for io in made.config.output] == ["logits", "label"]
    assert made.calls[1].outputs == {"label": "label"}


@pytest.mark.parametrize(
    ("function", "words"),
    [(3, "no function"), ("/nonexistent.py", "no Python file"), ((lambda: (x for x in [])), "")],
)
def test_functions_that_can_not_be_carried(function, words, tmp_path):
    io = [{"name": "x", "data_type": "FP32", "dims": [1]}]
    if not words:
        held = (x for x in [1])
        function, words = (lambda x: held), "can't be carried"
    with pytest.raises(PackageError, match=words):
        triton.python_model("p", function, io, io)


def test_a_file_as_a_model(tmp_path):
    io = [{"name": "x", "data_type": "FP32", "dims": [1]}]
    (tmp_path / "own.py").write_text("class TritonPythonModel:\n    pass\n")
    made = triton.python_model("p", tmp_path / "own.py", io, io, requirements=["scipy"])
    folder = made.write(tmp_path / "out")
    assert "TritonPythonModel" in (folder / "1/model.py").read_text()
    assert (folder / "1/requirements.txt").read_text() == "scipy\n"
    (tmp_path / "bad.py").write_text("x = 1")
    with pytest.raises(PackageError, match="no TritonPythonModel"):
        triton.python_model("p", tmp_path / "bad.py", io, io)
