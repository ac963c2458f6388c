# ruff: noqa: TID253  (a script of its own, run in a process of its own)
"""Opens a package as its stand-in backend would and answers some requests, without a server.

``rehearse.py JOB``: a JSON file with ``backend``, ``config``, ``model`` (the model's folder),
``version``, ``feeds`` and ``answers`` (folders of ``.npz`` files, one a request).
"""

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np


def main(job):
    """Load and answer; an exception's last line is the reason."""
    here = Path(__file__).resolve().parent
    sys.path.insert(0, str(here))
    # All that the stand-ins need of Triton's own module to load a model.
    sys.modules["triton_python_backend_utils"] = types.SimpleNamespace(
        TritonModelException=RuntimeError
    )
    spec = importlib.util.spec_from_file_location("model", here / job["backend"] / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    args = {
        "model_config": json.dumps(job["config"]),
        "model_repository": job["model"],
        "model_version": job["version"],
    }
    model.initialize(args)
    for path in sorted(Path(job["feeds"]).iterdir()):
        with np.load(path, allow_pickle=False) as file:
            feeds = {name: file[name] for name in file.files}
        answers = model.call(feeds)
        np.savez(Path(job["answers"]) / path.name, **{k: np.asarray(v) for k, v in answers.items()})


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
