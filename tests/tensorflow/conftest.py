"""The models of these tests, made once by TensorFlow in a process of its own."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import navigator_lab as nav

HERE = Path(__file__).parent
# Of basic-pitch: far above its rounding, far below what is wrong.
LOOSE = nav.Tolerance(absolute=2e-3)


def program(*arguments):
    """Run Python with TensorFlow; what it printed."""
    made = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300,
        check=False, cwd=HERE,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    return made.stdout


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder of models, their inputs and TensorFlow's own answers."""
    folder = tmp_path_factory.mktemp("tensorflow")
    program(HERE / "tensorflow_made.py", folder)
    return folder


@pytest.fixture
def said():
    """Run a text of Python with TensorFlow; the JSON in the last line that it prints."""
    return lambda code, *arguments: json.loads(program("-c", code, *arguments).splitlines()[-1])


@pytest.fixture(scope="session")
def shipped():
    """The folder of basic-pitch: a SavedModel with its TFLite and ONNX twins, made by Spotify."""
    path = importlib.metadata.distribution("basic-pitch").locate_file(
        "basic_pitch/saved_models/icassp_2022"
    )
    return Path(str(path))


@pytest.fixture(scope="session")
def sound():
    """Two windows of noise, as basic-pitch takes them: chords, and the logarithm in it turns the
    rounding of silent bands into errors of 1 %, in Spotify's own TFLite and ONNX files too."""
    return np.random.default_rng(0).normal(0, 0.1, (2, 43844, 1)).astype(np.float32)


def arrays(path):
    """The arrays of an .npz by name."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def stored(lab, target):
    """What a target answered on each sample alone: by output, joined."""
    step = next(s for s in lab[target].steps if s.label.startswith("infer "))
    held = arrays(step.outcome.product.path / "outputs.npz")
    count = sum(case["batch"] == 1 if "batch" in case else len(case["indices"]) == 1
                for case in step.outcome.product.value["cases"])  # fmt: skip
    names = [spec.name for spec in lab.signature.outputs]
    return {n: np.concatenate([held[f"{i}/{n}"] for i in range(count)]) for n in names}
