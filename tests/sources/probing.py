"""What the tests of this folder share: a model and samples through capture, take and the probe."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navigator_lab.sources import Captured, capture
from navigator_lab.sources.samples import Taken, take
from navigator_lab.stages.probe import probe
from navigator_lab.types import samples as stored
from navigator_lab.types.codec import encode
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At
from navigator_lab.types.signature import Signature
from navigator_lab.types.target import Target

RUNNERS = {
    "torch": ("torch_eager", "eager"),
    "torchscript": ("torchscript", "jit"),
    "torch-export": ("torch_export", "export"),
    "onnx": ("onnxruntime", "ort"),
    "python": ("python", "python"),
}


@dataclass
class Probed:
    captured: Captured
    taken: Taken
    signature: Signature
    samples: list[dict[str, Any]]

    def input(self, name: str) -> tuple[int | str, ...]:
        return next(s.shape for s in self.signature.inputs if s.name == name)

    def output(self, name: str) -> tuple[int | str, ...]:
        return next(s.shape for s in self.signature.outputs if s.name == name)


def probed(model: Any, samples: Any, folder: Path, *, trust: bool = False, **wishes: Any) -> Probed:
    """The whole way in, as the session goes it, but in this process."""
    captured = capture(model, trust=trust)
    taken = take(samples, captured, **wishes)
    places = [folder / name for name in ("model", "raw", "out")]
    for place in places:
        place.mkdir(parents=True)
    captured.write(places[0])
    taken.write(places[1])
    module, name = RUNNERS[captured.variant.format]
    runner = getattr(importlib.import_module(f"navigator_lab.runners.{module}"), name)
    about = Target(captured.variant.format, captured.variant.precision, name)
    at = At(places[2], about, None, {}, {name: runner})
    signature = probe.fn(
        at,
        Product(captured.fingerprint, places[0]),
        Product(taken.fingerprint, places[1], encode(taken.value)),
    )
    # As the store gives it back: what has no JSON form would fail here.
    signature = Product("", places[2], encode(signature)).read(Signature)
    return Probed(captured, taken, signature, stored.read(places[2]))
