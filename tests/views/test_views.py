"""The other views: what they say of known rows, and of a real run."""

import json
import subprocess
import sys

import pytest
from views_rows import made_row
from views_seen import texts

import navigator_lab as nav
from navigator_lab.errors import RequestError
from navigator_lab.types.event import Finished, Planned, Started
from navigator_lab.types.measure import OutputAccuracy, Tolerance
from navigator_lab.types.outcome import Done, Failed, Failure, Product
from navigator_lab.views import (
    compare,
    heatmap,
    latency,
    parallel,
    pareto,
    report,
    surface,
    theme,
    timeline,
)
from navigator_lab.views.board import Board
from navigator_lab.views.choice import folded
from navigator_lab.views.results import Results

VIEWS = ("compare", "heatmap", "latency", "parallel", "pareto", "surface", "timeline")


def test_views_load_no_plotly_until_they_draw():
    code = (
        "import sys, navigator_lab as nav\n"
        f"[getattr(nav.views, name) for name in {(*VIEWS, 'report', 'theme')!r}]\n"
        "assert 'plotly' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_view_draws_a_live_and_a_loaded_run(lab, saved):
    old = nav.load(saved)
    for run in (lab, old):
        made = {
            "compare": compare.info(run, "toy:fp32@toy-cpu", "toy:fp16@toy-cpu"),
            "heatmap": heatmap.info(run),
            "latency": latency.info(run, "p99_ms"),
            "parallel": parallel.info(run),
            "pareto": pareto.info(run),
            "surface": surface.info(run, "toy:fp16@toy-cpu"),
            "timeline": timeline.info(run),
        }
        for name, info in made.items():
            for dark in (False, True):
                figure = getattr(nav.views, name).draw(info, dark=dark)
                assert json.loads(figure.to_json())["data"], name


def test_no_name_is_ever_markup(hostile):
    infos = {
        "heatmap": heatmap.info(hostile),
        "latency": latency.info(hostile),
        "parallel": parallel.info(hostile),
        "pareto": pareto.info(hostile),
        "compare": compare.info(hostile, *[row.target for row in hostile]),
        "timeline": timeline.of_events(
            [Planned("r", ("<img>",), 0.0), Started("<img>", ("<b>why</b>",), 1.0)], "<img>"
        ),
    }
    for name, info in infos.items():
        for text in texts(getattr(nav.views, name).draw(info)):
            assert "<img" not in text, name
            assert "<b>why" not in text, name
            assert "$x" not in text, name  # TeX
            assert "%{y}" not in text, name
    assert "<img" not in infos["compare"]._repr_html_()


# heatmap


def test_heatmap_puts_the_worst_first_and_marks_it(rows):
    info = heatmap.info(rows)
    assert info.lines[0].target == "onnx:int8@ort-cpu"
    assert info.lines[0].cells[0].ratio == 4.0
    assert info.passed == 3
    assert "aoti:fp32@aoti-cpu" in dict(info.left_out)
    drawn = heatmap.draw(info).data[0]
    assert drawn.text[-1][0] == "<b>× 4.0</b>"
    assert drawn.z[-1][0] > 0 > drawn.z[0][0]  # 1 is the middle


def test_heatmap_of_a_session_holds_what_any_tolerance_needs(lab):
    cells = {line.target: line.cells[0] for line in heatmap.info(lab).lines}
    found = cells["toy:fp16@toy-cpu"].measured
    assert isinstance(found, OutputAccuracy)
    assert found.hull
    assert heatmap.info(lab.results).lines[0].cells[0].measured is None


# latency and parallel


def test_latency_has_a_curve_a_target(rows):
    info = latency.info(rows, "p99_ms")
    assert info.batches == (1, 8)
    curve = next(line for line in info.lines if line.target == "torch:fp32@eager-cpu")
    assert [(p.batch, p.ms) for p in curve.points] == [(1, 3.0), (8, 12.0)]
    assert curve.baseline
    with pytest.raises(RequestError, match="p50_ms"):
        latency.info(rows, "mean")


def test_parallel_takes_each_at_its_best_batch(rows):
    info = parallel.info(rows)
    line = next(one for one in info.lines if one.target == "onnx:fp32@ort-cpu")
    assert line.batch == 8
    assert line.values["throughput"] == 2000.0
    assert line.values["size_bytes"] == pytest.approx(0.0004)
    assert parallel.info(rows, batch=1).lines[0].batch == 1
    with pytest.raises(RequestError, match="unknown axis"):
        parallel.info(rows, ("speed",))
    scale = parallel.draw(info).data[0].line.colorscale
    shares = [share for share, _ in scale]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)


def test_parallel_leaves_out_axes_without_a_value(rows):
    assert "p50_ms" in parallel.info(rows, ("p50_ms", "load_ms")).axes
    none = [r for r in rows if r.target == "aoti:fp32@aoti-cpu"]
    assert "error" not in parallel.info(nav.views.results.Results(none)).axes


# surface


def told(accuracy, target):
    return next(o for o in accuracy.outputs if o.name == target)


def test_the_surface_is_exact_where_it_says_pass(lab):
    """The same verdict as judging by that tolerance, everywhere."""
    from navigator_lab.stages.judge import pass_share, worst_ratio

    one = lab["toy:fp16@toy-cpu"].accuracy.outputs[0]
    info = surface.info(lab, "toy:fp16@toy-cpu")
    seen = set()
    for i, relative in enumerate(info.relative):
        for j, absolute in enumerate(info.absolute):
            limit = Tolerance(relative, absolute)
            fits = worst_ratio(one, limit)[0] <= 1
            assert info.passes[i][j] is fits
            assert info.shares[i][j] == pytest.approx(pass_share(one, limit), abs=0.02)
            seen.add(fits)
    assert seen == {True, False}
    assert sum(count for _, _, count in info.errors) <= info.elements
    assert info.worst.error == one.absolute.error


def test_the_surface_says_what_is_missing(lab):
    with pytest.raises(RequestError, match="did you mean"):
        surface.info(lab, "toy:fp61@toy-cpu")
    with pytest.raises(RequestError, match="unknown output"):
        surface.info(lab, "toy:fp16@toy-cpu", "logits")
    with pytest.raises(RequestError, match="rows alone"):
        surface.info(lab.results, "toy:fp16@toy-cpu")
    with pytest.raises(RequestError, match="shows one run"):
        surface.info([lab, lab], "toy:fp16@toy-cpu")
    equal = surface.draw(surface.info(lab, "toy:fp32@toy-cpu"))
    assert any("every element equals" in text for text in texts(equal))


# timeline


def done(seconds=1.0, cached=False):
    from pathlib import Path

    return Done(Product("0" * 64, Path()), seconds, cached, "from the store" if cached else "")


def test_timeline_cuts_the_idle_time_out():
    said = [
        Planned("r", ("build a", "infer a"), 0.0),
        Finished("build a", done(cached=True), 0.1),
        Started("infer a", ("never run",), 10.0),
        Finished("infer a", done(), 12.0),
        Planned("r", ("infer a", "profile a"), 1000.0),
        Finished("infer a", done(cached=True), 1000.0),
        Started("profile a", ("never run",), 1001.0),
        Finished("profile a", Failed(Failure("TimedOut", "it took too long")), 1004.0),
    ]
    info = timeline.of_events(said, "digits")
    bars = {b.step: b for b in info.bars}
    assert bars["build a"].state == "cached"
    assert (bars["infer a"].start, bars["infer a"].end) == (0.0, 2.0)
    assert (bars["profile a"].start, bars["profile a"].end) == (2.0, 5.0)
    assert bars["profile a"].state == "failed"
    assert bars["profile a"].reason == "it took too long"
    assert info.total == 5.0
    assert info.cuts == (2.0,)
    figure = timeline.draw(info)
    hatched = next(t for t in figure.data if t.name.startswith("cached"))
    assert hatched.marker.pattern.shape == "/"


def test_timeline_of_what_is_under_way():
    said = [Planned("r", ("infer a",), 0.0), Started("infer a", (), 5.0)]
    info = timeline.of_events(said, now=8.0)
    assert info.bars[0].state == "running"
    assert info.bars[0].end == 3.0
    board = Board()
    for event in said:
        board(event)
    assert timeline.info(board, now=8.0).bars[0].end == 3.0
    assert timeline.info(said, now=8.0).total == 3.0


def test_timeline_of_a_run_has_a_lane_a_target(lab):
    info = timeline.info(lab)
    assert {"toy:fp32@toy-cpu", "toy:fp16@toy-cpu"} <= set(info.lanes)
    stages = {b.stage for b in info.bars}
    assert {"infer", "correctness", "profile"} <= stages
    assert info.ran > 5
    with pytest.raises(RequestError, match="rows don't say"):
        timeline.info(lab.results)


def test_timeline_without_a_journal_says_so(tmp_path):
    import numpy as np

    from navigator_lab.testing import Affine

    with (
        nav.explore(
            Affine(),
            np.ones((2, 4), np.float32),
            workspace=tmp_path,
            plugins=["navigator_lab.testing"],
        ) as fresh,
        pytest.raises(RequestError, match="nothing was run yet"),
    ):
        timeline.info(fresh)


# compare


def test_compare_shows_only_what_differs(rows):
    info = compare.info(rows, "torch:fp32@eager-cpu", "onnx:fp32@ort-cpu")
    facts = {row.name: row for row in info.rows}
    assert "precision" not in facts
    assert "precision" in info.same
    assert facts["format"].values == ("torch", "onnx")
    assert info.batch == 8
    assert facts["throughput, /s, batch 8"].best == (1,)
    assert facts["size of the model"].best == (1,)
    assert "◆ 400" in repr(info)


def test_compare_calls_overlap_noise(rows):
    close = [
        made_row("a:fp32@x-cpu", [(1, 1.00, 1000.0)]),
        made_row("b:fp32@x-cpu", [(1, 1.01, 990.0)]),
    ]
    info = compare.info(nav.views.results.Results(close), "a:fp32@x-cpu", "b:fp32@x-cpu")
    speed = next(row for row in info.rows if row.name.startswith("throughput"))
    assert speed.tied == (0, 1)
    assert speed.best == ()
    assert "within noise" in info._repr_html_()


def test_compare_refuses_what_it_cannot(rows):
    with pytest.raises(RequestError, match="2 to 4"):
        compare.info(rows, "torch:fp32@eager-cpu")
    with pytest.raises(RequestError, match="did you mean"):
        compare.info(rows, "torch:fp32@eager-cpu", "onnx:fp32@ort-gpu")
    with pytest.raises(RequestError, match="common batches are: 1, 8"):
        compare.info(rows, "torch:fp32@eager-cpu", "onnx:fp32@ort-cpu", batch=3)


def test_compare_targets_of_two_runs(lab, saved):
    old = nav.load(saved)
    a, b = pareto.info([lab, old]).runs
    info = compare.info([lab, old], f"{a}/toy:fp16@toy-cpu", f"{b}/toy:fp16@toy-cpu")
    assert not info.rows  # it is the same run
    assert "nothing differs" in repr(info)


# theme


def test_names_lose_their_middle_and_keep_their_end():
    long = "a-format-with-a-very-long-name-indeed:int8@runner-cuda:0"
    assert theme.short(long, 40).endswith(":int8@runner-cuda:0")
    assert len(theme.short(long, 40)) == 40
    assert theme.short("onnx:int8@ort-cpu", 40) == "onnx:int8@ort-cpu"
    assert len(theme.short("x" * 90, 30)) == 30


def contrast(a, b):
    def level(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((level(a), level(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_can_be_told_from_the_ground(dark):
    look = theme.theme(dark)
    strange = ["a", "b", "c"]
    for hue in theme.colours([*theme.FAMILIES, *strange], dark).values():
        assert contrast(hue, look.ground) >= 3
    for hue in (look.text, look.muted):
        assert contrast(hue, look.ground) >= 4.5
    for hue in (look.low, look.middle, look.high):
        assert contrast(look.text, hue) >= 4.5


# report


def test_the_report_is_one_file_that_asks_for_nothing(lab, saved, tmp_path):
    path = report.write(
        tmp_path / "r.html", [lab, nav.load(saved)], words={"Choice": "<b>best</b>"}
    )
    page = path.read_text()
    body = page[page.index("</head>") :]
    assert page.count("plotly.js v") == 1
    assert "default-src 'none'" in page
    assert "<script src" not in page
    assert "<link" not in page
    assert 'src="http' not in page
    assert "&lt;b&gt;best&lt;/b&gt;" in body
    assert body.count("Plotly.newPlot") >= 5
    assert "cdn" not in body
    assert '"showSendToCloud": false' in body


def test_a_report_of_one_run_compares_its_best_with_the_baseline(lab, tmp_path):
    page = report.html(lab)
    assert "The quickest beside the baseline" in page
    assert "affine" in page
    with pytest.raises(nav.errors.PackageError, match="can't be written"):
        report.write(tmp_path / "none" / "r.html", lab)


def test_a_report_of_hostile_names_is_text(hostile):
    page = report.html(hostile)
    assert "<img src=x" not in page
    assert "onerror=alert(1)&gt;" in page


def test_a_table_has_no_column_in_which_nothing_stands_yet(rows):
    built = Results([made_row("onnx:fp32@ort-cpu", [], worst_ratio=None, ratios={})])
    for text in (repr(built), built._repr_html_()):
        assert "size" in text
        assert "error÷tol" not in text
        assert "p50" not in text
    assert "p50 ms, batch 1" in repr(rows)
    assert "<th" in rows._repr_html_()


def test_like_reasons_are_one_line():
    """Of targets that differ only in their own names, the first is told."""
    out = [
        ("keras:fp32@keras-cpu", "skipped: no edge leads from torch:fp32 to keras:fp32"),
        ("onnx:fp16@ort-cuda:0", "skipped: no CUDA device here"),
        ("tflite:int8@tflite-cpu", "skipped: no edge leads from torch:fp32 to tflite:int8"),
        ("keras:fp16@keras-cpu", "skipped: no edge leads from torch:fp32 to keras:fp16"),
        ("of another version", "failed: why"),
    ]
    assert folded(out) == [
        (
            "keras:fp32@keras-cpu and 2 more",
            "skipped: no edge leads from torch:fp32 to keras:fp32",
        ),
        ("onnx:fp16@ort-cuda:0", "skipped: no CUDA device here"),
        ("of another version", "failed: why"),
    ]
