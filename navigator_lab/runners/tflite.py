"""TFLite (LiteRT) on the CPU, with XNNPACK's kernels where they fit.

The interpreter fixes its sizes when it is opened and is sized anew when they change; axes that the
file fixes stay fixed. Where that is a batch of one in a model that takes batches (a loop in it needs
its batch as a number), the rows of a batch are run one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.formats._tensorflow import keys
from navigator_lab.formats.tflite import FORMAT
from navigator_lab.types.plugin import Opening, option, runner

if TYPE_CHECKING:
    import numpy as np

    from navigator_lab.types.outcome import Product

    Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class LiteOptions:
    """How the interpreter opens a file."""

    threads: int = option(0, "threads for inference; 0: one for each core")
    xnnpack: bool = option(True, "use XNNPACK's kernels; False: the interpreter's plain ones")


@runner(
    "tflite",
    FORMAT.name,
    precisions=("fp32", "fp16", "int8", "int8-dynamic"),
    reference=True,
    family="TensorFlow Lite",
    needs=("ai-edge-litert",),
    options=LiteOptions,
)
@contextmanager
def tflite(model: Product, opening: Opening) -> Iterator[Interpreted]:
    """LiteRT's interpreter on the CPU."""
    from ai_edge_litert import interpreter as litert

    options = opening.options or LiteOptions()
    plain = opening.reference or not options.xnnpack
    kinds = litert.OpResolverType
    made = litert.Interpreter(
        model_path=str(model.path / FORMAT.filename),
        num_threads=opening.threads or options.threads or _cores(),
        experimental_op_resolver_type=kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        if plain
        else kinds.AUTO,
    )
    yield Interpreted(made, opening, keys(model.path))


def _cores() -> int:
    found = getattr(os, "sched_getaffinity", None)
    return len(found(0)) if found else os.cpu_count() or 1


class Interpreted:
    """An interpreter that is sized as its inputs are."""

    def __init__(self, interpreter: Any, opening: Opening, keys: dict[str, str]) -> None:
        self.interpreter = interpreter
        inputs, self.outputs = _tensors(interpreter)
        self.inputs = {
            s.name: inputs[key]
            for s in opening.signature.inputs
            if (key := keys.get(s.name, s.name)) in inputs
        }
        wanted = [spec.name for spec in opening.signature.outputs] or list(self.outputs)
        missing = [name for name in wanted if name not in self.outputs]
        if missing:
            raise ModelError(
                f"the TFLite file has no output {', '.join(missing)}; it has "
                + ", ".join(self.outputs)
            )
        self.outputs = {name: self.outputs[name] for name in wanted}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.by_rows = opening.signature.batch_first and _takes_one(interpreter)

    def put(self, feeds: Arrays) -> list[Arrays]:
        count = len(next(iter(feeds.values())))
        if self.by_rows and count != 1:
            return [{name: a[i : i + 1] for name, a in feeds.items()} for i in range(count)]
        self._take(feeds)
        return [feeds]

    def run(self, bound: list[Arrays]) -> list[Arrays]:
        if len(bound) == 1:  # it is in the interpreter already, and its answer stays there
            self.interpreter.invoke()
            return []
        made = []
        for feeds in bound:
            self._take(feeds)
            self.interpreter.invoke()
            made.append(self._answer())
        return made

    def get(self, raw: list[Arrays]) -> Arrays:
        import numpy as np

        rows = raw or [self._answer()]
        if len(rows) == 1:
            return rows[0]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _take(self, feeds: Arrays) -> None:
        shapes = {name: array.shape for name, array in feeds.items()}
        if shapes != self.shapes:
            self.shapes = {}  # if it refuses, the next call sizes it again
            for name, array in feeds.items():
                self.interpreter.resize_tensor_input(self.inputs[name], array.shape, strict=True)
            self.interpreter.allocate_tensors()
            self.shapes = shapes
        for name, array in feeds.items():
            self.interpreter.set_tensor(self.inputs[name], array)

    def _answer(self) -> Arrays:
        return {name: self.interpreter.get_tensor(index) for name, index in self.outputs.items()}


def _takes_one(interpreter: Any) -> bool:
    """Does the file fix the first axis of all inputs at one?"""
    shapes = [one["shape_signature"] for one in interpreter.get_input_details()]
    return all(len(shape) > 0 and shape[0] == 1 for shape in shapes)


def _tensors(interpreter: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Inputs and outputs by name: of the first signature, or of the graph where it has none."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    signatures = interpreter.get_signature_list()
    if not signatures:
        return {d["name"]: d["index"] for d in inputs}, {d["name"]: d["index"] for d in outputs}
    runner = interpreter.get_signature_runner(next(iter(signatures)))
    return (
        {name: one["index"] for name, one in runner.get_input_details().items()},
        {name: one["index"] for name, one in runner.get_output_details().items()},
    )
