"""torchao's linear layers: what is quantised, saved and reloaded, and what is refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_made import RUNNERS

from navigator_lab.catalog import Catalog
from navigator_lab.formats import torch_ao, torch_module
from navigator_lab.formats._torch import CannotBuild
from navigator_lab.types import samples as stored
from navigator_lab.types.codec import encode
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, Gpu, Host, Opening
from navigator_lab.types.signature import Axis, Signature, TensorSpec
from navigator_lab.types.target import Target, Variant


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 8, 3, padding=1)
        self.wide = nn.Linear(128, 256)
        self.head = nn.Linear(256, 5)

    def forward(self, x):
        return self.head(torch.relu(self.wide(self.conv(x).flatten(1))))


@pytest.fixture
def made(tmp_path):
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 4, 16)),),
        (TensorSpec("y", "float32", ("batch", 5)),),
        (Axis("batch", 1, 2, 8),),
        {"args": [{"input": "x"}], "kwargs": {}},
    )
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.standard_normal((2, 4, 16)).astype(np.float32)} for _ in range(3)]
    for name in ("source", "samples"):
        (tmp_path / name).mkdir()
    torch_module.save(Net().eval(), tmp_path / "source/model.pt")
    stored.write(tmp_path / "samples", feeds)
    return tmp_path, signature, feeds


def build(made, precision, edge=torch_ao.to_int8, module=None, **options):
    folder, signature, _ = made
    out = folder / f"{precision}{len(list(folder.iterdir()))}"
    out.mkdir()
    if module is not None:
        torch_module.save(module.eval(), folder / "source/model.pt")
    chosen = edge.action.options(**options)
    at = At(out, Variant.parse(f"torch:{precision}"), chosen, {}, {})
    samples = Product("s", folder / "samples", encode(signature))
    value = edge.action.fn(at, Product("m", folder / "source"), samples)
    return Product("q", out, encode(value)), value


def run(made, product, target):
    _, signature, feeds = made
    target = Target.parse(target)
    with RUNNERS[target.runner].action.fn(product, Opening(target, signature)) as running:
        return [running.get(running.run(running.put(one)))["y"] for one in feeds]


@pytest.mark.parametrize("precision", ["int8-dynamic", "int8-weights"])
def test_linear_layers_are_quantised_saved_and_run(made, precision):
    product, value = build(made, precision)
    assert value.layers == 2
    assert "1 other layers with weights stay" in value.notes[0]
    right = np.concatenate(run(made, Product("m", made[0] / "source"), "torch:fp32@eager-cpu"))
    got = np.concatenate(run(made, product, f"torch:{precision}@eager-cpu"))
    assert 0 < np.abs(got - right).max() < 0.05 * np.abs(right).max()
    size = (product.path / "model.pt").stat().st_size
    assert size < 0.5 * (made[0] / "source/model.pt").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8-dynamic", "int8-weights"])
@pytest.mark.filterwarnings("ignore:.*_stable_hash_for_caching:UserWarning")  # torchao 0.18's own
def test_compiled_gives_the_same(made, precision):
    product, _ = build(made, precision)
    eager = np.concatenate(run(made, product, f"torch:{precision}@eager-cpu"))
    compiled = np.concatenate(run(made, product, f"torch:{precision}@compile-cpu"))
    assert np.allclose(compiled, eager, atol=1e-4)


def test_layers_stay_by_name_and_by_size(made):
    _, value = build(made, "int8-weights", keep_nodes="head")
    assert value.layers == 1
    _, value = build(made, "int8-weights", smallest=2000)
    assert value.layers == 1
    with pytest.raises(CannotBuild, match=r"keep_nodes names absent, .* they are wide, head"):
        build(made, "int8-weights", keep_nodes="absent")
    with pytest.raises(CannotBuild, match="this module has none that may be"):
        build(made, "int8-weights", module=nn.Sequential(nn.Conv1d(4, 8, 3)))


def test_fp8_says_which_device_it_needs():
    catalog = Catalog.installed()
    source = Variant.parse("torch:fp32")

    def why(*gpus):
        host = Host("a CPU", 2, 8 << 30, gpus=gpus)
        found = catalog.targets(source, host, lambda name, action: "1")
        return {str(target): reason for target, _, reason in found}

    nothing = why()
    assert nothing["torch:fp8@eager-cpu"].reason == "torch multiplies fp8 on GPUs only"
    old = why(Gpu(0, "A100", 80 << 30, "8.0", "580"))["torch:fp8@eager-cuda:0"]
    assert "compute capability 8.9 or newer; this machine has A100 (8.0)" in old.reason
    new = why(Gpu(0, "H100", 80 << 30, "9.0", "580"))
    assert new["torch:fp8@eager-cuda:0"] is None
    assert new["torch:fp8@compile-cuda:0"] is None
    assert nothing["torch:int8-dynamic@eager-cpu"] is None
