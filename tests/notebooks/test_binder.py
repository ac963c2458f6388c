"""The folder that mybinder.org builds from: what can be checked of it without Docker."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_can_be_run(name):
    path = BINDER / name
    assert path.read_text().startswith("#!/bin/bash\n")
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_start_hands_over():
    made = subprocess.run(
        [BINDER / "start", "printenv", "OMP_NUM_THREADS"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.strip() == os.environ.get("OMP_NUM_THREADS", "2")


def test_the_project_is_installed_last_and_nothing_needs_a_gpu():
    lines = [
        line.strip()
        for line in (BINDER / "requirements.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert lines[-1] == "-e ."
    assert not [line for line in lines if "gpu" in line or "cuda" in line or "tensorrt" in line]
    from packaging.requirements import Requirement

    named = {Requirement(line).name for line in lines if not line.startswith("-")}
    assert {"torch", "onnxruntime", "jupyterlab", "voila", "anywidget", "plotly"} <= named


def test_the_python_is_one_that_the_project_takes():
    import tomllib

    from packaging.specifiers import SpecifierSet

    python = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert python in SpecifierSet(project["requires-python"])


def test_post_build_quietens_lab(tmp_path):
    """Its first half, in an environment of its own: the settings are JSON that Lab can read."""
    import json

    text = (BINDER / "postBuild").read_text()
    first = text[: text.index("python - <<")]
    environment = {**os.environ, "NB_PYTHON_PREFIX": str(tmp_path)}
    subprocess.run(["bash", "-c", first], env=environment, check=True)
    made = json.loads((tmp_path / "share/jupyter/lab/settings/overrides.json").read_text())
    assert all(":" in name for name in made)
