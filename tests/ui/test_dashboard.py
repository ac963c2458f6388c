"""The dashboard without a browser: its traits are its gestures, and what it shows is plain data."""

from __future__ import annotations

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.errors import RequestError
from navigator_lab.testing import Affine
from navigator_lab.types.measure import Tolerance
from navigator_lab.ui.dashboard import Dashboard

PLUGINS = ["navigator_lab.testing"]
X = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
FP16, FP32, BASE = "toy:fp16@toy-cpu", "toy:fp32@toy-cpu", "python:fp32@python-cpu"
QUICK = {"max_batch": 2, "seconds": 0.05}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("w")
    with nav.explore(Affine(), X, name="affine", workspace=root, plugins=PLUGINS) as made:
        yield made


@pytest.fixture
def panel(lab):
    lab.tolerance = None
    made = Dashboard(lab, namespace={})
    made.settings = dict(QUICK)
    made.wanted = [FP32, FP16, BASE]
    assert made.settle()
    yield made
    made.close()


def test_before_a_run_the_steps_are_counted_as_the_session_counts_them(panel, lab):
    said = lab.preview(targets=panel.wanted, until="profile", **QUICK)
    cells, steps = panel.matrix["cells"], panel.matrix["steps"]
    labels = {
        label
        for target in panel.wanted
        for stage in ("export", "convert", "correctness", "profile")
        for label in cells[target]["stages"][stage]
    }
    # The probe of the samples is the session's own: it is no target's and always fresh.
    known = {f.step: f.state for f in said.forecasts if not f.step.startswith("probe ")}
    assert {label: steps[label]["state"] for label in labels} == known


def test_every_target_is_a_cell_with_its_reason(panel, lab):
    cells = panel.matrix["cells"]
    assert set(cells) == {str(t) for t in lab.targets}
    assert all(c["available"] or c["reason"] for c in cells.values())
    assert panel.matrix["presets"]["all"]["targets"] == [
        t for t in panel.matrix["order"] if cells[t]["available"]
    ]


def test_a_run_a_limit_a_tolerance_and_a_choice(panel, lab):
    """One after the other, as traits; each drawing follows."""
    job = panel.run("correctness")
    with pytest.raises(RequestError, match="under way"):
        panel.run()
    job.wait(120)
    assert panel.settle()
    panel.run().wait(120)
    while panel.run_state["state"] == "running":
        assert panel.settle()
        panel._pump.mark("run")
    assert panel.run_state["state"] == "done"
    assert {panel.run_state["states"][t]["state"] for t in panel.wanted} == {"done"}
    assert [r["target"] for r in panel.results["rows"]] == [FP32, FP16, BASE]
    assert panel.choice["choice"]["target"] in panel.wanted
    assert panel.target == panel.choice["choice"]["target"]

    panel.limits = {"p50_ms": 1e-9}
    assert panel.settle()
    assert panel.choice["choice"] is None
    assert "p50_ms" in panel.choice["error"]
    panel.limits = {}

    panel.tolerance = {"relative": 1e-9, "absolute": 1e-9}
    assert panel.settle()
    assert lab.tolerance == Tolerance(1e-9, 1e-9)
    assert panel.run_state["states"][FP16]["state"] == "tol"
    assert panel.tolerances[FP16][""] == [1e-9, 1e-9, 0, 0, 0, 0]
    lab.tolerance = None  # by a cell
    panel._after_cell()
    assert panel.settle()
    assert panel.tolerance is None
    assert panel.run_state["states"][FP16]["state"] == "done"

    panel.choose(BASE)
    assert panel.target == BASE
    with pytest.raises(RequestError, match="unknown target"):
        panel.choose("onnx")
    panel.choose("")


def test_a_run_that_a_cell_started_is_shown_too(panel, lab):
    job = lab.start(targets=[FP16, BASE], **QUICK, retry_failed=True)
    job.wait(120)
    panel._after_cell()
    for _ in range(100):
        assert panel.settle()
        if panel.run_state["state"] == "done" and panel.run_state["targets"]:
            break
        panel._pump.mark("run")
    assert sorted(panel.run_state["targets"]) == [BASE, FP16]
    assert all(step["state"] == "cached" for step in panel.run_state["steps"].values())


def test_what_is_copied_runs(panel, lab, tmp_path):
    lab.run(targets=panel.wanted, **QUICK)
    panel.selection = [FP16, FP32]
    panel.tolerance = {"relative": 1e-3, "absolute": 1e-5}
    panel.limits = {"p50_ms": 1e6}
    panel.repository = str(tmp_path / "repository")
    assert panel.settle()
    names = {"lab": lab}
    for key in ("run", "table", "pareto", "tolerance", "selection", "compare", "choose"):
        exec(panel.code[key], names)  # our own text
    assert lab.tolerance == Tolerance(1e-3, 1e-5)
    assert (tmp_path / "repository" / "affine" / "config.pbtxt").is_file()


def test_export_tells_what_to_type_and_what_went_wrong(panel, lab, tmp_path):
    lab.run(targets=panel.wanted, **QUICK)
    folder = tmp_path / "a folder" / "repository"
    panel.export(FP16, folder)
    _worked(panel)
    assert panel.exported["state"] == "done"
    assert panel.exported["config"] == (folder / "affine" / "config.pbtxt").read_text()
    assert f"--model-repository='{folder}'" in panel.exported["serve"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    panel.export(FP16, blocked)
    _worked(panel)
    assert panel.exported["state"] == "failed"
    assert str(blocked) in panel.exported["words"]


def _worked(panel):
    import time

    for _ in range(600):
        if panel.exported["state"] != "working":
            return
        time.sleep(0.1)
    raise AssertionError(panel.exported)


def test_a_click_that_goes_wrong_is_said_and_answered(panel):
    panel.wanted = []
    panel._message(panel, {"do": "run", "number": 3}, [])
    assert panel.answered == 3
    assert panel.run_state["error"] == "no target is selected"
    assert panel.run_state["remedy"]
    panel._message(panel, {"do": "no such thing", "number": 4}, [])
    panel._message(panel, "text", [])


def test_models_are_found_opened_and_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"affine": Affine(), "x": X, "several": {"a": X, "b": X}, "text": "no", "n": 3, "_h": X,
             "nav": nav}  # fmt: skip
    panel = Dashboard(namespace=names, workspace=tmp_path / "w", plugins=PLUGINS)
    try:
        assert panel.settle()
        assert [m["id"] for m in panel.pick["models"]] == ["var:affine", "digits", "path"]
        assert [s["id"] for s in panel.pick["samples"]] == ["var:x", "var:several", "path"]
        assert "no model was opened" in panel.static_html()
        panel.picked = {"model": "path", "samples": "var:x", "model_path": "missing.onnx"}
        panel._message(panel, {"do": "open", "number": 1}, [])
        _opened(panel)
        assert "missing.onnx" in panel.pick["error"]
        assert panel.pick["remedy"]
        panel.picked = {"model": "var:affine", "samples": "var:x"}
        panel._message(panel, {"do": "open", "number": 2}, [])
        _opened(panel)
        assert names["lab"] is panel.session
        assert panel.pick["session"]["signature"]["inputs"][0]["shape"] == ["batch", 4]
        assert panel.wanted
        assert panel.code["open"].endswith("lab = nav.explore(affine, x, name='affine')")
    finally:
        if panel.session is not None:
            panel.session.close()
        panel.close()


def _opened(panel):
    import time

    for _ in range(600):
        panel.settle()
        if panel._opening["state"] != "opening" and panel.pick["state"] != "opening":
            panel.settle()
            return
        time.sleep(0.1)
    raise AssertionError(panel.pick)


def test_a_loaded_run_is_shown_without_what_needs_its_store(panel, lab, tmp_path):
    lab.run(targets=panel.wanted, **QUICK)
    with_file = nav.load(lab.save(tmp_path / "run.nav"))
    shown = Dashboard(with_file, namespace={})
    try:
        assert shown.settle()
        assert [r["target"] for r in shown.results["rows"]] == [r.target for r in lab.results]
        assert shown.accuracy
        assert shown.choice["choice"]["target"]
        with pytest.raises(RequestError, match="loaded"):
            shown.run()
    finally:
        shown.close()


def test_the_snapshot_is_plain_and_escaped(panel, lab):
    lab.run(targets=panel.wanted, **QUICK)
    panel._after_cell()
    panel._pump.mark("results")
    assert panel.settle()
    text = panel.static_html()
    assert FP16 in text
    assert "<script" not in text
    assert "<style" not in text


def test_what_is_pointed_at_is_the_sessions_too_and_seen_by_all(panel, lab):
    """selection, chosen, limits and tolerance: set in one place, heard in the others."""
    lab.run(targets=panel.wanted, **QUICK)
    second = Dashboard(lab, namespace={})
    heard = []
    lab.observe(heard.append)
    try:
        panel.selection = [FP16, BASE]  # a click
        assert lab.selection == second.selection == [FP16, BASE]
        lab.chosen = FP16  # a cell
        assert panel.chosen == second.chosen == FP16
        second.limits = {"p99_ms": 1e6}
        assert lab.limits == panel.limits == {"p99_ms": 1e6}
        panel.tolerance = {"relative": 1e-3, "absolute": 0.0}
        assert lab.tolerance == Tolerance(1e-3, 0.0)
        for _ in range(50):
            assert second.settle()
            if second.tolerance is not None:
                break
        assert second.tolerance["relative"] == 1e-3
        assert [c["name"] for c in heard] == ["selection", "chosen", "limits", "tolerance"]
        assert heard[0]["new"] == [FP16, BASE]
        for wrong in ({"p98_ms": 1}, {"p99_ms": -1}, {"p99_ms": "5"}):
            with pytest.raises(RequestError):
                lab.limits = wrong
        with pytest.raises(RequestError, match="a list"):
            lab.selection = FP16
        with pytest.raises(RequestError, match="did you mean 'chosen'"):
            lab.observe(heard.append, "chosn")
        lab.unobserve(heard.append)
        third = Dashboard(lab, namespace={})  # what comes later finds it so
        assert third.selection == [FP16, BASE]
        third.close()
    finally:
        lab.selection, lab.chosen, lab.limits, lab.tolerance = [], "", {}, None
        second.close()


def test_what_is_copied_leaves_stale_targets_out(panel, lab):
    from navigator_lab.ui.panels import code

    lab.run(targets=panel.wanted, **QUICK)
    given = ("", panel.wanted, "profile", QUICK, [], None, {}, "throughput", "p50_ms", "", "r")
    made = code.lines(*given, run=lab.id, fresh=[FP32, BASE])
    names = {"lab": lab}
    for key in ("table", "pareto", "parallel"):
        exec(made[key], names)  # our own text
    assert [line.target for line in names["view"].info(lab.results.only([FP32, BASE])).lines] == [
        FP32, BASE,
    ]  # fmt: skip
    assert FP16 not in made["choose"]
    assert FP16 not in made["pareto"]
    exec(made["choose"].splitlines()[0], names)
    assert names["best"].target in (FP32, BASE)
    with pytest.raises(RequestError, match="unknown target"):
        lab.results.only([FP32, "onnx"])
