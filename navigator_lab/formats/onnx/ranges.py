"""How large the values of a graph become on the samples, and which nodes a narrow type can't hold.

The fp32 graph is run on every sample, unoptimised, with all that its nodes give as outputs: as much
memory as all activations of one sample take. Bodies of loops and branches are not looked into.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import SamplesError

from .reasons import summary

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Arrays = dict[str, np.ndarray]

NAMED = 8  # so many nodes are named in a note; the product's value has all


@dataclass(frozen=True, slots=True)
class Range:
    """Of one tensor over all samples. ``odd`` counts NaN and Inf, which enter no other number."""

    lowest: float = math.inf
    highest: float = -math.inf
    odd: int = 0

    @property
    def largest(self) -> float:
        """The largest size of a value; 0 where there is none."""
        return max(abs(self.lowest), abs(self.highest)) if self.highest >= self.lowest else 0.0

    def with_values(self, array: np.ndarray) -> Range:
        """This range, widened by the values of an array."""
        import numpy as np

        if not array.size:
            return self
        low, high = float(array.min()), float(array.max())
        odd = 0
        if not (math.isfinite(low) and math.isfinite(high)):
            fine = array[np.isfinite(array)]
            odd = array.size - fine.size
            if not fine.size:
                return Range(self.lowest, self.highest, self.odd + odd)
            low, high = float(fine.min()), float(fine.max())
        return Range(min(self.lowest, low), max(self.highest, high), self.odd + odd)


class CannotRun(RuntimeError):
    """ONNX Runtime doesn't run the graph as it is, so nothing is known of its values."""


def finite(feeds: Sequence[Arrays]) -> None:
    """Refuse samples that would make every range meaningless.

    Raises:
        SamplesError: the sample, the input and the first place that is NaN or Inf.
    """
    import numpy as np

    for i, one in enumerate(feeds):
        for name, array in one.items():
            if array.dtype.kind != "f":
                continue
            wrong = np.argwhere(~np.isfinite(array))
            if len(wrong):
                at = tuple(int(n) for n in wrong[0])
                raise SamplesError(
                    f"calibration needs finite samples: input {name!r} of sample {i} holds "
                    f"{array[at]} at index {at} ({len(wrong)} of {array.size} values are NaN or Inf)",
                    "leave that sample out, or mend it where it comes from",
                )


def session(model: onnx.ModelProto, *, optimise: bool = False) -> Any:
    """The graph in ONNX Runtime on the CPU, every node as it is written unless it is optimised.

    Raises:
        CannotRun: it doesn't open, with what it says.
    """
    import tempfile
    from pathlib import Path

    import onnxruntime

    from . import graph

    asked = onnxruntime.SessionOptions()
    if not optimise:
        asked.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    asked.log_severity_level = 3
    try:
        if graph.weight_bytes(model) < graph.EXTERNAL_FROM_BYTES:
            text = model.SerializeToString()
            return onnxruntime.InferenceSession(text, asked, providers=["CPUExecutionProvider"])
        with tempfile.TemporaryDirectory() as folder:
            path = graph.save(model, Path(folder))
            return onnxruntime.InferenceSession(path, asked, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own classes share no root
        raise CannotRun(f"ONNX Runtime doesn't open the graph: {summary(error)}") from error


def measured(model: onnx.ModelProto, feeds: Sequence[Arrays]) -> dict[str, Range]:
    """The range of every fp32 value of the main graph, by name: inputs and what nodes give.

    Raises:
        CannotRun: ONNX Runtime doesn't run it.
    """
    import onnx

    from .retype import types_of

    types = types_of(model)
    wanted = [
        name
        for node in model.graph.node
        for name in node.output
        if name and types.get(name) == onnx.TensorProto.FLOAT
    ]
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    have = {o.name for o in seen.graph.output}
    for name in wanted:
        if name not in have:
            seen.graph.output.append(
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            )
    running = session(seen)
    known = {i.name for i in running.get_inputs()}
    found: dict[str, Range] = {}
    for one in feeds:
        fed = {name: array for name, array in one.items() if name in known}
        try:
            answers = running.run(wanted, fed)
        except Exception as error:  # as above
            raise CannotRun(f"ONNX Runtime doesn't run the graph: {summary(error)}") from error
        floats = [(name, array) for name, array in fed.items() if array.dtype.name == "float32"]
        for name, array in (*zip(wanted, answers, strict=True), *floats):
            found[name] = found.get(name, Range()).with_values(array)
    return found


def weights(model: onnx.ModelProto) -> dict[str, Range]:
    """The range of every fp32 weight of the main graph."""
    import onnx

    return {
        tensor.name: Range().with_values(onnx.numpy_helper.to_array(tensor))
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }


def outside(
    model: onnx.ModelProto,
    found: Mapping[str, Range],
    largest: float,
    smallest: float,
    headroom: float = 1.0,
) -> dict[str, float]:
    """The nodes that take or give what leaves ``largest``, or give nothing above ``smallest``, each
    with the size of that value. Values, other than weights, may become ``headroom`` times larger."""
    fixed = {name: one.largest for name, one in weights(model).items()}
    moving = {name: one.largest for name, one in found.items()}
    made: dict[str, float] = {}
    for node in _nodes(model.graph):
        names = (*node.input, *node.output)
        beyond = [fixed[n] for n in names if fixed.get(n, 0.0) > largest]
        beyond += [moving[n] for n in names if moving.get(n, 0.0) * headroom > largest]
        given = max((moving.get(name, 0.0) for name in node.output), default=0.0)
        if beyond or 0 < given < smallest:
            made[node.name] = max(beyond, default=given)
    return made


def _nodes(body: Any) -> Iterable[Any]:
    for node in body.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def listed(found: Mapping[str, float] | Iterable[str]) -> str:
    """Names for a note, with their values where there are any; not all of many."""
    every = list(found)
    shown = [
        f"{name} ({found[name]:.3g})" if isinstance(found, Mapping) else name
        for name in every[:NAMED]
    ]
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(shown) + more
