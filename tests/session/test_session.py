"""A session end to end with the toy format: numpy only, real workers, real store."""

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.errors import (
    NothingToChoose,
    PackageError,
    RequestError,
    SamplesError,
    WorkspaceError,
)
from navigator_lab.testing import Affine
from navigator_lab.triton import Repository

PLUGINS = ["navigator_lab.testing"]
QUICK = {"seconds": 0.05, "max_batch": 2, "min_calls": 5}
X = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)


def opened(tmp_path, model=None, **more):
    return nav.explore(
        model or Affine(), X, name="affine", workspace=tmp_path / "w", plugins=PLUGINS, **more
    )


@pytest.fixture
def lab(tmp_path):
    with opened(tmp_path) as made:
        yield made


def ran(results):
    return sum(row.steps_run for row in results)


def test_every_target_is_a_row_with_its_reason(lab):
    targets = {str(t): t for t in lab.targets}
    assert targets["toy:fp16@toy-cpu"].available
    assert targets["onnx:fp32@ort-cpu"].reason.startswith("no edge leads from python:fp32")
    assert all(t.available or t.reason for t in lab.targets)
    results = lab.run(formats=["toy", "onnx"], until="correctness")
    assert results["onnx:fp32@ort-cpu"].status == "skipped"
    assert results["onnx:fp32@ort-cpu"].reason


def test_nothing_that_is_still_true_is_done_again(lab, tmp_path):
    first = lab.run(formats=["toy"], **QUICK)
    assert [r.target for r in first if r.status == "done"] == [
        "toy:fp32@toy-cpu",
        "toy:fp16@toy-cpu",
    ]
    assert all(r.passed for r in first if r.status == "done")
    assert ran(first) == 9
    assert ran(lab.run(formats=["toy"], **QUICK)) == 0
    with opened(tmp_path) as again:
        assert ran(again.run(formats=["toy"], **QUICK)) == 0
    with opened(tmp_path, Affine(seed=1)) as other:
        assert ran(other.run(formats=["toy"], **QUICK)) == 9


def test_a_tolerance_judges_again_and_runs_nothing(lab):
    lab.run(formats=["toy"], until="correctness")
    journal = lab._folder / "journal.jsonl"
    before = journal.read_text()
    tight = lab.run(tolerance=nav.Tolerance(relative=1e-9, absolute=1e-9))
    assert tight["toy:fp32@toy-cpu"].passed
    assert tight["toy:fp16@toy-cpu"].passed is False
    assert "times the tolerance" in tight["toy:fp16@toy-cpu"].reason
    assert lab.run(tolerance=None)["toy:fp16@toy-cpu"].passed
    assert journal.read_text() == before


def test_a_changed_option_runs_what_hangs_on_it_and_says_so(lab):
    lab.run(formats=["toy"], **QUICK)
    changed = lab.run(formats=["toy"], **{**QUICK, "min_calls": 6})
    assert ran(changed) == 2
    assert "options.min_calls: 5 -> 6" in lab.why("toy:fp16@toy-cpu")


def test_preview_counts_what_would_run(lab):
    asked = {"formats": ["toy"], **QUICK}
    before = lab.preview(**asked)
    assert "9 steps to run, 1 cached" in str(before)  # the probe is
    assert before.seconds is None
    lab.run(**asked)
    assert "0 steps to run" in str(lab.preview(**asked))
    changed = lab.preview(formats=["toy"], **{**QUICK, "min_calls": 6})
    assert "2 steps to run" in str(changed)
    assert changed.seconds > 0


def test_verification_takes_a_target_out_of_every_choice(lab):
    def strict(outputs, reference):
        return max(float(abs(o["output"] - r["output"]).max())
                   for o, r in zip(outputs, reference, strict=True)) == 0.0  # fmt: skip

    results = lab.run(formats=["toy"], verify=strict, **QUICK)
    assert results["toy:fp32@toy-cpu"].verified
    row = results["toy:fp16@toy-cpu"]
    assert row.status == "done"
    assert row.passed is False
    best = lab.choose("throughput")
    assert best.target == "toy:fp32@toy-cpu"
    assert "toy:fp16@toy-cpu" in dict(best.left_out)
    with pytest.raises(NothingToChoose, match="p99_ms"):
        lab.choose("throughput", p99_ms=1e-9)
    assert lab.choose(lambda row: -row.size_bytes).target == "toy:fp32@toy-cpu"


def test_a_choice_becomes_a_triton_package(lab, tmp_path):
    lab.run(formats=["toy"], **QUICK)
    folder = lab.choose("throughput").package(tmp_path / "repository", name="affine")
    assert (folder / "config.pbtxt").is_file()
    with pytest.raises(PackageError, match="overwrite"):
        lab["toy:fp32@toy-cpu"].package(tmp_path / "repository", name="affine")
    with pytest.raises(PackageError):
        lab["toy:fp32@toy-cpu"].package(tmp_path / "repository", name="../escape")


def test_the_configuration_is_seen_with_its_reasons_before_it_is_written(lab, tmp_path):
    lab.run(formats=["toy"], **QUICK)
    best = lab.choose("throughput", p99_ms=10_000)
    seen = best.config(name="affine")
    assert "of 10000 ms" in seen.reasons["max_batch_size"]
    assert "as long as the largest batch takes" in repr(seen)
    changed = seen.edit(dynamic_batching={"max_queue_delay_microseconds": 7})
    again = changed.edit(instance_group=[{"kind": "CPU", "count": 2}])
    assert again.config.dynamic_batching["max_queue_delay_microseconds"] == 7
    assert again.config.instance_group[0]["count"] == 2
    folder = again.package(tmp_path / "repository")
    assert (folder / "config.pbtxt").read_text() == again.text
    assert lab["toy:fp32@toy-cpu"].config(max_batch_size=0).config.dynamic_batching is None
    with pytest.raises(PackageError, match="would refuse"):
        seen.edit(max_batch_size=4, dynamic_batching={"preferred_batch_size": [5]})
    url = f"memory://affine-{os.getpid()}"
    assert best.package(url, name="affine") == f"{url}/affine"
    assert list(Repository(url)) == ["affine"]


def test_one_target_in_full(lab):
    lab.run(formats=["toy"], **QUICK)
    view = lab["toy:fp16@toy-cpu"]
    assert view.accuracy.outputs[0].name == "output"
    assert view.verdict.passed
    assert set(view.latencies_ns) == {1, 2}
    assert view.timing.batches[0].p50_ms.value > 0
    assert [p.name for p in view.files] == ["toy.npz"]
    line = view.reproduce["convert"].split()
    made = subprocess.run([sys.executable, *line[1:]], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def test_a_run_is_saved_and_read_without_frameworks(lab, tmp_path):
    lab.run(formats=["toy"], **QUICK)
    path = lab.save(tmp_path / "affine.nav")
    loaded = nav.load(path)
    assert loaded.results.to_dicts()[0]["p50_ms"] == lab.results.to_dicts()[0]["p50_ms"]
    assert set(loaded["toy:fp16@toy-cpu"].latencies_ns) == {1, 2}
    assert loaded.choose("latency").target == lab.choose("latency").target
    with pytest.raises(PackageError, match="no models"):
        loaded.choose("latency").package(tmp_path / "r")
    code = (
        "import sys, navigator_lab as nav\n"
        f"print(len(nav.load({str(path)!r}).results))\n"
        "print([m for m in ('torch', 'onnx', 'onnxruntime', 'openvino') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n")[:2] == [str(len(lab.results)), "[]"]


def hostile(path, name, data=b"x", link=False):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        if link:
            info.external_attr = 0o120777 << 16
        file.writestr(info, data)
    return path


@pytest.mark.parametrize(
    ("name", "more", "word"),
    [
        ("/etc/cron.d/x", {}, "leads elsewhere"),
        ("../../x", {}, "leads elsewhere"),
        ("a/../../x", {}, "leads elsewhere"),
        ("C:\\x", {}, "leads elsewhere"),
        ("run.json", {"link": True}, "link"),
        ("run.json", {"data": b"\0" * (8 << 20)}, "unpack"),
        ("run.json", {"data": b"{}"}, "damaged"),
        ("run.json", {"data": b"not json"}, "damaged"),
        ("other.txt", {}, "no run.json"),
        ("run.json", {"data": b'{"format_version": 99}'}, "newer"),
    ],
)
def test_a_hostile_nav_is_refused(tmp_path, name, more, word):
    with pytest.raises(PackageError, match=word):
        nav.load(hostile(tmp_path / "x.nav", name, **more))


def test_a_truncated_nav_is_refused(lab, tmp_path):
    lab.run(formats=["toy"], until="correctness")
    path = lab.save(tmp_path / "a.nav")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PackageError, match="damaged"):
        nav.load(path)
    with pytest.raises(PackageError, match="no file"):
        nav.load(tmp_path / "b.nav")


def test_in_the_background(lab):
    async def awaited():
        job = lab.start(formats=["toy"], **QUICK)
        with pytest.raises(RequestError, match="under way"):
            lab.start(formats=["toy"])
        return await job

    # In a thread of its own: the browser tests leave an event loop running in the main one.
    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(lambda: asyncio.run(awaited())).result()
    assert ran(results) == 9
    job = lab.start(formats=["toy"], seconds=30.0, width=1e-6, max_batch=4)
    job.cancel()
    rows = job.wait(5)
    assert "cancelled" in {r.status for r in rows}
    assert ran(lab.run(formats=["toy"], until="correctness")) == 0


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"formats": ["onx"]}, "did you mean 'onnx'"),
        ({"precisions": ["fp23"]}, "did you mean 'fp32'"),
        ({"runners": ["orr"]}, "did you mean"),
        ({"targets": ["onnx:fp32@ort"]}, "looks like"),
        ({"targets": ["toy:fp32@toy-cpuu"]}, "looks like"),
        ({"until": "profit"}, "did you mean 'profile'"),
        ({"formts": ["onnx"]}, "did you mean 'formats'"),
        ({"formats": []}, "empty"),
        ({"batches": [0]}, "batch sizes"),
        ({"batches": ["x"]}, "no batch sizes"),
        ({"options": {"onnx": {"opset_": 1}}}, "no option"),
        ({"tolerance": 0.1}, "no tolerance"),
        ({"tolerance": {"outptu": nav.Tolerance()}}, "did you mean 'output'"),
        ({"tolerance": nav.Tolerance(relative=-1)}, "0 or more"),
        ({"until": "verify"}, "verify"),
        ({"verify": 3}, "no function"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"devices": ["gpu"]}, "devices are"),
    ],
)
def test_a_request_that_means_nothing_is_refused_before_any_work(lab, asked, word):
    with pytest.raises(RequestError, match=word):
        lab.run(**asked)
    assert not lab.run_data.targets


def test_no_samples_and_bad_workspaces_are_refused(tmp_path):
    with pytest.raises(SamplesError, match="no samples"):
        nav.explore(Affine(), None, workspace=tmp_path / "w")
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="is a file"):
        nav.explore(Affine(), X, workspace=tmp_path / "file")
    with pytest.raises(WorkspaceError, match="can't be written"):
        nav.explore(Affine(), X, workspace="/proc/nothing/here")
    with pytest.raises(RequestError, match="plug-in"):
        nav.explore(Affine(), X, workspace=tmp_path / "w", plugins=[tmp_path / "none.py"])
    with pytest.raises(RequestError, match="interpreter"):
        nav.explore(Affine(), X, workspace=tmp_path / "w", environments={"toy": "/no/python"})


def test_a_damaged_product_is_rebuilt_and_never_served(lab):
    lab.run(formats=["toy"], until="correctness")
    (path,) = lab["toy:fp32@toy-cpu"].files
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    results = lab.run(formats=["toy"], until="correctness")
    assert results["toy:fp32@toy-cpu"].steps_run >= 1
    assert results["toy:fp32@toy-cpu"].passed


def test_text_html_and_frame_agree(lab):
    lab.run(formats=["toy", "onnx"], **QUICK)
    text, html, frame = repr(lab.results), lab.results._repr_html_(), lab.results.to_frame()
    for row in lab.results:
        assert row.target in set(frame["target"])
        if row.status == "done":
            assert row.target in text
            assert row.target in html
    assert json.loads(json.dumps(lab.results.to_dicts(), allow_nan=False))


def test_the_users_metrics_are_columns_of_the_table(lab):
    def verify(outputs, reference):
        return {"accuracy": 0.9876, "<b>": 3, "words": "many", "passed": True}

    results = lab.run(formats=["toy"], verify=verify, until="verify", **QUICK)
    text, html = repr(results), results._repr_html_()
    for shown in ("accuracy", "0.9876"):
        assert shown in text
        assert shown in html
    assert "words" not in text
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def cli(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "navigator_lab.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, timeout=120,
    )  # fmt: skip


def test_the_shell_does_the_same(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    more = ("--plugins", "navigator_lab.testing", "--workspace", "w")
    asked = ("run", "navigator_lab.testing:Affine", "--samples", "x.npz", "--formats", "toy",
             "--until", "profile", "--seconds", "0.05", "--max-batch", "2", *more)  # fmt: skip
    first = cli(*asked, "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    rows = json.loads(first.stdout)
    wanted = {"target", "format", "precision", "runner", "device", "status", "reason", "remedy",
              "passed", "steps_run", "p50_ms", "throughput", "files"}  # fmt: skip
    assert wanted <= set(rows[0])
    assert set(rows[0]["p50_ms"]) == {"1", "2"}
    again = json.loads(cli(*asked, "--json", cwd=tmp_path).stdout)
    assert sum(row["steps_run"] for row in again) == 0
    assert "toy:fp32@toy-cpu" in cli(*asked, cwd=tmp_path).stdout
    said = cli("results", "--workspace", "w", "--json", cwd=tmp_path)
    assert [r["target"] for r in json.loads(said.stdout)] == [r["target"] for r in rows]
    why = cli("why", "toy:fp32@toy-cpu", "--workspace", "w", cwd=tmp_path)
    assert "from the store" in why.stdout
    trimmed = json.loads(
        cli("trim", "--workspace", "w", "--max", "0", "--json", cwd=tmp_path).stdout
    )
    assert trimmed["left_bytes"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("run", "missing.onnx", "--samples", "x.npz"), 2, "no file"),
        (("run", "navigator_lab.testing:Affine", "--samples", "none.npz"), 2, "none.npz"),
        (("run", "navigator_lab.testing:Affin", "--samples", "x.npz"), 2, "Affin"),
        (("results", "--workspace", "nowhere"), 2, "no workspace"),
        (("trim", "--max", "lots", "--workspace", "."), 2, "no size"),
    ],
)
def test_the_shell_says_what_is_wrong(tmp_path, arguments, code, word):
    np.savez(tmp_path / "x.npz", x=X)
    made = cli(*arguments, cwd=tmp_path)
    assert made.returncode == code
    assert word in made.stderr
    assert "Traceback" not in made.stderr


def test_the_largest_batch_is_found(lab):
    lab.run(formats=["toy"], until="convert")
    found = lab.find_batch("toy:fp32@toy-cpu", max_batch=8, seconds=0.02)
    assert found.largest == 8
    assert [size for size, _ in found.tried] == [1, 2, 4, 8]
    with pytest.raises(RequestError, match="no option"):
        lab.find_batch("toy:fp32@toy-cpu", max_bath=8)


METRIC = """
def exact(outputs, reference):
    worst = max(float(abs(o["output"] - r["output"]).max()) for o, r in zip(outputs, reference))
    return {"worst": worst, "passed": worst < 1e-6}
"""


def test_the_shell_takes_a_metric(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    (tmp_path / "mine.py").write_text(METRIC)
    made = cli("run", "navigator_lab.testing:Affine", "--samples", "x.npz", "--formats", "toy",
               "--verify", "mine:exact", "--until", "verify", "--seconds", "0.05", "--max-batch",
               "1", "--plugins", "navigator_lab.testing", "--json", cwd=tmp_path)  # fmt: skip
    assert made.returncode == 0, made.stderr
    rows = {row["target"]: row for row in json.loads(made.stdout)}
    assert rows["toy:fp32@toy-cpu"]["passed"]
    assert rows["toy:fp16@toy-cpu"]["passed"] is False
    assert rows["toy:fp16@toy-cpu"]["metrics"]["worst"] > 1e-6
    wrong = cli("run", "navigator_lab.testing:Affine", "--samples", "x.npz", "--verify",
                "mine:exct", cwd=tmp_path)  # fmt: skip
    assert wrong.returncode == 2
    assert "exact" in wrong.stderr
