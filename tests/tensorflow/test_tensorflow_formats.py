"""What is built from a Keras model, a SavedModel or a TFLite file, held to TensorFlow's own answers."""

import numpy as np
import pytest
from tensorflow_held import LOOSE, WORDS, arrays, stored

import navigator_lab as nav

FORMATS = ["savedmodel", "tflite", "onnx", "openvino"]
RUNNERS = ["graphdef", "savedmodel", "tflite", "ort", "ov"]  # one for each format
PRECISIONS = ["fp32", "fp16", "int8", "int8-dynamic"]
# Of the largest right number: far looser than the verdicts, so that only what is really wrong fails.
WRONG = {"fp32": 1e-4, "fp16": 1e-2, "int8": 2e-1, "int8-dynamic": 2e-1}


def judged(lab, right, **asked):
    """Rows whose passing answers were held to what is right; by target."""
    rows = lab.run(devices=["cpu"], until="correctness", progress=False, **asked)
    for row in rows:
        if not row.passed:
            continue
        for name, got in stored(lab, row.target).items():
            size = np.abs(right[name]).max()
            assert np.abs(got - right[name]).max() <= WRONG[row.precision] * size, (
                row.target,
                name,
            )
    return {row.target: row for row in rows}


@pytest.mark.parametrize("name", ["digits", pytest.param("two_inputs", marks=pytest.mark.slow)])
def test_every_format_in_every_precision(name, models, workspace):
    right = arrays(models / f"{name}_answers.npz")
    with nav.explore(models / f"{name}.keras", models / f"{name}.npz", workspace=workspace) as lab:
        rows = judged(lab, right, formats=FORMATS, precisions=PRECISIONS)
        passed = {target for target, row in rows.items() if row.passed}
        wanted = {"savedmodel:fp32@savedmodel-cpu"}
        wanted |= {f"tflite:{p}@tflite-cpu" for p in PRECISIONS}
        wanted |= {f"onnx:{p}@ort-cpu" for p in PRECISIONS}
        wanted |= {f"openvino:{p}@ov-cpu" for p in PRECISIONS[:3]}
        assert passed == wanted, {t: r.reason for t, r in rows.items() if not r.passed}
        # Channels last came in, and channels last is what every file takes: nothing is transposed.
        product = next(
            s for s in lab["onnx:fp32@ort-cpu"].steps if s.label.startswith("build onnx")
        )
        import onnx

        file = onnx.load(product.outcome.product.path / "model.onnx")
        shapes = {
            i.name: [d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim]
            for i in file.graph.input
        }
        assert shapes == {s.name: list(s.shape) for s in lab.signature.inputs}
        assert [o.name for o in file.graph.output] == list(right)
        smaller = rows["tflite:int8@tflite-cpu"].size_bytes
        assert name != "digits" or smaller < 0.5 * rows["tflite:fp32@tflite-cpu"].size_bytes


def test_sequences_of_any_length(models, workspace):
    """Two lengths, so that the length varies in what is built."""
    whole = arrays(models / "lstm.npz")["sequence"]
    samples = [{"sequence": whole[:3]}, {"sequence": whole[3:, :7]}]
    with nav.explore(models / "lstm.keras", samples, workspace=workspace) as lab:
        assert lab.signature.inputs[0].shape == ("batch", "sequence_1", 6)
        rows = lab.run(formats=FORMATS, runners=RUNNERS, precisions=["fp32"],
                       devices=["cpu"], until="correctness", progress=False)  # fmt: skip
        assert all(row.passed for row in rows), [(row.target, row.reason) for row in rows]
        # What remembers needs its batch as a number in TFLite, so a batch is run by rows there.
        built = next(s for s in lab["tflite:fp32@tflite-cpu"].steps if "tflite" in s.label)
        assert "by rows" in built.outcome.product.value["notes"][0]


def test_a_model_made_by_others_agrees_with_its_twins(shipped, sound, workspace):
    """Spotify's SavedModel, and the TFLite and ONNX files that they made of it."""
    given = {
        "savedmodel": shipped / "nmp", "tflite": shipped / "nmp.tflite", "onnx": shipped / "nmp.onnx",
    }  # fmt: skip
    runners = {"savedmodel": "savedmodel", "tflite": "tflite", "onnx": "ort"}
    answers = {}
    for kind, path in given.items():
        with nav.explore(path, sound, workspace=workspace) as lab:
            target = f"{kind}:fp32@{runners[kind]}-cpu"
            # What we make of the SavedModel ourselves, too.
            formats = FORMATS if kind == "savedmodel" else [kind]
            rows = lab.run(
                formats=formats, runners=RUNNERS, precisions=["fp32"], devices=["cpu"], until="correctness",
                tolerance=LOOSE, progress=False,
            )  # fmt: skip
            assert all(row.passed for row in rows), [(r.target, r.reason) for r in rows]
            found = stored(lab, target)
            # The ONNX file has the graph's names: of 88 keys the one with the larger mean is the onset.
            found = sorted(found.values(), key=lambda a: (a.shape, float(a.mean())))
            answers[kind] = found
    for kind in ("tflite", "onnx"):
        for got, right in zip(answers[kind], answers["savedmodel"], strict=True):
            np.testing.assert_allclose(got, right, atol=2e-3)


def test_text_goes_in_and_out_and_has_no_way_but_the_savedmodel(models, workspace):
    target = "savedmodel:fp32@savedmodel-cpu"
    with nav.explore(models / "texts", WORDS, workspace=workspace, signature="classify") as lab:
        assert [(s.name, s.dtype, s.shape) for s in lab.signature.inputs] == [
            ("text", "object", ("batch",))
        ]
        rows = lab.run(formats=FORMATS, runners=RUNNERS, precisions=["fp32"],
                       devices=["cpu"], until="correctness", progress=False)  # fmt: skip
        assert rows[target].passed, rows[target].reason
        got = stored(lab, target)
        assert got["known"].tolist() == [1, -1, -1, 3]
        assert got["length"].tolist() == [3, 5, 0, 6]
        assert got["upper"].tolist() == ["LAB", "GRößE", "", "SERVER"]
        by_format = {row.format: row for row in rows if row.target != target}
        for row in by_format.values():
            assert row.status == "failed"
            assert row.remedy, row.reason
        assert "tensors of text (text, upper)" in by_format["onnx"].reason
        assert "'classify' is meant" in by_format["openvino"].reason


def test_a_frozen_graph_by_its_own_names(models, workspace):
    """Names that TensorFlow's signatures can't say, and of which two would become the same."""
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    given = {"a/b": x, "a_b": x + 1, "a.b": 2 * x}
    right = {"out/sum": x + 10 * (x + 1), "out.sum": 1 - x}
    with nav.explore(models / "odd_names.pb", given, workspace=workspace) as lab:
        assert lab.notes[0] == "its ends: a/b, a_b, a.b -> out/sum, out.sum"
        assert [s.shape for s in lab.signature.inputs] == [("batch", 2)] * 3
        rows = lab.run(formats=["graphdef", *FORMATS], runners=RUNNERS, precisions=["fp32"],
                       devices=["cpu"], until="correctness", progress=False)  # fmt: skip
        passed = {row.format for row in rows if row.passed}
        assert passed == {"graphdef", *FORMATS}, [(row.target, row.reason) for row in rows]
        for row in rows:
            for name, got in stored(lab, row.target).items():
                np.testing.assert_allclose(got, right[name], rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_xla_is_an_option(jit_compile, models, workspace):
    """Seen in the file that was saved, and in what is computed from it."""
    right = arrays(models / "two_inputs_answers.npz")
    given = models / "two_inputs.keras", models / "two_inputs.npz"
    setting = "[jit_compile=True]" if jit_compile else ""
    target = f"savedmodel:fp32{setting}@savedmodel-cpu"
    with nav.explore(*given, workspace=workspace) as lab:
        lab.run(targets=[target], until="correctness", progress=False)
        assert lab.results[target].passed, lab.results[target].reason
        built = next(s for s in lab[target].steps if s.label.startswith("build"))
        file = built.outcome.product.path / "model.savedmodel" / "saved_model.pb"
        assert (b"_XlaMustCompile\x12\x02(\x01" in file.read_bytes()) == jit_compile
        for name, got in stored(lab, target).items():
            np.testing.assert_allclose(got, right[name], rtol=1e-3, atol=1e-5)
