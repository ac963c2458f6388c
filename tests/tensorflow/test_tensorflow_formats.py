"""What is built from a Keras model, a SavedModel or a TFLite file, held to TensorFlow's own answers."""

import numpy as np
import pytest
from tensorflow_held import LOOSE, arrays, stored

import navigator_lab as nav

FORMATS = ["savedmodel", "tflite", "onnx", "openvino"]
PRECISIONS = ["fp32", "fp16", "int8", "int8-dynamic"]
# Of the largest right number: far looser than the verdicts, so that only what is really wrong fails.
WRONG = {"fp32": 1e-4, "fp16": 1e-2, "int8": 2e-1, "int8-dynamic": 2e-1}
REASONS = {"tflite": ("requires element_shape to be static", "ONNX")}  # of an LSTM


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
def test_every_format_in_every_precision(name, models, tmp_path):
    right = arrays(models / f"{name}_answers.npz")
    with nav.explore(models / f"{name}.keras", models / f"{name}.npz", workspace=tmp_path) as lab:
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


def test_sequences_of_any_length(models, tmp_path):
    """Two lengths, so that the length varies in what is built."""
    whole = arrays(models / "lstm.npz")["sequence"]
    samples = [{"sequence": whole[:3]}, {"sequence": whole[3:, :7]}]
    with nav.explore(models / "lstm.keras", samples, workspace=tmp_path) as lab:
        assert lab.signature.inputs[0].shape == ("batch", "sequence_1", 6)
        rows = lab.run(formats=["savedmodel", "onnx", "openvino", "tflite"], precisions=["fp32"],
                       devices=["cpu"], until="correctness", progress=False)  # fmt: skip
        by_format = {row.format: row for row in rows}
        for name, (reason, remedy) in REASONS.items():
            row = by_format.pop(name)
            assert row.status == "failed"
            assert reason in row.reason
            assert "loc(" not in row.reason
            assert remedy in row.remedy
        assert all(row.passed for row in by_format.values()), rows


def test_a_model_made_by_others_agrees_with_its_twins(shipped, sound, tmp_path):
    """Spotify's SavedModel, and the TFLite and ONNX files that they made of it."""
    given = {
        "savedmodel": shipped / "nmp", "tflite": shipped / "nmp.tflite", "onnx": shipped / "nmp.onnx",
    }  # fmt: skip
    runners = {"savedmodel": "savedmodel", "tflite": "tflite", "onnx": "ort"}
    answers = {}
    for kind, path in given.items():
        with nav.explore(path, sound, workspace=tmp_path) as lab:
            target = f"{kind}:fp32@{runners[kind]}-cpu"
            # What we make of the SavedModel ourselves, too.
            formats = (
                ["savedmodel", "tflite", "onnx", "openvino"] if kind == "savedmodel" else [kind]
            )
            rows = lab.run(
                formats=formats, precisions=["fp32"], devices=["cpu"], until="correctness",
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


def test_text_has_no_way_but_the_savedmodel(models, tmp_path):
    words = np.array(["lab", "größe", "", "server"])
    with nav.explore(models / "texts", words, workspace=tmp_path, signature="classify") as lab:
        rows = lab.run(formats=["onnx", "tflite", "openvino"], precisions=["fp32"],
                       devices=["cpu"], until="correctness", progress=False)  # fmt: skip
        for row in rows:
            assert row.status == "failed"
            assert row.reason
            assert row.remedy, row.reason
        by_format = {row.format: row for row in rows}
        assert "tensors of text (text, upper)" in by_format["onnx"].reason
        assert "'classify' is meant" in by_format["openvino"].reason
