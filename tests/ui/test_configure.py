"""The configuration in the panel: defaults with their reasons, edits at once, the export the same."""

from __future__ import annotations

import time

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.errors import RequestError
from navigator_lab.testing import Affine
from navigator_lab.ui.dashboard import Dashboard
from navigator_lab.ui.panels import configure

X = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
FP16, FP32 = "toy:fp16@toy-cpu", "toy:fp32@toy-cpu"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("w")
    with nav.explore(
        Affine(), X, name="affine", workspace=root, plugins=["navigator_lab.testing"]
    ) as made:
        made.run(targets=[FP16, FP32], max_batch=4, seconds=0.05)
        yield made


@pytest.fixture
def panel(lab):
    made = Dashboard(lab, namespace={})
    made.chosen = FP16
    assert made.settle()
    yield made
    made.close()


def shown(panel):
    for _ in range(600):
        assert panel.settle()
        if panel.configured.get("state") not in (None, "working"):
            return panel.configured
        time.sleep(0.05)
    raise AssertionError(panel.configured)


def test_each_default_says_where_it_comes_from(panel, lab):
    panel.preview()
    found = shown(panel)
    assert found["state"] == "ready"
    assert found["text"] == lab.config(FP16).text
    assert set(found["defaults"]) == set(configure.FIELDS) - {"lines"}
    assert all(value and why for value, why in found["defaults"].values())
    assert found["defaults"]["max_batch_size"] == ["4", "max_batch_size 4 is the largest batch that was measured"]  # fmt: skip
    assert found["defaults"]["instance_count"][1].startswith("measured on cpu")


def test_what_is_edited_is_seen_copied_and_exported(panel, lab, tmp_path):
    panel.preview()
    shown(panel)
    panel.configuration = {
        "max_batch_size": "8", "preferred_batch_sizes": "2, 8", "max_queue_delay_us": 150,
        "instance_count": "2", "instance_kind": "KIND_AUTO", "response_cache": True,
        "lines": 'parameters { key: "a" value { string_value: "b" } }\n'
                 "dynamic_batching { preserve_ordering: true }",
    }  # fmt: skip
    found = shown(panel)
    assert found["errors"] == {}
    config = nav.triton.ModelConfig(found["text"])
    assert config.max_batch_size == 8
    assert config.dynamic_batching["preferred_batch_size"] == [2, 8]
    assert config.dynamic_batching["max_queue_delay_microseconds"] == 150
    assert config.dynamic_batching["preserve_ordering"] is True
    assert [(one["count"], one.get("kind", "KIND_AUTO")) for one in config.instance_group] == [
        (2, "KIND_AUTO")
    ]
    assert config.response_cache == {"enable": True}
    assert config.parameters["a"] == "b"
    panel.repository = str(tmp_path / "by_code")
    assert panel.settle()
    exec(panel.code["choose"], {"lab": lab})  # our own text
    panel.export(repository=tmp_path / "by_click")
    for _ in range(600):
        if panel.exported["state"] != "working":
            break
        time.sleep(0.05)
    assert panel.exported["state"] == "done", panel.exported
    for folder in ("by_code", "by_click"):
        assert (tmp_path / folder / "affine/config.pbtxt").read_text() == found["text"]
    panel.configuration = {}
    assert shown(panel)["text"] == lab.config(FP16).text


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("max_batch_size", "many", "'many' is no size"),
        ("preferred_batch_sizes", "2, 64", "preferred size must be <= max batch size"),
        ("max_queue_delay_us", "-1", "'-1' can't be"),
        ("instance_count", "0", "'0' can't be"),
        ("lines", "max_batch_sise: 4", 'no field named "max_batch_sise"'),
        ("lines", 'name: "other"', "config says name 'other'"),
        ("lines", "optimization { priority: PRIORITY_MAX", "Expected"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(panel, tmp_path, field, typed, said):
    panel.preview()
    shown(panel)
    panel.configuration = {field: typed, "response_cache": True}
    found = shown(panel)
    assert list(found["errors"]) == [field]
    assert said in found["errors"][field][0]
    assert "response_cache" in found["text"]  # the rest is as asked
    panel.export(repository=tmp_path / "r")
    for _ in range(600):
        if panel.exported["state"] != "working":
            break
        time.sleep(0.05)
    assert panel.exported["state"] == "failed"
    assert not (tmp_path / "r" / "affine").exists()


def test_a_limit_decides_sizes_of_the_best_only_and_a_field_must_be_one(panel, lab):
    panel.chosen = ""
    limit = max(row.p99_ms[2] for row in lab.results) * 1000
    panel.limits = {"p99_ms": limit}
    assert panel.settle()
    panel.preview()
    assert f"{limit:g} ms" in shown(panel)["defaults"]["max_batch_size"][1]
    with pytest.raises(RequestError, match="max_batch_size"):
        configure.typed({"max_batch": 3})
