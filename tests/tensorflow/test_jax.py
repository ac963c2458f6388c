"""A JAX function with its parameters, all the way, in an interpreter that has jax beside the rest.

Slow: jax is not in the tests' own environment, as TensorFlow imports it wherever it is installed.
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

JAX = """
import functools, json, sys
import jax, numpy as np
import navigator_lab as nav

def apply(params, x, scale):
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = params[-1]
    return {"size": scale * (x**2).sum(1), "p": jax.nn.softmax(x @ weight + bias)}

draw = np.random.default_rng(0)
params = [(draw.normal(size=s).astype("float32"), np.zeros(s[1], "float32")) for s in ((5, 8), (8, 3))]
x, scale = draw.normal(size=(6, 5)).astype("float32"), np.ones(6, "float32")
function = jax.jit(functools.partial(apply, params))
with nav.explore(function, {"x": x, "scale": scale}, workspace=sys.argv[1] + "/w", name="mlp") as lab:
    rows = lab.run(formats=["jax", "stablehlo", "onnx", "openvino"], precisions=["fp32", "int8"],
                   devices=["cpu"], seconds=0.02, max_batch=2, min_calls=3, progress=False)
    for target in ("jax:fp32@jax-cpu", "stablehlo:fp32@stablehlo-cpu"):
        lab.package(target, sys.argv[1] + "/r", name=target.partition(":")[0])
    with lab.serve("onnx:fp32@ort-cpu") as one:
        served = one.replay.passed
    print(json.dumps({"rows": {r.target: [r.passed, r.reason] for r in rows}, "served": served,
                      "reference": lab.run_data.reference,
                      "outputs": [s.name for s in lab.signature.outputs]}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_function_with_its_parameters_goes_the_whole_way(tmp_path):
    home = tmp_path / "jax"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = home / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "jax", "jax2onnx"], check=True, timeout=600
    )
    site = next((home / "lib").glob("*/site-packages"))
    (site / "beside.pth").write_text(sysconfig.get_path("purelib"))  # after its own
    (site / "navigator_lab").symlink_to(Path(__file__).parents[2] / "navigator_lab")
    made = subprocess.run(
        [python, "-c", JAX, tmp_path], capture_output=True, text=True, timeout=500, check=False
    )
    assert made.returncode == 0, made.stderr[-3000:]
    said = json.loads(made.stdout.splitlines()[-1])
    assert said["reference"] == "jax:fp32@jax-cpu"
    assert said["outputs"] == ["p", "size"]  # as JAX orders a dict
    for target in (
        "jax:fp32@jax-cpu", "stablehlo:fp32@stablehlo-cpu", "onnx:fp32@ort-cpu",
        "openvino:fp32@ov-cpu", "openvino:int8@ov-cpu",
    ):  # fmt: skip
        assert said["rows"][target][0], (target, said["rows"][target])
    # The Python stub of the server in PyPI's wheel is for numpy below 2, where jax can't be imported:
    # there jax and StableHLO are packages only.
    assert said["served"] is True
