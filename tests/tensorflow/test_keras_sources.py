"""What a live Keras model, a ``tf.function`` and a ``tf.Module`` are taken in as."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from tensorflow_held import arrays, stored
from traitlets.config import Config

import navigator_lab as nav
from navigator_lab.cli import main
from navigator_lab.errors import ModelError, SamplesError, TrustError

LIVE = """
import json, sys
import keras, numpy as np, tensorflow as tf
from navigator_lab.errors import ModelError
from navigator_lab.sources import capture
from pathlib import Path

class Plain(keras.Model):
    def __init__(self):
        super().__init__(name="plain")
        self.dense = keras.layers.Dense(3)
    def call(self, x, scale=None, training=False):
        y = self.dense(x)
        return y if scale is None else y * scale

class Forgetful(Plain):
    def __init__(self, times=1.0):
        super().__init__()
        self.times = times
    def call(self, x, training=False):
        return super().call(x) * self.times

class Told(Forgetful):
    def get_config(self):
        return {"times": self.times}

class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.ones([5, 2]))
    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32, name="x")])
    def __call__(self, x):
        return x @ self.weight
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def length(self, text):
        return tf.strings.length(text)

def built(model):
    model(np.zeros((2, 5), "float32"))
    return model

def sequential(function=lambda t: t * 2, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((5,), name="x"), keras.layers.Dense(3, name="d"),
                             keras.layers.Lambda(function, name="l")], name="s")

def seeded(make, seed=0):
    keras.utils.set_random_seed(seed)
    return built(make())

def one(make):
    found, again = capture(make()), capture(make())
    return {"format": found.variant.format, "parameters": found.parameters, "notes": found.notes,
            "inputs": [s.name for s in found.inputs or ()], "same": found.fingerprint == again.fingerprint,
            "print": found.fingerprint}

first, x = keras.Input((5,)), keras.Input((5,))  # numbered by how many there were in a process
unnamed = keras.Model(x, keras.layers.Dense(3)(x))
forgetful = seeded(lambda: Forgetful(3.0))
module = Module()
function = tf.function(lambda x: tf.nn.relu(x),
                       input_signature=[tf.TensorSpec([None, 5], tf.float32, name="x")])
made = {
    "sequential": one(sequential),
    "another function": one(lambda: sequential(lambda t: t * 3)),
    "another seed": one(lambda: sequential(seed=1)),
    "plain": one(lambda: seeded(Plain)),
    "told": one(lambda: seeded(lambda: Told(3.0))),
    "told otherwise": one(lambda: seeded(lambda: Told(2.0))),
    "forgetful": one(lambda: forgetful),
    "function": one(lambda: function),
    "unnamed": one(lambda: unnamed),
    "module": one(Module),
}
refused = {
    "class": lambda: Plain, "unbuilt": lambda: keras.Sequential([keras.layers.Dense(3)]),
    "no signature": lambda: tf.function(lambda x: x),
}
for name, make in refused.items():
    try:
        capture(make())
        made[name] = "taken"
    except ModelError as error:
        made[name] = f"{error.message} -> {error.remedy}"
out = Path(sys.argv[1])
for name, model, signature in (
    ("told", seeded(lambda: Told(3.0)), None), ("forgetful", forgetful, None),
    ("length", module, "length"), ("loaded", None, "embed"), ("unnamed", unnamed, None),
):
    if name == "loaded":
        model = tf.saved_model.load(sys.argv[2])
    (out / name).mkdir()
    capture(model, signature=signature).write(out / name)
x = np.arange(10, dtype="float32").reshape(2, 5)
np.savez(out / "answers.npz", x=x, told=seeded(lambda: Told(3.0))(x), forgetful=forgetful(x))
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def live(models, tmp_path_factory):
    """All of it in one process: what was captured, and the folder it was written to."""
    out = tmp_path_factory.mktemp("live")
    made = subprocess.run(
        [sys.executable, "-c", LIVE, str(out), str(models / "texts")], capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    return json.loads(made.stdout.splitlines()[-1]), out


def test_live_models_are_what_they_are(live):
    made, _ = live
    kinds = {name: one["format"] for name, one in made.items() if isinstance(one, dict)}
    exported = {name for name, kind in kinds.items() if kind == "savedmodel"}
    assert exported == {"forgetful", "function", "module"}
    assert made["sequential"]["inputs"] == ["x"]
    assert made["plain"]["parameters"] == ["x", "scale"]
    assert "get_config" in made["forgetful"]["notes"][0]


def test_equal_models_have_one_fingerprint_and_others_another(live):
    made, _ = live
    kinds = {name: one for name, one in made.items() if isinstance(one, dict)}
    assert all(one["same"] for one in kinds.values()), {n: o["same"] for n, o in kinds.items()}
    assert len({one["print"] for one in kinds.values()}) == len(kinds)


def test_what_cannot_be_captured_says_why(live):
    made, _ = live
    assert "is a class" in made["class"]
    assert "never called" in made["unbuilt"]
    assert "input_signature" in made["no signature"]


def test_a_written_model_answers_as_the_live_one(live, said):
    """Its own arguments too, which Keras' file alone forgets."""
    made, out = live
    right = arrays(out / "answers.npz")
    code = """
import json, sys
import numpy as np, tensorflow as tf
from pathlib import Path
from navigator_lab.formats._tensorflow import opened
from navigator_lab.formats.keras_model import input_names, load
out = Path(sys.argv[1])
x = tf.constant(np.arange(10, dtype="float32").reshape(2, 5))
signed = opened(out / "forgetful")
(name,) = signed.inputs
length, embed = opened(out / "length"), opened(out / "loaded")
print(json.dumps({
    "told": load(out / "told")(x).numpy().tolist(),
    "forgetful": next(iter(signed.call(**{name: x}).values())).numpy().tolist(),
    "length": next(iter(length.call(text=tf.constant(["a", "bcd"])).values())).numpy().tolist(),
    "loaded": list(embed.outputs),
    "unnamed": input_names(load(out / "unnamed")),
}))
"""
    got = said(code, out)
    np.testing.assert_allclose(got["told"], right["told"], rtol=1e-5)
    np.testing.assert_allclose(got["forgetful"], right["forgetful"], rtol=1e-5)
    assert got["length"] == [1, 3]
    assert got["loaded"] == ["sum"]
    assert got["unnamed"] == made["unnamed"]["inputs"]


NOTHING = """
import json, sys
import numpy as np
import navigator_lab as nav
before = set(sys.modules)
with nav.explore(sys.argv[1], sys.argv[2], workspace=sys.argv[3]) as lab:
    row = lab.run(formats=["keras"], runners=["keras"], devices=["cpu"], until="correctness",
                  progress=False)["keras:fp32@keras-cpu"]
    heavy = {"tensorflow", "keras", "torch", "ai_edge_litert", "h5py"} & set(sys.modules)
    log = lab["keras:fp32@keras-cpu"].log("infer")
print(json.dumps([row.status, row.passed, sorted(heavy), log.count("TensorFlow")]))
"""


def test_the_kernel_loads_nothing_of_tensorflow_and_hears_nothing(models, tmp_path):
    asked = [sys.executable, "-c", NOTHING, models / "digits.keras", models / "digits.npz"]
    made = subprocess.run(
        [*asked, tmp_path], capture_output=True, text=True, timeout=300, check=True
    )
    assert json.loads(made.stdout)[:3] == ["done", True, []]
    assert made.stderr == ""


@pytest.mark.parametrize("name", ["two_inputs", pytest.param("lstm", marks=pytest.mark.slow)])
def test_keras_savedmodel_and_function_answer_as_tensorflow_does(name, models, workspace):
    right = arrays(models / f"{name}_answers.npz")
    with nav.explore(models / f"{name}.keras", models / f"{name}.npz", workspace=workspace) as lab:
        assert [s.name for s in lab.signature.inputs] == list(arrays(models / f"{name}.npz"))
        assert [s.name for s in lab.signature.outputs] == list(right)
        rows = lab.run(
            formats=["keras", "savedmodel"], precisions=["fp32"], devices=["cpu"],
            until="correctness", progress=False,
        )  # fmt: skip
        assert {row.target for row in rows} == {
            "keras:fp32@keras-cpu", "keras:fp32@tf-function-cpu", "savedmodel:fp32@savedmodel-cpu",
        }  # fmt: skip
        for row in rows:
            assert row.passed, (row.target, row.reason)
            for output, got in stored(lab, row.target).items():
                np.testing.assert_allclose(got, right[output], rtol=1e-3, atol=1e-5)


def test_a_signature_is_named_or_asked_for(models, tmp_path):
    x = np.ones((3, 5), np.float32)
    with pytest.raises(ModelError, match=r"classify\(text\); embed\(x\)"):
        nav.explore(models / "texts", x, workspace=tmp_path)
    with pytest.raises(ModelError, match="unknown signature 'embet'"):
        nav.explore(models / "texts", x, workspace=tmp_path, signature="embet")
    with pytest.raises(SamplesError, match="model takes text"):
        nav.explore(models / "texts", x, workspace=tmp_path, signature="classify")
    with pytest.raises(ModelError, match="only a SavedModel"):
        nav.explore(models / "digits.keras", x, workspace=tmp_path, signature="x")
    with nav.explore(models / "texts", x, workspace=tmp_path, signature="embed") as lab:
        assert "there are also classify" in lab.notes[0]
        assert lab.signature.outputs[0].name == "sum"


def test_a_signature_is_chosen_from_a_shell_and_by_the_magic(models, workspace, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.ones((3, 5), np.float32))
    asked = ["run", str(models / "texts"), "--samples", str(tmp_path / "x.npz"), "--workspace",
             str(workspace), "--formats", "savedmodel", "--devices", "cpu", "--until", "export",
             "--json"]  # fmt: skip
    assert main([*asked, "--signature", "embet"]) == 2
    assert "did you mean 'embed'" in capsys.readouterr().err
    assert main([*asked, "--signature", "embed"]) == 0
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "navigator_lab")
    line = f"open {models / 'texts'} --samples {tmp_path / 'x.npz'} --workspace {workspace}"
    with shell.run_line_magic("navigator", f"{line} --signature embed") as lab:
        assert [spec.name for spec in lab.signature.outputs] == ["sum"]


def test_code_in_a_file_must_be_trusted(models, tmp_path):
    x = np.ones((2, 5), np.float32)
    with pytest.raises(TrustError, match="Lambda"):
        nav.explore(models / "lambda.keras", x, workspace=tmp_path)
    with nav.explore(models / "lambda.keras", x, workspace=tmp_path, trust=True) as lab:
        assert lab.signature.batched


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An interpreter with this package and little else: no TensorFlow."""
    home = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    site = next((home / "lib").glob("*/site-packages"))
    for name in ("numpy", "numpy.libs", "psutil", "cloudpickle", "ml_dtypes"):
        (site / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    (site / "navigator_lab").symlink_to(Path(nav.__file__).parent)
    return home / "bin" / "python"


def test_without_tensorflow_the_rows_say_so(bare, models):
    made = subprocess.run(
        [bare, "-m", "navigator_lab.cli", "targets", models / "digits.keras", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = {row["target"]: row for row in json.loads(made.stdout)}
    for target in (
        "keras:fp32@keras-cpu", "keras:fp32@tf-function-cpu", "savedmodel:fp32@savedmodel-cpu",
        "onnx:fp32@ort-cpu", "tflite:fp32@tflite-cpu", "openvino:fp32@ov-cpu",
    ):  # fmt: skip
        assert not rows[target]["available"]
        assert rows[target]["reason"] == "tensorflow or tensorflow-cpu is not installed"
        assert rows[target]["remedy"] == "pip install tensorflow"
    assert made.stderr == ""


def test_a_source_that_cannot_run_here_is_refused_with_the_way_out(bare, models, tmp_path):
    with pytest.raises(ModelError, match="tensorflow or tensorflow-cpu is not installed") as caught:
        nav.explore(
            models / "digits.keras", models / "digits.npz", workspace=tmp_path,
            environments={"keras": bare},
        )  # fmt: skip
    assert "environments=" in caught.value.remedy
