"""The models of these tests, made once by TensorFlow in a process of its own."""

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
from tensorflow_held import HERE, last_json, program

from navigator_lab.triton.pythonmodel import python_model
from navigator_lab.triton.server import serve


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder of models, their inputs and TensorFlow's own answers."""
    folder = tmp_path_factory.mktemp("tensorflow")
    program(HERE / "tensorflow_made.py", folder)
    return folder


@pytest.fixture
def said():
    """Run a text of Python with TensorFlow; the JSON in the last line that it prints."""
    return lambda code, *arguments: last_json(program("-c", code, *arguments))


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


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """One for these tests: what one has built or run, another needn't again."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One real server, which each package is lent to."""
    root = tmp_path_factory.mktemp("repository")
    given = [{"name": "x", "data_type": "FP32", "dims": [1]}]
    python_model("idle", lambda x: [x], given, [{**given[0], "name": "y"}]).write(root)
    with serve(root) as made:
        yield made
