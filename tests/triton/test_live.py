"""Replays and loads on a real server. Starting one is what costs: most tests share it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from triton_making import onnx_file

import navigator_lab as nav
from navigator_lab.cli import main
from navigator_lab.errors import NavigatorError, PackageError, RequestError, SamplesError
from navigator_lab.session.loading import load_test
from navigator_lab.session.repository import serve_repository
from navigator_lab.session.serving import Served
from navigator_lab.stages.load import schedule, sweep
from navigator_lab.triton import perf_analyzer, sending
from navigator_lab.triton.remote import attach
from navigator_lab.triton.runtime import ready
from navigator_lab.triton.wire import decode, encode
from navigator_lab.types.codec import decode as read_back
from navigator_lab.types.codec import encode as write_down
from navigator_lab.types.measure import Interval
from navigator_lab.types.served import LoadPoint, LoadTest, Sender

TARGET = "onnx:fp32@ort-cpu"
X = np.random.default_rng(1).normal(size=(10, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    model = onnx_file(folder / "model") / "model.onnx"
    with nav.explore(str(model), X, name="small", workspace=folder / "w") as made:
        made.run(targets=[TARGET], seconds=0.05, max_batch=8, min_calls=5)
        yield made


@pytest.fixture(scope="module")
def repository(lab):
    root = lab.workspace.parent / "repository"
    lab.package(TARGET, root)
    return root


@pytest.fixture(scope="module")
def served(lab, repository):
    with lab.serve(TARGET, repository) as made:
        yield made


def answers() -> np.ndarray:
    """What the model answers, from its own weights."""
    draw = np.random.default_rng(0)
    w, b = draw.standard_normal((6, 3), dtype=np.float32), draw.standard_normal(3, dtype=np.float32)
    return np.tanh(X @ w + b)


def server_of(served: Served) -> psutil.Process:
    (child,) = psutil.Process(served.server.process.pid).children()
    return child


# replay


def test_samples_come_back_right_over_both_protocols(served):
    replay = served.replay
    assert replay.passed is True
    assert [one.protocol for one in replay.exchanges] == ["http", "grpc"]
    # Ten samples alone, then three batches of four; all of it counted by the server, twice.
    assert [one.requests for one in replay.exchanges] == [13, 13]
    assert replay.statistics.requests == 26
    assert replay.statistics.failed == 0
    assert replay.statistics.inferences == 2 * (10 + 12)
    assert {b.size for b in replay.statistics.batches} == {1, 4}
    assert "stand-in" in replay.unproven[0]
    assert "onnxruntime" in replay.unproven[0]
    assert "passed" in str(replay)
    np.testing.assert_allclose(served.infer({"x": X[:3]})["y"], answers()[:3], rtol=1e-5)


def test_the_sessions_tolerance_judges(lab, served, tmp_path):
    """A model whose answers are off by a thousandth: wrong by default, right when that is allowed."""
    import onnx
    from onnx import numpy_helper

    model = onnx_file(tmp_path / "other")
    file = onnx.load(model / "model.onnx")
    bias = numpy_helper.to_array(file.graph.initializer[1])
    file.graph.initializer[1].CopyFrom(numpy_helper.from_array(bias + np.float32(5e-3), "b"))
    onnx.save_model(file, tmp_path / "repository-file.onnx")
    with nav.explore(
        str(tmp_path / "repository-file.onnx"), X, name="small", workspace=tmp_path / "w"
    ) as other:
        other.run(targets=[TARGET], until="correctness")
        other.package(TARGET, tmp_path / "repository")
    with lab.serve(TARGET, tmp_path / "repository") as off:
        assert off.replay.passed is False
        assert "y: |Δ|" in off.replay.exchanges[0].said
        from navigator_lab.session.serving import replayed

        wide = nav.Tolerance(absolute=0.1)
        lab.tolerance = wide
        try:
            judged = lambda found: lab._judge(off.target, found)  # noqa: E731
            assert replayed(off, lab.reference_answers(), judged).passed is True
        finally:
            lab.tolerance = None


def test_what_if_touches_no_file(served, repository):
    before = (repository / "small/config.pbtxt").read_bytes()
    assert served.what_if(max_batch_size=2, instance_count=2)["max_batch_size"] == 2
    with pytest.raises(NavigatorError, match="batch-size must be <= 2"):
        served.infer({"x": X[:3]})
    assert served.what_if()["max_batch_size"] == 8
    assert served.infer({"x": X[:3]})["y"].shape == (3, 3)
    assert (repository / "small/config.pbtxt").read_bytes() == before
    with pytest.raises(RequestError, match="max_batch_sise"):
        served.what_if(max_batch_sise=2)


def test_a_refused_what_if_leaves_the_model_serving(served):
    with pytest.raises(NavigatorError, match="the server does not load 'small'"):
        served.what_if(output=[{"name": "z", "data_type": "TYPE_FP32", "dims": [3]}])
    assert served.infer({"x": X[:1]})["y"].shape == (1, 3)


def test_a_running_server_is_lent_a_model_and_gives_it_back(served, repository, tmp_path):
    """Under another name, so that the server doesn't have it; files and warm-up go over the wire."""
    import shutil

    shutil.copytree(repository / "small", tmp_path / "lent")
    config = tmp_path / "lent/config.pbtxt"
    config.write_text(config.read_text().replace('name: "small"', 'name: "lent"'))
    np.savez(tmp_path / "x.npz", x=X)
    np.savez(tmp_path / "y.npz", y=answers())
    with serve_repository(
        tmp_path, "lent", samples=tmp_path / "x.npz", expected=tmp_path / "y.npz",
        url=served.server.http, grpc=served.server.grpc,
    ) as lent:  # fmt: skip
        assert lent.replay.passed is True
        assert any("was sent to that server" in note for note in lent.replay.notes)
        assert lent.unproven == ()
    states = {one["name"]: one["state"] for one in served.server.index()}
    assert states.get("lent") != "READY"
    assert states["small"] == "READY"
    with attach(served.server.http, models=["small"], grpc=served.server.grpc) as there:
        assert any("served there already" in note for note in there.notes)
    assert served.server.wire.model_ready("small")
    with (
        pytest.raises(NavigatorError, match="no model 'absent'; it has"),
        attach(served.server.http, models=["absent"]),
    ):
        pass


def test_the_shell_replays_a_repository(repository, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=X)
    np.savez(tmp_path / "wrong.npz", y=answers() + 1)
    ours = ["replay", str(repository), "--samples", str(tmp_path / "x.npz"), "--json"]
    assert main([*ours, "--expected", str(tmp_path / "wrong.npz")]) == 1
    (said,) = json.loads(capsys.readouterr().out)["replays"]
    assert said["passed"] is False
    assert all("|Δ| 1" in one["reason"] for one in said["exchanges"])
    assert main(["replay", str(tmp_path / "nothing")]) == 1


def test_without_expected_answers_it_says_so(served, repository, tmp_path):
    with serve_repository(repository, url=served.server.http, grpc=served.server.grpc) as asked:
        assert asked.replay.passed is None
        assert any("were not compared" in note for note in asked.replay.notes)
        assert any("warmed up with" in note for note in asked.replay.notes)
    np.savez(tmp_path / "bad.npz", z=X)
    with pytest.raises(SamplesError, match="lack x"):
        serve_repository(repository, samples=tmp_path / "bad.npz")


def test_a_tritonserver_on_path_is_taken(lab, repository, tmp_path, monkeypatch):
    """A script of that name that starts the wheel's: what Triton's own container has, but for it."""
    runtime = ready()
    runtime.lay_backends(tmp_path / "backends")
    runtime.lay_python(tmp_path / "python")
    needed = runtime.environment(tmp_path / "python")
    script = tmp_path / "bin/tritonserver"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        f"export PATH='{needed['PATH']}' LD_LIBRARY_PATH='{needed['LD_LIBRARY_PATH']}'\n"
        f'exec {runtime.binary} --backend-directory={tmp_path / "backends"} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    with lab.serve(TARGET, repository) as there:
        assert there.server.words == str(script)
        assert there.replay.passed is True
        assert there.unproven == ()


INTERRUPTED = """
import sys
from navigator_lab.session.repository import serve_repository
def say(text):
    print(text, flush=True)
try:
    while True:
        serve_repository(sys.argv[1], say=say, protocols=["http", "grpc"] * 200)
except KeyboardInterrupt:
    print("interrupted", sorted({"gevent", "grpc", "tritonclient"} & set(sys.modules)), flush=True)
"""


def test_an_interrupt_ends_a_replay_and_the_kernel_never_has_gevent(repository):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(repository)], stdout=subprocess.PIPE, text=True
    ) as kernel:
        for line in kernel.stdout:
            if line.startswith("http: 1"):
                break
        below = psutil.Process(kernel.pid).children(recursive=True)
        names = {part for p in below for part in p.cmdline() if "tritonserver" in part}
        assert names, "a server should be running by now"
        kernel.send_signal(signal.SIGINT)
        rest = kernel.stdout.read()
        assert kernel.wait(20) == 0
    assert "interrupted []" in rest
    _, alive = psutil.wait_procs(below, timeout=10)
    assert not alive


LOADED = """
import sys
from navigator_lab.session.loading import load_test
from navigator_lab.session.repository import serve_repository
with serve_repository(sys.argv[1], send=False) as served:
    print("up", flush=True)
    load_test(served, concurrency=4, seconds=600)
"""


def test_nothing_outlives_a_killed_kernel(repository):
    with subprocess.Popen(
        [sys.executable, "-c", LOADED, str(repository)], stdout=subprocess.PIPE, text=True
    ) as kernel:
        assert kernel.stdout.readline() == "up\n"
        me = psutil.Process(kernel.pid)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            below = me.children(recursive=True)
            if any("navigator_lab.triton.sender" in p.cmdline() for p in below):
                break
            time.sleep(0.05)
        else:
            raise AssertionError("no sender was started")
        kernel.kill()
        kernel.wait()
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive


# load


def test_a_closed_loop_sends_what_was_asked(served):
    found = load_test(served, concurrency=[1, 4], count=60)
    one, four = found.points
    for point in (one, four):
        assert (point.requests, point.errors) == (60, 0)
        assert point.statistics.requests == 60
        assert point.p50_ms.low <= point.p50_ms.value <= point.p50_ms.high
        assert point.p50_ms.value <= point.p90_ms.value <= point.p99_ms.value
    assert one.statistics.executions == 60
    assert four.statistics.executions <= 60
    assert "stand-in" in found.unproven[0]
    assert read_back(LoadTest, write_down(found)) == found


def test_batches_of_requests(served):
    (point,) = load_test(served, concurrency=2, count=20, request_batch=4).points
    assert point.statistics.inferences == 80
    assert point.throughput.value == pytest.approx(4 * point.rate.value)
    with pytest.raises(RequestError, match="at most 8"):
        load_test(served, count=1, request_batch=9)


def test_latency_counts_from_when_a_request_was_meant_to_leave(served):
    """The server stands still for half a second: every request that was due then shows it."""
    times = schedule(100, 2.0, "constant")
    jobs = [{"loop": "open", "schedule": times, "most": 4096, "grpc": served.server.grpc,
             "model": "small", "version": 0, "timeout_s": 10.0, "seconds": 2.0}]  # fmt: skip
    process = server_of(served)

    def stop(start: float) -> None:
        def work() -> None:
            time.sleep(max(0, start + 0.7 - time.monotonic()))
            process.suspend()
            time.sleep(0.5)
            process.resume()

        threading.Thread(target=work, daemon=True).start()

    sent = sending.press(jobs, [{"x": X[:1]}], 20, stop)
    intended, done, fine = sent.rows[:, 0], sent.rows[:, 2], sent.rows[:, 3]
    assert fine.all()
    np.testing.assert_allclose(intended / 1e9, times, atol=1e-6)
    assert ((done - intended) / 1e6 > 100).sum() >= 35


def test_a_recorded_trace_is_followed(served):
    trace = [5.0, 5.1, 5.1, 5.3]
    (point,) = load_test(served, trace=trace).points
    assert (point.requests, point.errors, point.arrivals) == (4, 0, "trace")


def test_a_server_that_dies_is_a_clear_end(repository):
    with serve_repository(repository, send=False) as dying:
        victim = server_of(dying)

        def kill_when_answers_are_counted():
            while dying.statistics.requests < 20:
                time.sleep(0.05)
            victim.kill()

        threading.Thread(target=kill_when_answers_are_counted, daemon=True).start()
        began = time.monotonic()
        found = load_test(dying, concurrency=[4, 8], seconds=30, warmup_s=0)
        assert time.monotonic() - began < 60  # not the 30 s of each of the two loads
        (point,) = found.points  # the second load is not begun
        assert point.ended
        assert point.errors > 0
        assert point.requests > 0
        assert sum(point.error_words.values()) == point.errors
        assert any(words.startswith("UNAVAILABLE") for words in point.error_words)
        assert point.statistics is None
        assert "ended early" in str(found)


def test_the_highest_rate_within_a_limit(served):
    found = load_test(served, p99_ms=200, seconds=0.3, warmup_s=0.1)
    assert found.limit_ms == 200
    assert found.chosen is None or found.chosen.p99_ms.value <= 200
    none = load_test(served, p99_ms=1e-3, seconds=0.1, warmup_s=0.05)
    assert none.best is None
    assert "no load kept" in str(none)
    both = load_test(served, concurrency=[1, 2], p99_ms=1e6, count=10)
    assert both.chosen.rate.value == max(point.rate.value for point in both.points)


def test_no_second_opinion_is_said_where_one_is_wanted(served, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NavigatorError, match="perf_analyzer is not on PATH"):
        load_test(served, concurrency=1, count=1, second_opinion=True)


@pytest.mark.skipif(perf_analyzer.find() is None, reason="there is no perf_analyzer on PATH")
def test_perf_analyzer_gives_a_second_opinion(served):
    found = load_test(served, concurrency=2, count=50, request_batch=2, second_opinion=True)
    (other,) = found.second_opinion
    assert other["concurrency"] == 2
    assert other["rate"] > 0
    assert other["p50_ms"] <= other["p99_ms"]


def test_a_load_is_kept_with_the_run(lab, served):
    made = lab.load_test(served, concurrency=2, count=10)
    assert lab.run_data.loads[-1] == made
    loaded = nav.load(lab.save(lab.workspace.parent / "kept.nav"))
    assert loaded.run_data.loads[-1] == made
    for run in (lab, loaded):
        seen = nav.views.pareto.info(run)
        (line,) = [line for line in seen.lines if line.served]
        assert line.target == TARGET
        assert line.points[-1].load == "2 under way"
        assert not any(point.front for point in line.points)
        assert "served" in nav.views.pareto.draw(seen).to_json()
        assert not any(line.served for line in nav.views.pareto.info(run, "size_bytes").lines)
    with pytest.raises(PackageError, match="no models to serve"):
        loaded.serve(TARGET)
    assert "Load on a live server: small" in nav.views.report.html(loaded)


def test_a_sweep_leaves_the_server_as_it_was(served):
    found = load_test(
        served, sweep={"max_batch_size": [4], "instance_count": [2]}, concurrency=2, count=20
    )
    settings = [tuple(p.setting.values()) for p in found.points]
    assert settings[0] == (8, 1)
    assert {(4, 1), (8, 2)} <= set(settings)
    assert served.config["max_batch_size"] == 8


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"concurrency": 0}, "concurrency of 0"),
        ({"rate": -1}, "rate of -1"),
        ({"rate": 5, "arrivals": "odd"}, "constant or poisson"),
        ({"seconds": 0}, "seconds=0"),
        ({"count": 0}, "count=0"),
        ({"trace": []}, "no times"),
        ({"sweep": {"nothing": [1]}}, "can't be swept"),
        ({"p99_ms": -1}, "limit of -1"),
    ],
)
def test_loads_that_mean_nothing_are_refused(served, wanted, words):
    with pytest.raises(RequestError, match=words):
        load_test(served, **wanted)


# what needs no server


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.array([True, False]),
        np.arange(4, dtype=">f4"),
        np.array([["a", "größe"], ["", "x\0"]]),
        np.array([b"\xff\0", b""], object),
        np.zeros((0, 3), np.float16),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
    ids=["int64", "bool", "big endian", "text", "bytes", "empty", "fortran"],
)
def test_tensors_survive_the_wire(array):
    datatype, shape, data = encode(array)
    back = decode(datatype, shape, data)
    assert back.shape == array.shape
    if array.dtype.kind in "UO":
        wanted = [v if isinstance(v, bytes) else str(v).encode() for v in array.ravel()]
        assert back.ravel().tolist() == wanted
    else:
        np.testing.assert_array_equal(back, array)


def test_bfloat16_survives_the_wire():
    import ml_dtypes

    array = np.array([1.5, -2, 3e38], ml_dtypes.bfloat16)
    back = decode(*encode(array))
    assert back.dtype == array.dtype
    assert (back == array).all()


def test_a_poisson_schedule_is_one():
    times = schedule(200, 20, "poisson", seed=3)
    assert times == schedule(200, 20, "poisson", seed=3)
    gaps = np.diff(times)
    assert len(times) == pytest.approx(4000, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)  # of an exponential they are equal


def point(rate: float, p99: float) -> LoadPoint:
    at = Interval(p99, p99, p99)
    fast = Interval(rate, rate, rate)
    return LoadPoint("closed", 16, 1, 100, 0, 1.0, at, at, at, at, p99, fast, fast,
                     Sender(1, 0.1, 0.0))  # fmt: skip


def test_a_sweep_finds_the_best_that_keeps_the_limit():
    asked = []  # more answers count only beyond their noise

    def measure(setting):
        asked.append(dict(setting))
        size, delay, many = setting.values()
        if many > 3:
            return None  # refused
        return point(100 * size * many, p99=size * many + delay / 1000)

    space = {"max_batch_size": [1, 2, 4, 8], "max_queue_delay_us": [0, 2000, 20_000],
             "instance_count": [1, 2, 3, 4]}  # fmt: skip
    start = {"max_batch_size": 1, "max_queue_delay_us": 0, "instance_count": 1}
    points, best = sweep(measure, space, start, limit_ms=10)
    assert asked[0] == start
    chosen = points[best].setting
    assert chosen["max_batch_size"] * chosen["instance_count"] == 8
    assert all(s["max_queue_delay_us"] < 10_000 for s in asked)
    assert len(asked) == len({tuple(s.values()) for s in asked})
    points, best = sweep(measure, space, start, limit_ms=0.5)
    assert best is None
    assert points


def test_the_shell_packages_with_labels(lab, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    asked = ["package", TARGET, str(tmp_path / "r"), "--workspace", str(lab.workspace), "--labels"]
    assert main([*asked, f"y={tmp_path / 'names.txt'}"]) == 0
    assert (tmp_path / "r/small/labels.txt").read_text() == "a\nb\nc\n"
    assert main([*asked, str(tmp_path / "names.txt"), str(tmp_path / "names.txt")]) == 2
    assert "of which output" in capsys.readouterr().err
    assert main([*asked, str(tmp_path / "nothing.txt")]) == 2
