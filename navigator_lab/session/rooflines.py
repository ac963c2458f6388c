"""The roofline of a session: a device's peaks and the model's work, settled like any other step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import RequestError
from ..formats.onnx.work import WorkOptions
from ..plan import builds
from ..stages.peaks import PeaksOptions
from ..types.measure import Peaks, Roofline, Work
from ..types.step import Step
from ..types.target import Device, Precision, Variant
from ..views import roofline as view
from .packaging import settled

if TYPE_CHECKING:
    from .studied import Studied

GRAPH = Variant("onnx", Precision.FP32)


def roofline(session: Studied, device: str = "") -> view.Info:
    """Settle what the roofline of each device takes, keep it with the run, and show it.

    Raises:
        RequestError: nothing was profiled on that device.
        PackageError: a step failed.
    """
    timed = [row for row in session.results if row.batches and (device in ("", row.device))]
    if not timed:
        raise RequestError(
            f"nothing was profiled{f' on {device}' if device else ''}",
            "lab.run(...) first; the devices are " + ", ".join({r.device for r in session.results}),
        )
    batches = tuple(sorted({b["batch"] for row in timed for b in row.batches}))
    work = settled(session.engine, _work(session, batches)).read(Work)
    made = []
    for name in sorted({row.device for row in timed}):
        about = replace(session.source.reference, device=Device.parse(name))
        step = Step("peaks", about, PeaksOptions(), label=f"peaks {name}")
        made.append(Roofline(name, settled(session.engine, step).read(Peaks), work))
    others = [r for r in session.run_data.rooflines if r.device not in {m.device for m in made}]
    session.run_data = replace(session.run_data, rooflines=(*others, *made))
    session._save()
    return view.info(session)


def _work(session: Studied, batches: tuple[int, ...]) -> Step:
    """The step that counts the work, on the graph that the model's ONNX targets come from."""
    source = session.source
    engine = session.engine
    way = session.catalog.ways(source.variant, engine.host, engine.version).get(GRAPH)
    if way is None or way.unavailable:
        why = way.unavailable.reason if way and way.unavailable else "no edge leads there"
        raise RequestError(f"this model has no ONNX graph whose work could be counted: {why}")
    built = builds(session.catalog, source, way, {})
    inputs = (("model", built[-1] if built else source.model), ("samples", source.samples))
    return Step("onnx-work", GRAPH, WorkOptions(batches), inputs, label=f"onnx-work {GRAPH}")
