"""The roofline of a session: peaks measured here, work counted on the ONNX graph."""

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.errors import RequestError
from navigator_lab.testing import Affine
from navigator_lab.types.event import Started

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    """A convolution of 2·8·3·9·64 FLOP and a product of 2·512·10 a sample."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.head = torch.nn.Linear(512, 10)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).flatten(1))


FLOP = 2 * 8 * 27 * 64 + 2 * 512 * 10


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    torch.manual_seed(0)
    samples = [torch.randn(1, 3, 8, 8) for _ in range(4)]
    with nav.explore(Net(), samples, workspace=tmp_path_factory.mktemp("roof")) as lab:
        lab.run(
            targets=["torch:fp32@eager-cpu", "onnx:fp32@ort-cpu", "onnx:int8@ort-cpu"],
            batches=[1, 4],
            seconds=0.02,
        )
        yield lab


def test_work_and_peaks_bound_what_was_measured(lab, tmp_path):
    found = lab.roofline()
    work = found.devices[0].work
    assert work.batches == (1, 4)
    assert work.flop == (FLOP, 4 * FLOP)
    assert work.outside_bytes == (4 * (192 + 10), 16 * (192 + 10))
    # The graph's own constants (the shape of the flattening) count too.
    assert 0 <= work.weight_bytes - 4 * sum(p.numel() for p in Net().parameters()) <= 64
    assert not work.unknown
    shares = {(p.target, p.batch): p.share for p in found.points}
    assert 0 < shares["onnx:fp32@ort-cpu", 4] < 1
    assert shares["onnx:int8@ort-cpu", 1] is None
    assert "no rate for int8" in repr(found)
    assert "onnx:int8@ort-cpu" in found._repr_html_()
    assert nav.views.roofline.draw(found).data
    # it is kept with the run, and nothing of it runs again
    said = repr(found)
    again = nav.load(lab.save(tmp_path / "a.nav"))
    assert repr(nav.views.roofline.info(again)) == said
    heard = []
    lab.listeners.append(heard.append)
    assert repr(lab.roofline("cpu")) == said
    assert heard
    assert not [event for event in heard if isinstance(event, Started)]


def test_what_can_not_be_had_is_said(lab, tmp_path):
    with pytest.raises(RequestError, match="nothing was profiled on cuda:0"):
        lab.roofline("cuda:0")
    samples = [{"x": np.ones((1, 4), "float32") * i} for i in (1, 2)]
    with nav.explore(
        Affine(), samples, workspace=tmp_path / "w", plugins=["navigator_lab.testing"]
    ) as toy:
        with pytest.raises(RequestError, match="nothing was profiled"):
            toy.roofline()
        with pytest.raises(RequestError, match="no roofline was measured"):
            nav.views.roofline.info(toy)
        toy.run(formats=["toy"], seconds=0.01)
        with pytest.raises(RequestError, match="has no ONNX graph"):
            toy.roofline()
