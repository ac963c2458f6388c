"""What a graph holds and where another leaves it: on graphs whose numbers are known."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import navigator_lab as nav
from navigator_lab.cli import main
from navigator_lab.errors import PackageError, RequestError
from navigator_lab.formats.onnx import graph as files
from navigator_lab.formats.onnx.drift import _Sums, answers, matched, opened, told
from navigator_lab.formats.onnx.network import blocks_of, of
from navigator_lab.types.graph import EXACT_DB
from navigator_lab.types.signature import BATCH, Axis, Signature, TensorSpec
from navigator_lab.views import drift as drift_view
from navigator_lab.views import graph as graph_view

FP32, FP16 = "onnx:fp32@ort-cpu", "onnx:fp16@ort-cpu"


def made(scale=1.0):
    """Two convolutions and a product; ``scale`` spoils the weight of the second convolution."""
    draw = np.random.default_rng(3)
    first = draw.normal(size=(4, 3, 3, 3)).astype(np.float32)
    second = draw.normal(size=(4, 2, 3, 3)).astype(np.float32) * np.float32(scale)
    last = draw.normal(size=(4, 5)).astype(np.float32)
    pads = {"pads": [1, 1, 1, 1]}
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Conv", ["x", "w1"], ["a"], "/stem/Conv", **pads),
                helper.make_node("Conv", ["a", "w2"], ["b"], "/body/0/Conv", group=2, **pads),
                helper.make_node("Relu", ["b"], ["c"], "/body/0/Relu"),
                helper.make_node("GlobalAveragePool", ["c"], ["d"], "/body/Pool"),
                helper.make_node("Flatten", ["d"], ["e"], "/head/Flatten"),
                helper.make_node("MatMul", ["e", "w3"], ["y"], "/head/MatMul"),
            ],
            "made",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
            [
                numpy_helper.from_array(array, name)
                for name, array in (("w1", first), ("w2", second), ("w3", last))
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def signature(*shape):
    return Signature((TensorSpec("x", "float32", (BATCH, *shape)),), (), (Axis(BATCH, 1, 2, 8),))


def test_bytes_and_flops_are_those_of_the_shapes():
    model = files.plain(made())
    found = {n.output: n for n in of(model, signature(3, 8, 8), 2).nodes}
    assert [found[o].flops for o in "abcdey"] == [
        2 * (2 * 4 * 8 * 8) * (3 * 3 * 3),
        2 * (2 * 4 * 8 * 8) * (2 * 3 * 3),  # two groups
        0, 0, 0,
        2 * (2 * 5) * 4,
    ]  # fmt: skip
    assert found["a"].parameter_bytes == 4 * 3 * 3 * 3 * 4
    assert found["a"].activation_bytes == 2 * 4 * 8 * 8 * 4
    assert found["y"].shape == (2, 5)
    assert [found[o].block for o in "abcdey"] == [
        "stem", "body/0", "body/0", "body", "head", "head",
    ]  # fmt: skip


def test_what_is_not_known_before_it_runs_is_said():
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("NonZero", ["x"], ["y"], "find")],
            "odd",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.INT64, [2, "found"])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    (node,) = of(model, signature(4), 3).nodes
    assert node.activation_bytes is None
    assert node.dtype == "int64"
    block = graph_view.info(graph_view.Network(1, (node,)), "odd").total
    assert block.unknown == 1


def test_places_are_those_that_torch_noted_and_of_what_was_put_in_its_neighbours():
    model = made()
    noted = model.graph.node[1].metadata_props.add()
    noted.key = "pkg.torch.onnx.name_scopes"
    noted.value = "['', 'module', 'module.layers.0', 'conv2d']"
    cast = helper.make_node("Cast", ["b"], ["b2"], "b/half/cast", to=TensorProto.FLOAT16)
    model.graph.node.insert(2, cast)
    placed = blocks_of(model)
    assert placed["/body/0/Conv"] == placed["b/half/cast"] == "layers/0"


def drifted(exact, other, feeds):
    pairs, unmatched = matched(exact, other)
    sums = {name: _Sums() for name in pairs}
    both = opened(exact, list(pairs)), opened(other, sorted(set(pairs.values())))
    for one in feeds:
        right, got = (answers(running, one) for running in both)
        for name, twin in pairs.items():
            sums[name].add(right[name], got[twin])
    return told(exact, other, pairs, unmatched, sums, len(feeds))


@pytest.fixture(scope="module")
def feeds():
    draw = np.random.default_rng(5)
    return [{"x": draw.normal(size=(2, 3, 8, 8)).astype(np.float32)} for _ in range(3)]


def test_drift_points_at_the_node_that_was_spoilt(feeds):
    exact, spoilt = files.plain(made()), files.plain(made(1.05))
    found = drifted(exact, spoilt, feeds)
    assert found.layers[found.start].node == "/body/0/Conv"
    assert found.layers[0].sqnr_db == EXACT_DB  # before it all is equal
    assert found.layers[1].inputs_db == EXACT_DB
    assert 20 < found.layers[1].sqnr_db < 32  # 5 %
    assert found.layers[1].lost_db > 100
    seen = drift_view.info(found, "a", "b")
    assert seen.losers[0].node == "/body/0/Conv"
    assert "it starts at /body/0/Conv (Conv in body/0): exact of signal go in" in repr(seen)
    same = drifted(exact, exact, feeds)
    assert same.start is None
    assert "no error" in drift_view.info(same).pointer()


def test_graphs_of_a_session(tmp_path, feeds, capsys):
    """Built where it isn't, cached, beside another, from a shell; what can't be says why."""
    path = tmp_path / "made.onnx"
    onnx.save(made(), path)
    root = tmp_path / "workspace"
    with nav.explore(path, feeds, workspace=root) as lab:
        found = lab.graph(FP16, against=FP32, batch=2)
        assert found.blocks[0].name == "stem"
        assert found.total.flops == lab.graph(FP32, batch=2).total.flops > 0
        by_block = {one.block: one for one in found.differences}
        (there_are,) = (n for name, n, _ in by_block["body/0"].dtypes if name == "float16")
        assert there_are == 2
        here, there = by_block["head"].parameter_bytes
        assert 2 * here == there == 4 * 5 * 4
        assert graph_view.draw(found).data[0].y[0] == "stem"
        drift = lab.drift(FP16)
        assert {one.dtype for one in drift.layers} == {"float16"}
        assert 40 < dict(drift.outputs)["y"] < 90
        assert len(drift_view.draw(drift).data[0].x) == len(drift.layers)
        coarse = lab.drift("onnx:bf16@ort-cpu")
        assert dict(coarse.outputs)["y"] < dict(drift.outputs)["y"] - 10  # 3 bits less
        heard = []
        lab.listeners.append(heard.append)
        assert lab.drift(FP16) == drift
        assert not [event for event in heard if type(event).__name__ == "Started"]
        with pytest.raises(RequestError, match="openvino can't be looked into"):
            lab.graph("openvino:fp32@ov-cpu")
        with pytest.raises(RequestError, match="batch=0"):
            lab.graph(FP32, batch=0)
        with pytest.raises((RequestError, PackageError)):
            lab.drift("onnx:fp32@ort-cuda:7")
    assert main(["graph", FP16, "--against", FP32, "--json", "--workspace", str(root)]) == 0
    assert json.loads(capsys.readouterr().out)["against"] == FP32
    assert main(["drift", FP16, "--workspace", str(root)]) == 0
    assert "it starts at" in capsys.readouterr().out


def test_names_are_never_markup():
    node = graph_view.Node("<b>", "<i>", "y", "<script>", "float32", (1,), 4, 4)
    shown = graph_view.info(graph_view.Network(1, (node,)), "<img>")
    assert "<script>" not in shown._repr_html_()
    assert "<img>" not in shown._repr_html_()
    layer = drift_view.LayerError("<b>", "<i>", "y", "<script>", "float32", 20.0, None, 1.0, 2.0)
    seen = drift_view.info(drift_view.Drift(1, (layer,), {"<u>": 20.0}, 0), "<img>")
    assert not any(tag in seen._repr_html_() for tag in ("<b>", "<i>", "<script>", "<u>", "<img>"))


def test_a_notebook_shows_both(tmp_path, feeds):
    from navigator_lab.ui.magic.arguments import parser

    onnx.save(made(), tmp_path / "made.onnx")
    with nav.explore(tmp_path / "made.onnx", feeds, workspace=tmp_path / "w") as lab:
        for view, found in ((graph_view, lab.graph(FP16)), (drift_view, lab.drift(FP16))):
            figure = view.draw(found, dark=True).to_plotly_json()
            assert figure["layout"]["title"]["text"].startswith("onnx:fp16@ort-cpu")
            assert "<table>" in found._repr_html_()
    asked = parser().parse_args(["drift", FP16, "--samples", "2"])
    assert (asked.command, asked.target, asked.samples) == ("drift", FP16, 2)
