"""The rule of `judge.js` is the kernel's: whatever is judged, both say the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.engine.host import host
from navigator_lab.session import Explored
from navigator_lab.testing import Affine
from navigator_lab.types.codec import encode
from navigator_lab.types.measure import Accuracy, OutputAccuracy, Tolerance
from navigator_lab.types.outcome import Done, Product
from navigator_lab.types.run import Run, Settled, TargetRun
from navigator_lab.types.signature import Signature, TensorSpec
from navigator_lab.types.target import Target
from navigator_lab.ui.panels import results

X = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)


def test_the_browser_judges_as_python_does(tmp_path):
    """Every output under many tolerances, judged by judge.js and by the session."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: apt-get install nodejs")
    cases = []
    with nav.explore(
        Affine(), X, workspace=tmp_path, plugins=["navigator_lab.testing"], name="affine"
    ) as lab:
        lab.run(formats=["toy", "python"], until="correctness")
        _toy(lab, cases)
    passed = {}
    for one in ODD:  # each alone: of several, one that fails hides the others
        odd = Explored(_run(one), tmp_path)
        passed[one.name] = [row.passed for row in odd.results]
        _judged(odd, cases)
        odd.tolerance = {one.name: Tolerance(1, 5)}
        _judged(odd, cases)
        odd.tolerance = {"fp32": Tolerance(1e-9)}
        _judged(odd, cases)
    assert passed == {
        "half": [True, True, True],  # it is itself 16 bits wide
        "amplified": [True, True, True],  # the reference keeps no more
        "quiet": [False, True, True],
        "shifted": [False, True, True],
        "constant": [True, True, True],
        "ints": [False, False, False],
        "broken": [False, False, False],
    }
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(cases))
    tests = Path(__file__).parents[1] / "js"
    done = subprocess.run(
        [node, "--test", *map(str, sorted(tests.glob("*.test.mjs")))],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "NAVIGATOR_LAB_CASES": str(file)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# skipped 0" in done.stdout


def _toy(lab, cases):
    for exponent in range(-12, 2):
        for pair in ((10.0**exponent, 0.0), (0.0, 10.0**exponent), (10.0**exponent, 1e-5)):
            lab.tolerance = Tolerance(*pair)
            _judged(lab, cases)
    lab.tolerance = None
    _judged(lab, cases)


def _output(name, dtype="float32", error=1e-4, **more):
    facts = {"elements": 100, "exact": 0, "hull": ((0.0, error), (1.0, error)),
             "reference_std": 1.0, "sqnr_db": 90.0, **more}  # fmt: skip
    return OutputAccuracy(name, dtype, dtype, **facts)


# Outputs whose rule isn't the plain one.
ODD = (
    _output("half", "float16", error=8e-3, sqnr_db=60.0),
    _output("amplified", sqnr_db=70.0, reference_sqnr_db=75.0),
    _output("quiet", sqnr_db=70.0),
    _output("shifted", bias=9e-4),
    _output("constant", error=1e-6, bias=9e-4, reference_std=5e-5),
    _output("ints", "int64", error=2.0, exact=98, discrete=True),
    _output("broken", problem="NaN in 3 elements"),
)


def _run(output):
    """Of three precisions, each with this output."""
    made = []
    for precision in ("fp32", "fp16", "int8"):
        product = Product(precision, Path(), encode(Accuracy((output,))))
        step = Settled("correctness", f"correctness {precision}", Done(product, 1.0))
        made.append(TargetRun(Target.parse(f"torch:{precision}@eager-cpu"), None, (step,)))
    signature = Signature((), (TensorSpec(output.name, output.dtype, (1,)),), ())
    return Run("odd", 0.0, "0", host(), "made by hand", signature, str(made[0].target),
               targets=tuple(made))  # fmt: skip


def _judged(lab, cases):
    accuracy, tolerances = results.accuracy(lab), results.tolerances(lab)
    for target, outputs in accuracy.items():
        verdict = lab[target].verdict
        cases.append({
            "outputs": outputs, "tolerance": None, "tolerances": tolerances[target],
            "passed": verdict.passed,
            "ratios": {k: v if np.isfinite(v) else None for k, v in verdict.ratios.items()},
        })  # fmt: skip
