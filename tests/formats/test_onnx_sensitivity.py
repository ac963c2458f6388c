"""Which node loses most, by itself and at the outputs; keeping the worst brings the answer back."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_bench import Bench, onnx_format, signature, spec

from navigator_lab.errors import ModelError, SamplesError
from navigator_lab.formats.onnx.half import HalfOptions
from navigator_lab.formats.onnx.narrow import Fp8Options
from navigator_lab.formats.onnx.quantize import StaticOptions
from navigator_lab.formats.onnx.ranking import Sensitivity
from navigator_lab.formats.onnx.sensitivity import SensitivityOptions
from navigator_lab.types import samples as stored
from navigator_lab.types.codec import encode
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, Variant

OPTIONS = {"fp16": HalfOptions, "bf16": HalfOptions, "int8": StaticOptions, "fp8": Fp8Options}
EDGES = {
    "fp16": onnx_format.to_half,
    "bf16": onnx_format.to_half,
    "int8": onnx_format.to_int8,
    "fp8": onnx_format.to_fp8,
}


def network():
    """``fragile`` takes one value that is a thousand times the others; what ``forgiven`` errs by, the
    largest error of a node by itself, is multiplied by nearly nothing."""
    rng = np.random.default_rng(0)
    square = rng.standard_normal((16, 16)).astype(np.float32) / 4
    spread = np.diag(np.r_[1000.0, np.ones(15)]).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "steady"),
        helper.make_node("Mul", ["a", "wide"], ["b"], "widen"),
        helper.make_node("MatMul", ["b", "back"], ["c"], "fragile"),
        helper.make_node("MatMul", ["b", "ones"], ["d"], "forgiven"),
        helper.make_node("Mul", ["d", "little"], ["e"], "little"),
        helper.make_node("Add", ["c", "e"], ["y"], "sum"),
    ]
    weights = {
        "w": square,
        "wide": np.diag(spread),
        "back": (np.linalg.inv(spread) @ square).astype(np.float32),
        "ones": rng.standard_normal((16, 16)).astype(np.float32) / 1000,
        "little": np.full(1, 1e-6, np.float32),
    }
    body = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bench(folder):
    rng = np.random.default_rng(1)
    samples = [{"x": rng.standard_normal((1, 16)).astype(np.float32)} for _ in range(6)]
    facts = signature(
        [spec("x", "float32", "batch", 16)],
        [spec("y", "float32", "batch", 16)],
        call=None,
        batch=(1, 2, 8),
    )
    return Bench(folder, facts, samples, network())


def ranked(it, precision, **options):
    at = At(
        it.folder / "r", Variant.parse(f"onnx:{precision}"), SensitivityOptions(**options), {}, {}
    )
    return onnx_format.sensitivity.fn(at, it.product("source"), it.product("samples"))


def sqnr(it, name, target):
    feeds = it.samples
    got = [one["y"] for one in it.run(name, target, feeds)]
    right = [one["y"] for one in it.run("source", "onnx:fp32@ort-cpu", feeds)]
    signal = np.square(right - np.mean(right, axis=0)).sum()
    return 10 * np.log10(signal / np.square(np.subtract(got, right)).sum())


@pytest.mark.parametrize("precision", ["int8", "fp8", "fp16", "bf16"])
def test_the_worst_at_the_outputs_comes_first(tmp_path, precision):
    made = ranked(bench(tmp_path), precision)
    assert made.precision == precision
    assert made.samples == 2
    place = {one.node: i for i, one in enumerate(made.nodes)}
    at_outputs = {one.node: one.output_sqnr_db for one in made.nodes}
    assert at_outputs["forgiven"] > 100
    if precision == "int8":
        assert made.nodes[0].node == "fragile"
        assert at_outputs["steady"] > at_outputs["fragile"] + 20
    assert place["steady"] < place["forgiven"]


def test_by_themselves_only_and_how_many_at_the_outputs(tmp_path):
    it = bench(tmp_path)
    alone = ranked(it, "int8", at_outputs=0)
    assert all(one.output_sqnr_db is None for one in alone.nodes)
    values = [one.sqnr_db for one in alone.nodes]
    assert values == sorted(values)
    some = ranked(it, "int8", at_outputs=2)
    assert [one.output_sqnr_db is None for one in some.nodes] == [False, False] + [True] * (
        len(some.nodes) - 2
    )
    assert {one.node for one in some.nodes[:2]} == {one.node for one in alone.nodes[:2]}


@pytest.mark.parametrize("precision", ["int8", "fp8", "fp16"])
def test_keeping_the_worst_in_fp32(tmp_path, precision):
    it = bench(tmp_path)
    made = ranked(it, precision)
    more = {"check_ranges": False} if precision == "fp16" else {}
    ranking = Product("r", tmp_path, encode(made))
    assert ranking.read(Sensitivity) == made
    found = []
    for count in (0, 1, 2):
        folder = tmp_path / f"{precision}-{count}"
        folder.mkdir()
        at = At(
            folder,
            Variant.parse(f"onnx:{precision}"),
            OPTIONS[precision](keep_worst=count, **more),
            {},
            {},
        )
        reads = {"ranking": ranking} if count else {}
        edge = EDGES[precision]
        value = edge.action.fn(at, it.product("source"), it.product("samples"), **reads)
        assert len(value.kept) == count
        assert edge.reads[0].when(at.options) == bool(count)
        if count:
            assert value.kept[0] == made.nodes[0].node
            assert made.nodes[0].node in value.notes[-1]
        found.append(sqnr(it, folder.name, f"onnx:{precision}@ort-cpu"))
    if precision == "int8":
        assert found[1] > found[0] + 30
        name = str(folder / "model.onnx")
        assert next(n for n in onnx.load(name).graph.node if n.name.startswith("fragile")).input[
            :2
        ] == ["b", "back"]


def test_what_is_not_measured_is_said(tmp_path):
    it = bench(tmp_path)
    with pytest.raises(ModelError, match="sensitivity of nodes to int8-dynamic is not measured"):
        ranked(it, "int8-dynamic")
    with pytest.raises(ModelError, match="keep_worst=2 needs the sensitivity"):
        it.build(onnx_format.to_half, "onnx:fp16", options=HalfOptions(keep_worst=2))
    it.samples[3]["x"][0, 5] = np.nan
    stored.write(tmp_path / "samples", it.samples)
    with pytest.raises(SamplesError, match="'x' of sample 3"):
        ranked(it, "int8")
