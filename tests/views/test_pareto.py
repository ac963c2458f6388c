"""The Pareto view: what is on the front, and what never is."""

import pytest
from views_seen import texts

import navigator_lab as nav
from navigator_lab.choose import pareto_front
from navigator_lab.errors import RequestError
from navigator_lab.views import pareto


def front(info):
    return [(info.lines[i].target, batch) for i, batch in info.front]


def test_the_front_is_what_no_fit_target_beats(rows):
    info = pareto.info(rows)
    assert front(info) == [("onnx:fp32@ort-cpu", 1), ("onnx:fp32@ort-cpu", 8)]
    assert front(info) == pareto_front(rows)
    assert info.steps == ((1.0, 0.0), (1.0, 1000.0), (4.0, 1000.0), (4.0, 2000.0))


def test_it_agrees_with_choose_on_a_real_run(lab):
    assert front(pareto.info(lab)) == pareto_front(lab.results)
    assert front(pareto.info(lab, "p99_ms")) == pareto_front(lab.results, "p99_ms")


def test_what_may_not_be_chosen_is_shown_and_off_the_front(rows):
    lines = {line.target: line for line in pareto.info(rows).lines}
    assert lines["onnx:int8@ort-cpu"].passed is False
    assert lines["openvino:fp32@ov-cpu"].status == "failed"
    assert lines["aoti:fp32@aoti-cpu"].passed is None
    for name in ("onnx:int8@ort-cpu", "openvino:fp32@ov-cpu", "aoti:fp32@aoti-cpu"):
        assert not any(p.front for p in lines[name].points)
    assert dict(pareto.info(rows).left_out) == {"onnx:fp16@ort-cpu": "infer: no kernel"}


def test_limits_move_the_front(rows):
    info = pareto.info(rows, "p99_ms", {"p99_ms": 5.0, "memory_bytes": None})
    assert front(info) == [("onnx:fp32@ort-cpu", 1)]
    missed = [p for line in info.lines for p in line.points if p.misses]
    assert any("p99_ms 6 > 5" in said for p in missed for said in p.misses)
    assert front(pareto.info(rows, limits={"min_throughput": 1500})) == [("onnx:fp32@ort-cpu", 8)]
    assert front(pareto.info(rows, limits={"size_bytes": 10})) == []
    assert info.limits == {"p99_ms": 5.0}


def test_points_carry_intervals_and_the_gain_over_the_baseline(rows):
    line = next(one for one in pareto.info(rows).lines if one.target == "onnx:fp32@ort-cpu")
    assert [p.gain for p in line.points] == [2.0, 2.0]
    assert line.points[0].x_low == pytest.approx(0.98)
    assert line.points[0].y_high == pytest.approx(1020)


def test_other_axes(rows):
    info = pareto.info(rows, "memory_bytes")
    assert {p.x for line in info.lines for p in line.points} == {2.0}
    assert info.x_unit == "MB"
    with pytest.raises(RequestError, match="did you mean 'p99_ms'"):
        pareto.info(rows, "p98_ms")
    with pytest.raises(RequestError, match="unknown limit"):
        pareto.info(rows, limits={"p99": 1})
    with pytest.raises(RequestError, match="is no limit"):
        pareto.info(rows, limits={"p99_ms": "quick"})


def test_two_runs_are_drawn_over_each_other(lab, saved):
    old = nav.load(saved)
    info = pareto.info([lab, old])
    assert len(set(info.runs)) == 2
    assert len(info.lines) == 2 * len(pareto.info(lab).lines)
    # Equal points are all on the front.
    assert {info.lines[i].run for i, _ in info.front} == {0, 1}
    dashes = {t.line.dash for t in pareto.draw(info).data if t.mode == "lines+markers"}
    assert {"solid", "dot"} <= dashes
    with pytest.raises(RequestError, match="can't show a int"):
        pareto.info(3)
    with pytest.raises(RequestError, match="nothing to draw"):
        pareto.info([])


def test_the_drawing_shows_the_data(rows):
    figure = pareto.draw(pareto.info(rows, "p99_ms", {"p99_ms": 5.0}))
    lines = {t.customdata[0][1]: t for t in figure.data if t.mode == "lines+markers"}
    assert list(lines["onnx:fp32@ort-cpu"].x) == [1.5, 6.0]
    assert set(lines["onnx:int8@ort-cpu"].marker.symbol) == {"x-open"}
    assert lines["onnx:fp32@ort-cpu"].marker.symbol[0] == "circle"
    assert lines["torch:fp32@eager-cpu"].marker.symbol[0] == "circle-open"
    assert figure.layout.xaxis.type == "log"
    assert any("p99 ≤ 5 ms" in (a.text or "") for a in figure.layout.annotations)
    step = next(t for t in figure.data if t.name == "front")
    assert max(step.x) == 5.0  # it ends at the limit
    legend = {t.name for t in figure.data if t.showlegend is not False}
    assert {"PyTorch", "ONNX Runtime", "fp32", "int8", "out of tolerance"} <= legend


def test_nothing_to_draw_says_why(rows):
    def said(results, **limits):
        return " ".join(texts(pareto.draw(pareto.info(results, limits=limits))))

    assert "No target keeps these limits" in said(rows, p50_ms=0.01)
    empty = nav.views.results.Results([], "empty")
    assert "Nothing was measured yet" in said(empty)


def test_a_point_at_zero_does_not_break_the_axis(rows):
    info = pareto.info(rows, "error")
    assert pareto.draw(info).layout.xaxis.type == "log"
    zero = [r for r in rows if r.target == "onnx:fp32@ort-cpu"]
    import dataclasses

    zero = [dataclasses.replace(zero[0], worst_ratio=0.0)]
    made = pareto.draw(pareto.info(nav.views.results.Results(zero), "error"))
    assert made.layout.xaxis.type == "linear"
