"""OpenVINO: runs ``openvino`` on the CPU, in exactly the precision that was asked.

Left alone it computes in bf16 wherever the CPU can, so the precision is always said; what this
CPU can't compute in is refused, never replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError, NavigatorError
from navigator_lab.formats.onnx.reasons import explain
from navigator_lab.formats.openvino import FORMAT
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Opening, option, runner

if TYPE_CHECKING:
    import numpy as np
    import openvino

    Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class OvOptions:
    """How OpenVINO opens a model."""

    threads: int = option(0, "threads for inference; 0: the runtime's choice")
    hint: str = option("LATENCY", "what it is tuned for", choices=("LATENCY", "THROUGHPUT"))


@runner(
    "ov",
    FORMAT.name,
    precisions=("fp32", "fp16", "bf16", "int8"),
    family="OpenVINO",
    needs=("openvino",),
    options=OvOptions,
    explain=explain,
)
@contextmanager
def ov(model: Product, opening: Opening) -> Iterator[Any]:
    """OpenVINO on the CPU, in the precision that was asked."""
    import openvino

    options = opening.options or OvOptions()
    core = openvino.Core()
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision_hint(core, opening),
        "PERFORMANCE_HINT": options.hint,
    }
    if opening.reference:
        settings["EXECUTION_MODE_HINT"] = "ACCURACY"
    threads = opening.threads or options.threads
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(str(model.path / FORMAT.filename), "CPU", settings)
    yield Compiled(compiled, opening)


def precision_hint(core: openvino.Core, opening: Opening) -> str:
    """What to compute in.

    Raises:
        NavigatorError: this CPU has no bf16.
    """
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precision = opening.target.precision
    if opening.reference or precision in ("fp32", "int8"):
        return "f32"  # of int8 models: what lies between the quantised operators
    if precision == "bf16":
        if "BF16" not in able:
            raise NavigatorError(
                f"this CPU does not compute in bf16: OpenVINO's capabilities are {', '.join(able)}",
                "it takes AVX512-BF16 or AMX (Intel from Cooper Lake or Sapphire Rapids on, AMD "
                "from Zen 4 on); use fp32 or int8 here",
            )
        return "bf16"
    # Weights are fp16 in the file; where the CPU has no fp16 arithmetic they are widened.
    return "f16" if "FP16" in able else "f32"


class Compiled:
    """A compiled model with one request; every answer is copied out, as its buffers are reused."""

    def __init__(self, compiled: openvino.CompiledModel, opening: Opening) -> None:
        self.compiled = compiled
        self.request = compiled.create_infer_request()
        wanted = [spec.name for spec in opening.signature.outputs]
        self.outputs = _ports(compiled.outputs, wanted)
        self.inputs = _ports(compiled.inputs, [spec.name for spec in opening.signature.inputs])

    def put(self, feeds: Arrays) -> Any:
        import numpy as np

        return {
            self.inputs[name]: np.ascontiguousarray(array) if array.ndim else array
            for name, array in feeds.items()
            if name in self.inputs
        }

    def run(self, bound: Any) -> Any:
        return self.request.infer(bound, share_inputs=True, share_outputs=True)

    def get(self, raw: Any) -> Arrays:
        return {name: raw[index].copy() for name, index in self.outputs.items()}


def _ports(ports: Any, wanted: list[str]) -> dict[str, int]:
    """Position of each port by name: the wanted one, or the port's own where none is known."""
    if not wanted:
        return {port.get_any_name(): i for i, port in enumerate(ports)}
    every = {name: i for i, port in enumerate(ports) for name in port.get_names()}
    missing = [name for name in wanted if name not in every]
    if missing:
        raise ModelError(
            f"OpenVINO's model has no tensor {', '.join(missing)}; it has {', '.join(every)}"
        )
    return {name: every[name] for name in wanted}
