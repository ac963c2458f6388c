"""The plug-in that CONTRIBUTING shows, run as it stands there; and the contracts, on the toy."""

import re
from pathlib import Path

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab import testing
from navigator_lab.types.signature import Axis, Signature, TensorSpec
from navigator_lab.types.target import Precision, Variant

ROOT = Path(__file__).parents[2]


def test_the_format_of_contributing_goes_the_whole_way(tmp_path):
    import torch

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    (tmp_path / "ort_file.py").write_text(code)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    with nav.explore(
        model.eval(),
        torch.randn(6, 8),
        workspace=tmp_path / "w",
        plugins=[tmp_path / "ort_file.py"],
    ) as lab:
        results = lab.run(formats=["ort-file"], seconds=0.05, max_batch=2)
        row = results["ort-file:fp32@ort-file-cpu"]
        assert (row.status, row.passed) == ("done", True), row.reason
        assert [Path(f).name for f in row.files] == ["model.ort"]
        folder = lab.choose("throughput").package(tmp_path / "repository", name="flat")
        assert 'backend: "python"' in (folder / "config.pbtxt").read_text()


def test_scikit_learn_comes_to_onnx_by_one_file(tmp_path):
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    given = {"workspace": tmp_path, "plugins": [ROOT / "docs/plugins/sklearn_onnx.py"]}
    with nav.explore(model.predict_proba, x[::10], **given) as lab:
        target = "onnx:fp32@ort-cpu"
        row = lab.run(targets=[target], until="correctness", progress=False)[target]
        assert row.passed, row.reason
        step = next(s for s in lab[target].steps if s.label.startswith("infer "))
        with np.load(step.outcome.product.path / "outputs.npz") as file:
            got = np.concatenate([file[f"{i}/output"] for i in range(len(x[::10]))])
        np.testing.assert_allclose(got, model.predict_proba(x[::10]), atol=1e-5)
    with nav.explore(lambda x: x * 2, x[:4], **given) as lab:
        row = lab.run(targets=[target], until="correctness", progress=False)[target]
        assert "no method of a scikit-learn estimator" in row.reason


@pytest.fixture
def signature():
    return Signature(
        (TensorSpec("x", "float32", ("batch", 4)),),
        (TensorSpec("output", "float32", ("batch", 3)),),
        (Axis("batch", 1, 2, 8),),
    )


@pytest.fixture
def samples(tmp_path, signature):
    feeds = [{"x": np.full((1, 4), i, np.float32)} for i in range(3)]
    return testing.samples_product(tmp_path / "samples", feeds, signature)


class TestToyEdge(testing.EdgeContract):
    plugins = ("navigator_lab.testing",)

    @pytest.fixture
    def edge(self):
        return testing.build

    @pytest.fixture
    def source_model(self, tmp_path):
        import cloudpickle

        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "callable.pkl").write_bytes(cloudpickle.dumps(testing.Affine()))
        return testing.product(folder)

    @pytest.fixture
    def source_samples(self, samples):
        return samples


class TestToyRunner(testing.RunnerContract):
    @pytest.fixture
    def runner(self):
        return testing.toy

    @pytest.fixture
    def variant(self):
        return Variant("toy", Precision.FP32)

    @pytest.fixture
    def model(self, tmp_path):
        folder = tmp_path / "built"
        folder.mkdir()
        affine = testing.Affine()
        np.savez(folder / "toy.npz", weight=affine.weight, bias=affine.bias)
        return testing.product(folder)
