"""Where a converted graph leaves its reference: both are run on samples, value by value.

Values are matched by their names, which conversions keep or lengthen; of what was fused away there
is none to compare. As much memory as all activations of one sample in both graphs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types import samples as stored
from navigator_lab.types.graph import EXACT_DB, Drift, LayerError
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, action, option

from . import graph, ranges, rounded
from .network import blocks_of, name_of
from .reasons import explain, summary
from .retype import types_of

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Arrays = dict[str, np.ndarray]

ACTION = "onnx-drift"
# What a value of the reference is called in a conversion of it; what is passed on before what is not.
_NAMES = ("{}_DequantizeLinear_Output", "{}/half", "{}", "{}_QuantizeLinear_Input")
_CLOSE_DB = 6.0


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """How long to look."""

    samples: int = option(4, "so many of the samples are run, spread over all of them")


@action(
    ACTION,
    needs=("onnx", "numpy", "ml_dtypes", "onnxruntime|onnxruntime-gpu"),
    options=DriftOptions,
    timeout_s=1800,
    explain=explain,
)
def drift(at: At, model: Product, reference: Product, samples: Product) -> Drift:
    """The error of every value of a graph, as the reference has it."""
    options = at.options or DriftOptions()
    exact = graph.plain(graph.load(reference.path / graph.FORMAT.filename))
    other = graph.plain(graph.load(model.path / graph.FORMAT.filename))
    pairs, unmatched = matched(exact, other)
    if not pairs:
        raise ModelError(
            "the two graphs have no value of the same name",
            "compare a graph with one that was made of it, as onnx:fp16 with onnx:fp32",
        )
    feeds = stored.read(samples.path)
    step = max(len(feeds) // max(options.samples, 1), 1)
    chosen = feeds[::step][: max(options.samples, 1)]
    sums = {name: _Sums() for name in pairs}
    # 16-bit values are rounded after each operator, as where there is such arithmetic.
    narrow = rounded.widened(other)
    running = opened(exact, list(pairs)), opened(narrow, sorted(set(pairs.values())))
    for i, one in enumerate(chosen):
        at.say(f"sample {i + 1} of {len(chosen)}", i / len(chosen))
        right, got = (answers(one_, one) for one_ in running)
        for name, twin in pairs.items():
            sums[name].add(right[name], got[twin])
    return told(exact, other, pairs, unmatched, sums, len(chosen))


def matched(exact: onnx.ModelProto, other: onnx.ModelProto) -> tuple[dict[str, str], list[str]]:
    """By value of the first graph its name in the second; and those that the second has not."""
    import onnx

    theirs = {name for node in other.graph.node for name in node.output}
    types = types_of(exact)
    pairs: dict[str, str] = {}
    missing = []
    for node in exact.graph.node:
        for name in node.output:
            if types.get(name) != onnx.TensorProto.FLOAT:
                continue
            twin = next((t for form in _NAMES if (t := form.format(name)) in theirs), None)
            if twin is None:
                missing.append(name)
            else:
                pairs[name] = twin
    return pairs, missing


def opened(model: onnx.ModelProto, wanted: Sequence[str]) -> Any:
    """The graph in ONNX Runtime, unoptimised, with these values as its outputs."""
    import onnx

    types = types_of(model)
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    del seen.graph.output[:]
    for name in wanted:
        kind = types.get(name, onnx.TensorProto.UNDEFINED)
        value = onnx.helper.make_tensor_value_info(name, kind, None)
        if kind == onnx.TensorProto.BFLOAT16:  # numpy has none: it is read as fp32
            cast = f"{name}/read"
            node = onnx.helper.make_node("Cast", [name], [cast], to=onnx.TensorProto.FLOAT)
            seen.graph.node.append(node)
            value = onnx.helper.make_tensor_value_info(cast, onnx.TensorProto.FLOAT, None)
        seen.graph.output.append(value)
    return ranges.session(seen)


def answers(running: Any, feeds: Arrays) -> Arrays:
    """All outputs of an opened graph, by the names of the values."""
    known = {i.name for i in running.get_inputs()}
    names = [o.name for o in running.get_outputs()]
    try:
        got = running.run(names, {k: v for k, v in feeds.items() if k in known})
    except Exception as error:  # the runtime's own classes share no root
        raise ranges.CannotRun(f"ONNX Runtime doesn't run the graph: {summary(error)}") from error
    return {name.removesuffix("/read"): a for name, a in zip(names, got, strict=True)}


class _Sums:
    """Signal and error of one value, over samples."""

    def __init__(self) -> None:
        self.signal = self.noise = self.worst = self.largest = 0.0

    def add(self, right: Any, got: Any) -> None:
        import numpy as np

        a, b = np.asarray(right, np.float64), np.asarray(got, np.float64)
        if a.shape != b.shape:
            self.noise = math.nan
            return
        if not a.size:
            return
        with np.errstate(all="ignore"):
            off = np.abs(b - a)
            self.signal += float(((a - a.mean()) ** 2).sum())
            self.noise += float((off**2).sum())
            self.worst = max(self.worst, float(off.max()))
            self.largest = max(self.largest, float(np.abs(a).max()))

    @property
    def db(self) -> float:
        if self.noise == 0:
            return EXACT_DB
        if not math.isfinite(self.noise) or not self.signal:
            return -EXACT_DB
        return max(-EXACT_DB, min(EXACT_DB, 10 * math.log10(self.signal / self.noise)))


def told(
    exact: onnx.ModelProto,
    other: onnx.ModelProto,
    pairs: Mapping[str, str],
    unmatched: Sequence[str],
    sums: Mapping[str, _Sums],
    samples: int,
) -> Drift:
    """What was summed, as layers in the order in which they run."""
    blocks, types = blocks_of(exact), types_of(other)
    reach = dict(_reached(exact, sums))
    layers = []
    for node in exact.graph.node:
        for name in node.output:
            if name not in pairs:
                continue
            one = sums[name]
            before = [reach[n] for n in node.input if n in reach]
            layers.append(
                LayerError(
                    node.name,
                    node.op_type,
                    name,
                    blocks[node.name],
                    name_of(types.get(pairs[name], 0)),
                    round(one.db, 2),
                    round(min(before), 2) if before else None,
                    _plain(one.worst),
                    _plain(one.largest),
                )
            )
    outputs = {o.name: round(sums[o.name].db, 2) for o in exact.graph.output if o.name in sums}
    worst = min(outputs.values(), default=min(one.sqnr_db for one in layers))
    start = next((i for i, one in enumerate(layers) if one.sqnr_db <= worst + _CLOSE_DB), None)
    return Drift(
        samples, tuple(layers), outputs, start if worst < EXACT_DB else None, tuple(unmatched)
    )


def _plain(value: float) -> float:
    """What JSON can hold of it."""
    return value if math.isfinite(value) else 1e308


def _reached(model: onnx.ModelProto, sums: Mapping[str, _Sums]) -> Iterator[tuple[str, float]]:
    """The signal in each value; of one that was not compared, the least of what it was made of."""
    known: dict[str, float] = {}
    for node in model.graph.node:
        before = [known[n] for n in node.input if n in known]
        for name in node.output:
            if name in sums:
                known[name] = sums[name].db
            elif before:
                known[name] = min(before)
            if name in known:
                yield name, known[name]
