"""The view of loads: what it says of given loads, and that its figure is whole."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from navigator_lab.errors import RequestError
from navigator_lab.types.measure import Interval
from navigator_lab.types.served import Executed, LoadPoint, LoadTest, Sender, ServerStatistics
from navigator_lab.views import load


def at(value: float) -> Interval:
    return Interval(value, value * 0.95, value * 1.05)


def point(level: float, rate: float, ms: float, **more) -> LoadPoint:
    stats = ServerStatistics(
        100, 0, 100, 60, ms / 2, 0.1, ms / 4, 0.1, (Executed(1, 40, ms), Executed(2, 20, ms)), 0.8
    )
    made = LoadPoint("closed", level, 1, 100, 0, 1.0, at(ms), at(ms * 1.5), at(ms * 2), at(ms * 3),
                     ms, at(rate), at(rate), Sender(1, 0.3, 0.1), statistics=stats)  # fmt: skip
    return replace(made, **more)


BENT = LoadTest(
    "m", "a server",
    (point(1, 100, 1), point(2, 190, 1.1), point(4, 350, 1.3), point(8, 400, 5), point(16, 410, 20)),
    "onnx:fp32@ort-cpu", unproven=("<b>speed</b> of $\\alpha$ is not shown",),
)  # fmt: skip


def test_the_knee_is_where_latency_takes_over():
    (curve,) = load.info(BENT).curves
    assert curve.points[curve.knee].level in (4, 8)
    straight = replace(BENT, points=tuple(point(i, 100 * i, 1 + i) for i in (1, 2, 3, 4)))
    assert load.info(straight).curves[0].knee is None
    assert load.info(replace(BENT, points=BENT.points[:2])).curves[0].knee is None
    wavers = zip((50, 150, 300, 600), (1.70, 1.71, 1.94, 2.43), strict=True)  # far from its limits
    calm = replace(BENT, points=tuple(point(i, rate, ms) for i, (rate, ms) in enumerate(wavers, 1)))
    assert load.info(calm).curves[0].knee is None


def test_bars_hold_all_of_the_latency():
    for bar in load.info(BENT).curves[0].bars:
        of = next(p for p in BENT.points if f"{p.level:g} under way" == bar.label)
        assert sum(bar.ms) + bar.rest_ms == pytest.approx(of.mean_ms)
        assert bar.batches == ((1, 40), (2, 20))


def test_what_was_not_answered_is_no_point_and_what_failed_is_said():
    nothing = Interval(math.nan, math.nan, math.nan)
    broken = replace(
        BENT.points[0], p50_ms=nothing, p99_ms=nothing, statistics=None, ended="it died", errors=9
    )
    failed = replace(BENT.points[1], errors=3)
    (curve,) = load.info(replace(BENT, points=(broken, failed))).curves
    assert [p.note for p in curve.points] == ["3 errors"]
    assert len(curve.bars) == 1
    assert "9 times" not in str(BENT)
    assert "it died" in str(replace(BENT, points=(broken,)))


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_is_whole_and_shows_text_as_text(dark):
    said = json.loads(load.draw(load.info([BENT, BENT]), dark=dark).to_json())
    text = json.dumps(said)
    assert "<b>speed" not in text
    kinds = [trace["type"] for trace in said["data"]]
    assert kinds.count("scatter") == 4
    assert kinds.count("bar") == 5 + 2
    assert "knee" in text


def test_a_sweep_marks_what_was_chosen():
    settings = [{"max_batch_size": 4}, {"max_batch_size": 8}]
    points = tuple(replace(p, setting=s) for p, s in zip(BENT.points[:2], settings, strict=True))
    swept = replace(BENT, points=points, swept=("max_batch_size",), best=1, limit_ms=9.0)
    (curve,) = load.info(swept).curves
    assert (curve.loop, curve.levels) == ("sweep", "max batch")
    assert [p.chosen for p in curve.points] == [False, True]
    assert "chosen" in load.draw(load.info(swept)).to_json()
    assert (
        "p99 ≤ 9"
        in json.loads(load.draw(load.info(swept)).to_json())["layout"]["shapes"][0]["label"]["text"]
    )


def test_a_page_of_several_tells_each():
    text = load.page([BENT, replace(BENT, model="other")])
    assert "<pre style" in text
    assert text.count("load on ") == 2
    assert "[load on" not in text


def test_a_page_needs_no_network():
    page = load.page(BENT)
    assert "<script" in page
    assert 'src="http' not in page
    assert "<b>speed" not in page


def test_nothing_to_show_is_said():
    with pytest.raises(RequestError, match="no loads yet"):
        load.info([])
    with pytest.raises(RequestError, match="holds no loads"):
        load.info(3)


def test_levels_of_sequences_are_said_to_be_so():
    """A rate of sequences is drawn as the requests that it asks for."""
    asked = point(5, 39.0, 2, loop="open", arrivals="constant", sequence=8)
    (curve,) = load.info(LoadTest("m", "s", (asked,))).curves
    assert (curve.name, curve.levels) == ("open loop, sequences of 8", "sequences/s asked")
    (one,) = curve.points
    assert (one.label, one.level, one.x) == ("5 sequences/s asked", 5, 40)
    closed = LoadTest("m", "s", (point(2, 50, 2, sequence=8),))
    assert load.info(closed).curves[0].points[0].label == "2 sequences under way"
