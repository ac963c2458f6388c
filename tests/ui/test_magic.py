"""``%navigator`` in a real shell, with the toy: every line of its help does what it says."""

import dataclasses
import os
import time

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import navigator_lab as nav
from navigator_lab.testing import Affine
from navigator_lab.types.measure import Peaks, Roofline, Work

QUICK = "--max-batch 2 --seconds 0.05"


class Slow(Affine):
    """Takes a while, so that it can be interrupted."""

    def __call__(self, x):
        time.sleep(0.05)
        return super().__call__(x)


class Notebook:
    """A shell, and what a cell shows: its value, what is printed, displayed and wrong."""

    def __init__(self, shell):
        self.shell = shell

    def __call__(self, cell):
        with capture_output() as seen:
            ran = self.shell.run_cell(cell)
        self.out, self.err, self.shown = seen.stdout, seen.stderr, seen.outputs
        self.error = ran.error_in_exec or ran.error_before_exec
        return ran.result

    def __getitem__(self, name):
        return self.shell.user_ns[name]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    os.environ["IPYTHONDIR"] = str(tmp_path_factory.mktemp("ipython"))
    made = InteractiveShell.instance()
    yield made
    made.history_manager.end_session()
    InteractiveShell.clear_instance()
    del os.environ["IPYTHONDIR"]


@pytest.fixture
def cell(shell, tmp_path):
    shell.reset()
    shell.run_line_magic("load_ext", "navigator_lab")
    draw = np.random.default_rng(1)
    shell.user_ns.update(
        model=Affine(), X=draw.normal(size=(6, 4)).astype(np.float32), work=str(tmp_path / "w"),
        Slow=Slow, nav=nav,
    )  # fmt: skip
    made = Notebook(shell)
    yield made
    for value in list(shell.user_ns.values()):
        if isinstance(value, nav.Session):
            value.close()
    shell.run_line_magic("unload_ext", "navigator_lab")


@pytest.fixture
def opened(cell, tmp_path):
    cell(
        "%navigator open model --samples X --name affine --plugins navigator_lab.testing "
        f"--workspace {tmp_path / 'w'} -o lab"
    )
    assert cell.error is None
    return cell


def said(cell):
    """What was wrong, as the user reads it."""
    assert type(cell.error).__name__ == "UsageError"
    return str(cell.error)


def test_open_takes_a_variable_and_binds_the_session(opened):
    lab = opened["lab"]
    assert isinstance(lab, nav.Session)
    assert lab.name == "affine"
    assert opened("%navigator targets --formats toy").available == [
        "toy:fp32@toy-cpu", "toy:fp16@toy-cpu",
    ]  # fmt: skip


def test_open_takes_a_part_of_a_variable(cell, tmp_path):
    cell.shell.user_ns["kept"] = type("Kept", (), {"model": Affine(), "x": cell["X"]})()
    cell(f"%navigator open kept.model --samples kept.x --workspace {tmp_path / 'w'} -o lab")
    assert isinstance(cell["lab"], nav.Session)
    cell("%navigator open kept.modle --samples kept.x")
    assert "did you mean 'model'?" in said(cell)


def test_a_stage_runs_what_it_still_needs_and_says_so(opened):
    results = opened(f"%navigator profile --formats toy {QUICK}")
    assert [r.target for r in results] == ["toy:fp32@toy-cpu", "toy:fp16@toy-cpu"]
    assert all(r.passed and r.batches for r in results)
    assert "2 targets" in opened.out
    assert "runs first what it still needs" in opened.out
    assert "2 build" in opened.out
    again = opened("%navigator profile")
    assert "as said last: --formats toy --max-batch 2 --seconds 0.05" in opened.out
    assert "0 steps to run" in opened.out
    assert sum(r.steps_run for r in again) == 0


def test_every_stage_by_itself(opened):
    assert opened("%navigator export --formats toy")[0].stages == {"export": "done"}
    built = opened("%navigator convert")
    assert built["toy:fp16@toy-cpu"].stages == {"export": "done", "convert": "done"}
    compared = opened("%navigator correctness")
    assert compared["toy:fp16@toy-cpu"].passed
    assert not compared["toy:fp16@toy-cpu"].batches


def test_the_live_view_ends_with_the_last_state(opened):
    opened("%navigator correctness --formats toy")
    last = opened.shown[-1].data
    assert "steps ran" in last["text/plain"]
    assert "<script" not in last["text/html"]
    assert "so far" in opened.shown[0].data["text/plain"]


def test_a_cell_defines_the_metric(opened):
    body = """
    def close(a, b):
        return float(abs(a - b).max())

    def metric(outputs, reference):
        worst = max(close(o["output"], r["output"]) for o, r in zip(outputs, reference))
        return {"worst": worst, "passed": worst < 1e-6}

    def afterwards():
        pass
    """
    import textwrap

    results = opened(f"%%navigator verify --formats toy {QUICK}\n" + textwrap.dedent(body))
    assert opened.error is None, opened.err
    assert results["toy:fp32@toy-cpu"].verified
    assert results["toy:fp16@toy-cpu"].verified is False
    assert results["toy:fp16@toy-cpu"].metrics["worst"] > 1e-6
    opened("%%navigator verify\nx = 1")
    assert "defines no function" in said(opened)
    opened("%%navigator verify\ndef broken(:")
    assert "no Python" in said(opened)
    opened("%%navigator profile\nx = 1")
    assert "takes one" in said(opened)


def test_a_named_metric(opened):
    opened.shell.user_ns["mine"] = lambda outputs, reference: 0.5
    results = opened(f"%navigator verify mine --formats toy {QUICK}")
    assert [r.verified for r in results] == [True, True]
    opened("%navigator verify X")
    assert "is no function" in said(opened)


def test_run_gives_a_job_at_once_and_wait_attaches(opened):
    job = opened(f"%navigator run --until profile --formats toy {QUICK} -o job")
    assert isinstance(job, nav.Job)
    assert opened["job"] is job
    assert job.wait(60)["toy:fp16@toy-cpu"].batches
    opened("%navigator status")
    assert "job done" in opened.out
    assert len(opened("%navigator wait")) == 2
    opened("%navigator cancel")
    assert "nothing to cancel" in opened.out


@pytest.fixture
def ran(opened):
    opened(f"%navigator profile --formats toy,python {QUICK}")
    return opened


def test_the_views_are_drawn_and_hold_their_data(ran):
    assert len(ran("%navigator table")) == 3
    for name in ("heatmap", "pareto", "latency", "parallel", "timeline"):
        drawn = ran(f"%navigator {name} -o {name}")
        shown = drawn._repr_mimebundle_()
        figure = shown["application/vnd.plotly.v1+json"]
        assert figure["data"]
        assert figure["config"]["showSendToCloud"] is False
        assert "affine" in shown["text/plain"]
        assert ran[name].info.title == "affine"
    assert "<svg" in ran["pareto"]._repr_mimebundle_()["text/html"]
    dark = ran("%navigator pareto --dark")
    assert dark.figure.layout.paper_bgcolor != ran["pareto"].figure.layout.paper_bgcolor
    surface = ran("%navigator surface toy:fp16@toy-cpu")
    assert surface.info.output == "output"
    table = ran("%navigator compare toy:fp32@toy-cpu toy:fp16@toy-cpu")
    assert [d.values for d in table.rows if d.name == "precision"] == [("fp32", "fp16")]


def test_the_roofline_of_a_session_and_of_a_loaded_run(ran, tmp_path):
    ran("%navigator roofline")
    assert "this model has no ONNX graph" in said(ran)
    lab = ran["lab"]
    work = Work((1, 2), (24, 48), (28, 56), 60)
    line = Roofline("cpu", Peaks({"fp32": 1e9}, 1e9), work)
    lab.run_data = dataclasses.replace(lab.run_data, rooflines=(line,))
    lab.save(tmp_path / "a.nav")
    drawn = ran(f"%navigator load {tmp_path / 'a.nav'}\n%navigator roofline")
    assert "bound by" in repr(drawn)
    assert "memory" in repr(drawn)
    assert drawn.figure.data


def test_limits_reach_the_front_and_the_choice(ran):
    loose = ran("%navigator pareto --latency p99_ms --p99-ms 1000")
    assert loose.info.limits == {"p99_ms": 1000.0}
    assert loose.info.front
    assert not ran("%navigator pareto --p99-ms 0").info.front
    best = ran("%navigator choose throughput --p99-ms 1000 -o best")
    assert ran["best"].target == best.target
    ran("%navigator choose throughput --p99-ms 0")
    assert "nothing to choose" in said(ran)
    ran("%navigator choose thruput")
    assert "did you mean 'throughput'?" in said(ran)
    ran.shell.user_ns["mine"] = lambda row: 1.0 if row.target == "toy:fp16@toy-cpu" else 0.0
    assert ran("%navigator choose mine").target == "toy:fp16@toy-cpu"


def test_why_and_log_tell(ran):
    ran("%navigator why toy:fp16@toy-cpu")
    assert "because: never run" in ran.out
    ran("%navigator log toy:fp16@toy-cpu infer")
    assert "printed nothing" in ran.out
    ran("%navigator log toy:fp16@toy-cpu infr")
    assert "did you mean 'infer'?" in said(ran)


def test_a_tolerance_judges_again_and_runs_nothing(ran):
    tight = ran("%navigator tolerance --relative 1e-9")
    assert tight["toy:fp16@toy-cpu"].passed is False
    assert ran["lab"].tolerance == nav.Tolerance(relative=1e-9)
    assert ran("%navigator tolerance --default")["toy:fp16@toy-cpu"].passed
    only = ran("%navigator tolerance --relative 1e-9 --only fp16")
    assert only["toy:fp16@toy-cpu"].passed is False
    assert only["toy:fp32@toy-cpu"].passed
    ran("%navigator tolerance")
    assert "fp16" in ran.out
    ran("%navigator tolerance --relative 1 --only fp61")
    assert "did you mean 'fp16'?" in said(ran)


def test_package_takes_what_was_chosen(ran, tmp_path):
    ran("%navigator choose latency")
    ran(f"%navigator package {tmp_path / 'repository'} --name served -o folder")
    folder = ran["folder"]
    assert (folder / "config.pbtxt").is_file()
    assert folder == tmp_path / "repository" / "served"
    assert "tritonserver" in ran.out
    ran(f"%navigator package {tmp_path / 'repository'} toy:fp61@toy-cpu")
    assert "did you mean" in said(ran)


def test_save_and_load(ran, tmp_path):
    ran(f"%navigator save {tmp_path / 'a.nav'}")
    loaded = ran(f"%navigator load {tmp_path / 'a.nav'}")
    assert len(loaded.results) == 3
    assert ran("%navigator timeline").info.ran > 0
    ran("%navigator profile")
    assert "loaded from a file" in said(ran)
    ran("%navigator use lab")
    assert ran("%navigator correctness --formats toy")[0].passed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("profle", "did you mean 'profile'?"),
        ("profile --formats onx", "did you mean 'onnx'?"),
        ("profile --precisions fp61", "did you mean 'fp16'?"),
        ("profile --until", "unrecognized arguments"),
        ("run --until profil", "did you mean 'profile'?"),
        ("targets --runners toi", "did you mean 'toy'?"),
        ("pareto --latency p98_ms", "did you mean"),
        ("profile --batches one", "no batch sizes"),
        ("open modle --samples X", "did you mean 'model'?"),
        ("open nothing.onnx --samples X", "there is no such file"),
        ("open model", "--samples"),
        ("heatmap", "nothing was run yet"),
        ("status", "no job was started"),
        ("use X", "is no session"),
        ("table -o 1x", "no name of a variable"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(opened, line, words):
    opened(f"%navigator {line}")
    assert words in said(opened)


def test_without_a_session_the_remedy_is_open(cell):
    cell("%navigator table")
    assert "%navigator open MODEL --samples X" in said(cell)


def test_the_only_session_of_the_notebook_is_the_current_one(cell, tmp_path):
    made = nav.explore(
        Affine(), cell["X"], workspace=tmp_path / "w", plugins=["navigator_lab.testing"]
    )
    cell.shell.user_ns["mine"] = made
    assert len(cell("%navigator targets --formats toy")) == 2
    cell.shell.user_ns["another"] = made
    assert len(cell("%navigator targets --formats toy")) == 2


def test_help_is_shown_and_lists_every_command(cell):
    cell("%navigator -h")
    assert "heatmap" in cell.out
    assert cell.error is None
    cell("%navigator profile -h")
    assert "--max-batch" in cell.out
    text = cell.shell.magics_manager.magics["line"]["navigator"].__doc__
    for word in ("open MODEL --samples", "compare TARGET", "%%navigator verify", "wait", "-o NAME"):
        assert word in text


def test_unloading_takes_the_magic_away(shell):
    shell.run_line_magic("load_ext", "navigator_lab")
    before = len(shell.Completer.custom_matchers)
    shell.run_line_magic("unload_ext", "navigator_lab")
    assert "navigator" not in shell.magics_manager.magics["line"]
    assert "navigator" not in shell.magics_manager.magics["cell"]
    assert len(shell.Completer.custom_matchers) == before - 1


def test_names_of_models_are_never_markup(cell, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    cell(
        f"%navigator open model --samples X --outputs '{evil}' --workspace {tmp_path / 'w'} -o lab"
    )
    cell(f"%navigator profile --formats python {QUICK}")
    for name in ("pareto", "heatmap"):
        shown = cell(f"%navigator {name}")._repr_mimebundle_()
        assert "<img" not in shown["text/html"]
        assert "<img" not in str(shown["application/vnd.plotly.v1+json"]["layout"])
    assert "&lt;img" in cell("%navigator heatmap")._repr_mimebundle_()["text/html"]


def test_bare_navigator_is_the_dashboard_of_the_session(ran):
    pytest.importorskip("anywidget")
    from navigator_lab.ui.dashboard import Dashboard

    panel = ran("%navigator -o panel")
    assert isinstance(panel, Dashboard)
    assert panel.session is ran["lab"]
    assert ran["panel"] is panel


def test_bare_navigator_without_a_session_opens_one_in_the_dashboard(cell):
    pytest.importorskip("anywidget")
    panel = cell("%navigator")
    assert panel.session is None
    cell("%navigator table")
    assert "there is no session yet" in said(cell)
