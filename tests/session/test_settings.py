"""Targets with settings of their own: their text, what they build, what they share."""

import pytest

import navigator_lab as nav
from navigator_lab.catalog import Catalog
from navigator_lab.errors import RequestError
from navigator_lab.testing import Affine
from navigator_lab.types.plugin import Gpu, Host
from navigator_lab.types.signature import Signature, TensorSpec
from navigator_lab.types.target import Precision, Target, Variant

TEXTS = (
    "onnx:fp16[keep_worst=12]@ort-cpu",
    "torch:fp16@compile-graphs[channels_last=True,mode=max-autotune]-cuda:3",
    'onnx:int8[keep_nodes="/a/Conv,/b[1]@c=\\"d\\""]@ort-cpu',
    'a:fp32[x="",y=-1.5e-3]@b[z=:]-cpu',
)


@pytest.mark.parametrize("text", TEXTS)
def test_print_and_parse_are_inverse(text):
    target = Target.parse(text)
    assert str(target) == text
    assert Target.parse(str(target)) == target
    assert Variant.parse(str(target.variant)) == target.variant
    assert str(target.plain) == str(
        Target(target.format, target.precision, target.runner, target.device)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onnx:fp16[]@ort-cpu", "are no settings"),
        ("onnx:fp16[a=1,]@ort-cpu", "are no settings"),
        ("onnx:fp16[a=1,a=2]@ort-cpu", "sets a twice"),
        ("onnx:fp16[a=1@ort-cpu", "is no target"),
        ("onnx:fp16[a=1]x@ort-cpu", "is no target"),
        ('onnx:fp16@ort[a="]-cpu', "is no target"),
    ],
)
def test_what_is_no_setting_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        Target.parse(text)


@pytest.fixture
def lab(tmp_path):
    import numpy as np

    draw = np.random.default_rng(1)
    samples = [{"x": draw.normal(size=(1, 4)).astype("float32")} for _ in range(4)]
    with nav.explore(
        Affine(), samples, workspace=tmp_path / "w", plugins=["navigator_lab.testing"]
    ) as lab:
        yield lab


KEEP = [f"toy:fp16{k}@toy-cpu" for k in ("", "[keep=1]", "[keep=2]")]


def test_each_is_a_target_of_its_own_and_shares_what_is_the_same(lab):
    rows = lab.run(targets=KEEP, seconds=0.01).to_dicts()
    assert [row["target"] for row in rows] == KEEP
    assert all(row["status"] == "done" for row in rows)
    errors = [row["worst_ratio"] for row in rows]
    assert errors[0] > errors[2] == 0
    # its build is its own; the ranking and all before it are not made again
    more = "toy:fp16[keep=2]@toy[order=F]-cpu"
    assert lab.run(targets=[more], seconds=0.01)[more].status == "done"
    ran = [s.label for t in lab.run_data.targets if str(t.target) == more for s in t.steps if s.ran]
    assert not [label for label in ran if "build" in label or "ranking" in label]
    assert f"infer {more}" in ran
    # the panel's matrix and the next request know it
    assert more in [str(t) for t in lab.targets]
    assert lab.results[more].worst_ratio == 0


def test_one_action_is_read_once(lab):
    lab.run(targets=KEEP, until="convert")
    assert [step for step in lab.board.steps if "ranking" in step] == ["toy-ranking toy:fp16"]


def test_settings_are_checked_before_any_work(lab):
    for text, said in (
        ("toy:fp16[kept=1]@toy-cpu", "kept is no option of what builds toy:fp16"),
        ("toy:fp16[keep=many]@toy-cpu", "keep=many is no int"),
        ("toy:fp16@toy[order=G]-cpu", "is none of"),
        ("toy:fp16@toy[weird=1]-cpu", "no option 'weird'"),
    ):
        with pytest.raises(RequestError, match=said):
            lab.run(targets=[text])
    # one way to write a value
    row = lab.run(targets=["toy:fp16[keep=01]@toy-cpu"], until="convert").to_dicts()[0]
    assert row["target"] == "toy:fp16[keep=1]@toy-cpu"


def test_it_is_packaged_saved_and_chosen(lab, tmp_path):
    text = "toy:fp16[keep=2]@toy[order=F]-cpu"
    lab.run(targets=[text], seconds=0.01)
    assert lab.choose("latency").target == text
    assert (lab.package(text, tmp_path / "r", name="m") / "config.pbtxt").exists()
    saved = nav.load(lab.save(tmp_path / "a.nav"))
    assert [row["target"] for row in saved.results.to_dicts()] == [text]


def test_what_runners_propose_for_a_model_are_targets_where_they_can_matter():
    gpu = Gpu(0, "a GPU", 80 << 30, "9.0", "580")
    host = Host("a CPU", 2, 8 << 30, gpus=(gpu,))
    catalog = Catalog.installed()
    image = Signature((TensorSpec("x", "float32", ("batch", 3, 8, 8)),))
    words = Signature((TensorSpec("x", "int64", ("batch", 8)),))

    def proposed(host, signature):
        source = Variant("torch", Precision.FP32)
        found = catalog.targets(source, host, lambda name, action: "1", signature)
        return {str(target) for target, _, _ in found if target.run_settings}

    assert "torch:fp16@compile-graphs[channels_last=True]-cuda:0" in proposed(host, image)
    assert not proposed(host, words)
    assert not proposed(host, None)
