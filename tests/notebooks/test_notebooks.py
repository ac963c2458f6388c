"""The notebooks: executed as they are, kept so that diffs read well, copied without loss."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import navigator_lab as nav
from navigator_lab import lab as labs
from navigator_lab.cli import main

FOLDER = Path(__file__).parents[2] / "notebooks"
MINE = ("quickstart.ipynb", "densenet121.ipynb", "analysis.ipynb", "tensorflow.ipynb")


def alone(folder):
    """The environment of a process whose Jupyter keeps everything in a folder."""
    return {**os.environ, "NAVIGATOR_LAB_QUICK": "1", "OMP_NUM_THREADS": "1",
            "IPYTHONDIR": str(folder / ".ipython"),
            "JUPYTER_DATA_DIR": str(folder / ".jupyter")}  # fmt: skip


def executed(name, folder, *options):
    """A notebook as papermill runs it, in a folder of its own."""
    out = folder / f"out-{name}"
    command = [sys.executable, "-m", "papermill", str(FOLDER / name), str(out), "--cwd",
               str(folder), "--no-progress-bar", "--log-level", "ERROR", "-k", "python3",
               *options]  # fmt: skip
    made = subprocess.run(
        command, cwd=folder, env=alone(folder), capture_output=True, text=True, timeout=400
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return nbformat.read(out, as_version=4)


def seen(notebook, cell):
    """All text of a cell's outputs."""
    one = next(c for c in notebook.cells if c["id"] == cell)
    found = []
    for output in one["outputs"]:
        found.append(output.get("text", ""))
        found += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return "\n".join(found)


@pytest.mark.parametrize("name", MINE)
def test_sources_are_clean(name):
    text = (FOLDER / name).read_text()
    made = json.loads(text)
    nbformat.validate(made)
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(part.replace("-", "").isalpha() for part in ids)  # named, so diffs read well
    for cell in made["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert set(made["metadata"]) == {"kernelspec", "language_info"}
    assert text == json.dumps(made, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.slow
def test_quickstart_goes_the_whole_way(tmp_path):
    made = executed("quickstart.ipynb", tmp_path)
    assert "images are read right" in seen(made, "model")
    assert "runs first what it still needs" in seen(made, "correctness")
    assert "<svg" in seen(made, "pareto")
    assert seen(made, "python").startswith("0 steps had to run")
    assert 'backend: "' in seen(made, "package")
    assert list(tmp_path.glob("model_repository/digits/1/*"))
    # One live view, which was redrawn, and the table: nothing is shown twice.
    profile = next(c for c in made.cells if c["id"] == "profile")
    kinds = [o["output_type"] for o in profile["outputs"]]
    assert kinds.count("display_data") == 1
    assert kinds.count("execute_result") == 1
    assert "steps ran" in seen(made, "profile")
    saved = nav.load(tmp_path / "digits.nav")
    assert all(r.verified for r in saved.results if r.status == "done")
    assert (tmp_path / "out-quickstart.ipynb").stat().st_size < 500_000
    html = [o["data"]["text/html"] for c in made.cells if c.cell_type == "code"
            for o in c["outputs"] if "text/html" in o.get("data", {})]  # fmt: skip
    assert html
    assert not any("<script" in one for one in html)


def test_the_dashboards_notebook_runs(tmp_path):
    """By nbmake, in a folder of its own: the panel is a widget, and words where none can be."""
    notebook = tmp_path / "dashboard.ipynb"
    notebook.write_bytes((FOLDER / "dashboard.ipynb").read_bytes())
    made = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path),
         "-p", "no:cacheprovider", "--nbmake", "--overwrite", str(notebook)],
        cwd=tmp_path, capture_output=True, text=True, timeout=200, env=alone(tmp_path),
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-3000:]
    executed = nbformat.read(notebook, as_version=4)
    outputs = [o for c in executed.cells if c.cell_type == "code" for o in c["outputs"]]
    assert any("application/vnd.jupyter.widget-view+json" in o["data"] for o in outputs)
    assert any("no model was opened" in o["data"].get("text/html", "") for o in outputs)


@pytest.mark.slow
def test_densenet121_runs(tmp_path):
    pytest.importorskip("torchvision")
    executed("densenet121.ipynb", tmp_path)
    rows = nav.load(tmp_path / "densenet121.nav").results
    assert rows["onnx:fp32@ort-cpu"].passed
    assert (tmp_path / "model_repository" / "densenet121" / "config.pbtxt").is_file()


@pytest.mark.slow
def test_tensorflow_runs(tmp_path):
    made = executed("tensorflow.ipynb", tmp_path)
    assert "are read right" in seen(made, "digits")
    assert "dims: 8" in seen(made, "package")
    assert "onnx:fp32@ort-cpu" in seen(made, "densenet")


@pytest.mark.parametrize("name", ["densenet121", "densenet121-128", "encoder"])
def test_the_runs_of_an_h100_open_without_a_gpu(name):
    lab = nav.load(FOLDER / "h100" / f"{name}.nav")
    assert lab.run_data.host.gpus[0].name == "NVIDIA H100 80GB HBM3"
    assert lab.choose("throughput").target.endswith("-cuda:0")
    assert nav.views.pareto.draw(nav.views.pareto.info(lab)).data
    row = lab.results[lab.choose("latency").target]
    assert lab[row.target].latencies_ns[1].size > 3  # raw, not only their percentiles


@pytest.mark.slow
def test_analysis_makes_its_own_runs_and_a_report(tmp_path):
    made = executed("analysis.ipynb", tmp_path)
    assert "toy:fp32@toy-cpu" in seen(made, "results")
    page = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in page
    assert "small" in page
    assert "wide" in page
    # And again with what it made, as papermill gives it.
    other = tmp_path / "other"
    other.mkdir()
    named = f"runs: ['{tmp_path / 'small.nav'}']"
    executed("analysis.ipynb", other, "-y", named, "-p", "report", "mine.html",
             "-y", "limits: {p99_ms: 1000}")  # fmt: skip
    assert "wide" not in (other / "mine.html").read_text()[-400_000:]


# navigator-lab lab


def test_lab_copies_and_never_overwrites_what_was_changed(tmp_path, capsys):
    folder = tmp_path / "mine"
    asked = ["lab", "--copy-only", "--json", "--dir", str(folder)]
    assert main(asked) == 0
    first = json.loads(capsys.readouterr().out)["notebooks"]
    assert set(MINE) <= set(first)
    assert set(first.values()) == {"fresh"}
    (folder / "quickstart.ipynb").write_text("mine now")
    (folder / "analysis.ipynb").unlink()
    assert main(asked) == 0
    second = json.loads(capsys.readouterr().out)["notebooks"]
    assert second["quickstart.ipynb"] == "changed"
    assert second["analysis.ipynb"] == "fresh"
    assert second["densenet121.ipynb"] == "same"
    assert (folder / "quickstart.ipynb").read_text() == "mine now"


def test_lab_updates_what_was_not_changed(tmp_path):
    labs.copy(tmp_path)
    old = tmp_path / "quickstart.ipynb"
    old.write_text("an older version")
    kept = json.loads((tmp_path / ".navigator_notebooks.json").read_text())
    import hashlib

    kept["quickstart.ipynb"] = hashlib.sha256(old.read_bytes()).hexdigest()
    (tmp_path / ".navigator_notebooks.json").write_text(json.dumps(kept))
    assert labs.copy(tmp_path).states["quickstart.ipynb"] == "updated"
    assert old.read_bytes() == (FOLDER / "quickstart.ipynb").read_bytes()
    (tmp_path / ".navigator_notebooks.json").write_text("broken")
    old.write_text("an older version")
    assert labs.copy(tmp_path).states["quickstart.ipynb"] == "changed"


def test_lab_says_where_it_cannot_write(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["lab", "--copy-only", "--dir", str(tmp_path / "file" / "x")]) == 2
    assert "name a folder by --dir" in capsys.readouterr().err


@pytest.mark.slow
def test_the_wheel_carries_the_notebooks(tmp_path):
    """Built as it is published, unpacked, and asked for them from elsewhere."""
    import zipfile

    root = FOLDER.parent
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path),
         str(root)],
        check=True, timeout=300,
    )  # fmt: skip
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    made = subprocess.run(
        [sys.executable, "-m", "navigator_lab.cli", "lab", "--copy-only", "--dir", "here"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "quickstart.ipynb" in made.stdout
    assert (tmp_path / "here" / "quickstart.ipynb").is_file()
