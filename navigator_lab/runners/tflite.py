"""TFLite (LiteRT) on the CPU, with XNNPACK's kernels where they fit.

The interpreter fixes its sizes when it is opened and is sized anew when they change; axes that the
file fixes stay fixed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
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
    yield Interpreted(made, opening)


def _cores() -> int:
    found = getattr(os, "sched_getaffinity", None)
    return len(found(0)) if found else os.cpu_count() or 1


class Interpreted:
    """An interpreter that is sized as its inputs are."""

    def __init__(self, interpreter: Any, opening: Opening) -> None:
        self.interpreter = interpreter
        self.inputs, self.outputs = _tensors(interpreter)
        wanted = [spec.name for spec in opening.signature.outputs] or list(self.outputs)
        missing = [name for name in wanted if name not in self.outputs]
        if missing:
            raise ModelError(
                f"the TFLite file has no output {', '.join(missing)}; it has "
                + ", ".join(self.outputs)
            )
        self.outputs = {name: self.outputs[name] for name in wanted}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def put(self, feeds: Arrays) -> Any:
        shapes = {name: array.shape for name, array in feeds.items()}
        if shapes != self.shapes:
            self.shapes = {}  # if it refuses, the next call sizes it again
            for name, array in feeds.items():
                self.interpreter.resize_tensor_input(self.inputs[name], array.shape, strict=True)
            self.interpreter.allocate_tensors()
            self.shapes = shapes
        for name, array in feeds.items():
            self.interpreter.set_tensor(self.inputs[name], array)
        return self.interpreter

    def run(self, bound: Any) -> Any:
        bound.invoke()
        return bound

    def get(self, raw: Any) -> Arrays:
        return {name: raw.get_tensor(index) for name, index in self.outputs.items()}


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
