"""The precision mixer: each number of nodes is a target, what they share is made once."""

import json

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.errors import RequestError
from navigator_lab.ui.panels import mixer, results


def network(folder):
    """A product that takes one value a thousand times the others, and two that take even ones."""
    import onnx

    rng = np.random.default_rng(0)
    square = rng.standard_normal((16, 16)).astype(np.float32) / 4
    wide = np.r_[1000.0, np.ones(15)].astype(np.float32)
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("MatMul", ["x", "w"], ["a"], "steady"),
                onnx.helper.make_node("Mul", ["a", "wide"], ["b"], "widen"),
                onnx.helper.make_node("MatMul", ["b", "back"], ["c"], "fragile"),
                onnx.helper.make_node("MatMul", ["c", "w"], ["y"], "last"),
            ],
            "g",
            [onnx.helper.make_tensor_value_info("x", 1, ["n", 16])],
            [onnx.helper.make_tensor_value_info("y", 1, ["n", 16])],
            [
                onnx.numpy_helper.from_array(array.astype(np.float32), name)
                for name, array in (("w", square), ("wide", wide), ("back", square / wide[:, None]))
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = folder / "m.onnx"
    onnx.save(made, path)
    return path


@pytest.fixture
def lab(tmp_path):
    draw = np.random.default_rng(1)
    samples = [{"x": draw.normal(size=(1, 16)).astype("float32")} for _ in range(6)]
    with nav.explore(network(tmp_path), samples, workspace=tmp_path / "w") as lab:
        yield lab


def ran(lab):
    return {s.label for t in lab.run_data.targets for s in t.steps if s.ran}


def test_the_mixer(lab, tmp_path):
    made = lab.mix("onnx:int8@ort-cpu", keep=[0, 1], seconds=0.02, batches=[1])
    assert [one.keep for one in made.points] == [0, 1]
    assert [one.status for one in made.points] == ["done", "done"]
    assert made.points[1].sqnr_db > made.points[0].sqnr_db + 20
    assert all(one.ms > 0 and one.size_bytes for one in made.points)
    assert "fragile" in made.points[1].notes[0]
    assert made.batch == 1
    assert [step for step in lab.board.steps if "sensitivity" in step] == [
        "onnx-sensitivity onnx:int8"
    ]
    # one more setting: what is shared is not made again
    seen = []
    lab.listeners.append(seen.append)
    more = lab.mix("onnx:int8[keep_worst=1]@ort-cpu", keep=[2, 1], seconds=0.02, batches=[1])
    assert [one.keep for one in more.points] == [0, 1, 2]
    assert more.points[1].ms == made.points[1].ms
    started = {event.step for event in seen if type(event).__name__ == "Started"}
    assert started
    assert all("[keep_worst=2]" in step for step in started), started
    # the panel finds them, and knows which more could be mixed
    texts = [one.target for one in more.points]
    live = mixer.settings(lab, [*texts, "onnx:fp32@ort-cpu", "onnx:fp16@ort-cpu"])
    base = "onnx:int8@ort-cpu"
    assert live == {t: (base, n) for n, t in enumerate(texts)} | {
        "onnx:fp16@ort-cpu": ("onnx:fp16@ort-cpu", 0)
    }
    rows = results.shown(lab, {})["rows"]
    assert mixer.numbers(rows) == {base: [0, 1, 2]}
    # the whole ranking is there to be read, and is not made again
    seen.clear()
    ranked = lab.sensitivity(base)
    assert {one.node for one in ranked.nodes} == {"steady", "fragile", "last"}
    assert "fragile" in repr(ranked).splitlines()[2]
    assert not [event for event in seen if type(event).__name__ == "Started"]
    # each is on the Pareto plot, and the run that is saved shows the same without a kernel
    shown = [line.target for line in nav.views.pareto.info(lab).lines]
    assert shown == [one.target for one in (made.points[0], made.points[1], more.points[2])]
    loaded = nav.load(lab.save(tmp_path / "a.nav"))
    assert mixer.settings(loaded, [*texts, "onnx:fp16@ort-cpu"]) == {
        text: (base, number) for number, text in enumerate(texts)
    }
    saved = loaded.mixed("onnx:int8@ort-cpu")
    assert saved == more
    assert "in fp32" in repr(saved)
    assert "<table>" in saved._repr_html_()
    figure = json.loads(nav.views.mixer.draw(saved).to_json())
    steps = figure["layout"]["sliders"][0]["steps"]
    assert [next(iter(step["args"][0].values())) for step in steps] == [0, 1, 2]
    at = next(iter(steps[0]["args"][0])).removesuffix(".x0")
    assert figure["layout"]["shapes"][int(at[7:-1])]["x0"] == 0


def test_what_cannot_be_mixed_is_refused_before_any_work(lab):
    for target, keep, said in (
        ("onnx:fp32@ort-cpu", [1], "keep_worst is no option"),
        ("onnx:int8-dynamic@ort-cpu", [1], "keep_worst is no option"),
        ("onnx:int8@ort-cpu", [-1], "can't be"),
        ("onnx:int8@ort-cpu", [], "can't be"),
    ):
        with pytest.raises(RequestError, match=said):
            lab.mix(target, keep=keep)
    with pytest.raises(RequestError, match="keep_worst is no option"):
        lab.sensitivity("onnx:fp32@ort-cpu")
    with pytest.raises(RequestError, match="was not run"):
        lab.mixed("onnx:int8@ort-cpu")
    assert not lab.run_data.targets
