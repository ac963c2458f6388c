"""What the tests of TensorFlow's models hold answers against, and how."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import navigator_lab as nav

HERE = Path(__file__).parent
# Of basic-pitch: far above its rounding, far below what is wrong.
LOOSE = nav.Tolerance(absolute=2e-3)
WORDS = np.array(["lab", "größe", "", "server"])  # of the model "texts"


def program(*arguments):
    """Run Python with TensorFlow; what it printed."""
    made = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300,
        check=False, cwd=HERE,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    return made.stdout


def last_json(printed):
    """The JSON in the last line of what a program printed."""
    return json.loads(printed.splitlines()[-1])


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
