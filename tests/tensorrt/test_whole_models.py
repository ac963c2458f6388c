"""DenseNet-121 and a transformer encoder as engines in every precision, built and packaged with no GPU."""

from __future__ import annotations

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.runners import _cuda
from navigator_lab.triton.config import parse

pytest.importorskip("tensorrt_rtx")
pytest.importorskip("polygraphy")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_cuda.present(), reason="there is a GPU here: they would run"),
]


def densenet():
    torchvision = pytest.importorskip("torchvision")
    x = np.random.default_rng(0).standard_normal((4, 3, 224, 224)).astype(np.float32)
    return torchvision.models.densenet121(weights=None).eval(), {"x": x}


def encoder():
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(100, 64)
            layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, norm_first=True)
            self.layers = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
            self.head = torch.nn.Linear(64, 5)

        def forward(self, ids):
            return self.head(self.layers(self.embed(ids)).mean(1))

    rng = np.random.default_rng(0)
    return Encoder().eval(), [{"ids": rng.integers(0, 100, (1, n))} for n in (8, 12, 16, 8)]


@pytest.mark.parametrize("make", [densenet, encoder])
def test_every_precision_is_built_and_packaged(make, tmp_path):
    import torch

    torch.manual_seed(0)
    model, samples = make()
    with nav.explore(model, samples, name="whole", workspace=tmp_path / "w") as lab:
        rows = lab.run(formats=["tensorrt-rtx"]).to_dicts()
        built = {r["precision"]: r for r in rows}
        assert set(built) == {"fp32", "tf32", "fp16", "bf16", "int8", "fp8"}
        for row in built.values():
            assert row["reason"].startswith("built for sm_"), row
            folder = lab.package(row["target"], tmp_path / row["precision"])
            parse((folder / "config.pbtxt").read_text())
            assert (folder / "1" / "artefact" / "model.plan").is_file()
