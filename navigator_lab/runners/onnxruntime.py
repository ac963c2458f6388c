"""ONNX Runtime: runs ``onnx`` on the CPU, or on CUDA with inputs and outputs bound to the device.

What the runtime gives is handed on untouched; whether it is right is not judged here. It never
falls back: asked for CUDA, it runs there or says why not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError, NavigatorError
from navigator_lab.formats.onnx import FORMAT, graph, rounded
from navigator_lab.formats.onnx.reasons import explain
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Device, Opening, Precision, option, runner

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

    Arrays = dict[str, np.ndarray]

LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "layout": "ORT_ENABLE_LAYOUT",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disabled": "ORT_DISABLE_ALL",
}
PRECISIONS = (
    *("fp32", "tf32", "fp16", "bf16", "int8", "int8-dynamic", "fp8", "int8-weights"),
    "int4-weights",
)
# Of ONNX Runtime 1.31: it segfaults while loading valid fp16 graphs with recurrent operators.
CRASHING = ("FuseFp16InitializerToFp32NodeTransformer",)
# Of 1.31: where fp8 is rounded to, they drop the Relu or Clip before it, as for integers.
WRONG_IN_FP8 = ("ClipQuantRewrite", "ReluQuantRewrite")


@dataclass(frozen=True, slots=True)
class OrtOptions:
    """How ONNX Runtime opens a model."""

    optimization: str = option("all", "how far the graph is optimised", choices=tuple(LEVELS))
    threads: int = option(0, "threads within an operator; 0: one for each core")
    inter_threads: int = option(0, "threads between operators, when execution is parallel")
    execution: str = option(
        "sequential",
        "operators one after another, or in parallel branches",
        choices=("sequential", "parallel"),
    )
    exact_int8: bool = option(
        False,
        "on CPUs without VNNI, multiply 8-bit numbers without saturating: slower, and no option "
        "of Triton's backend, so the package then carries this runner",
    )
    exact_half: bool = option(
        False,
        "on CPUs, round fp16 after each operator, as a GPU does: ONNX Runtime leaves roundings out "
        "there. Slower; the package then carries this runner. bf16 is always computed so",
    )
    cuda_graph: bool = option(False, "replay the kernels as a CUDA graph; shapes must stay fixed")


def _refuses(precision: Precision, device: Device) -> str:
    if precision == "tf32" and device.kind == "cpu":
        return "TF32 is a mode of NVIDIA GPUs"
    return ""


@runner(
    "ort",
    FORMAT.name,
    devices=("cpu", "cuda"),
    precisions=PRECISIONS,
    refuses=_refuses,
    reference=True,
    family="ONNX Runtime",
    needs=("onnxruntime|onnxruntime-gpu",),
    device_needs={"cuda": ("onnxruntime-gpu",)},
    options=OrtOptions,
    explain=explain,
)
@contextmanager
def ort(model: Product, opening: Opening) -> Iterator[Any]:
    """ONNX Runtime on the CPU, or on CUDA with IO binding."""
    session = _session(model, opening)
    names = output_names(session)
    if opening.target.device.kind == "cuda":
        yield OnCuda(session, names, opening.target.device.index or 0)
    else:
        yield OnCpu(session, names)


def _session(model: Product, opening: Opening) -> onnxruntime.InferenceSession:
    options = opening.options or OrtOptions()
    asked, disabled = asked_of(opening, options)
    device = opening.target.device
    if device.kind == "cpu":
        return start(model, asked, disabled, file=_graph(model, opening))
    tf32 = opening.target.precision == "tf32" and not opening.reference
    settings = {
        "device_id": str(device.index or 0),
        "use_tf32": "1" if tf32 else "0",  # the runtime's own default is 1
        "enable_cuda_graph": "1" if options.cuda_graph else "0",
    }
    remedy = (
        "its log says which library is missing; CUDA 12 or 13 and cuDNN 9 must fit the wheel: "
        "pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )
    first = ("CUDAExecutionProvider", settings, "onnxruntime-gpu", remedy)
    return start(model, asked, disabled, first)


def asked_of(opening: Opening, options: OrtOptions) -> tuple[onnxruntime.SessionOptions, list[str]]:
    """A session's options, and the optimisers that it must do without."""
    import onnxruntime

    asked = onnxruntime.SessionOptions()
    level = "disabled" if opening.reference else options.optimization
    known = onnxruntime.GraphOptimizationLevel
    # Older releases know no level of its own for layouts.
    asked.graph_optimization_level = getattr(known, LEVELS[level], known.ORT_ENABLE_EXTENDED)
    asked.intra_op_num_threads = opening.threads or options.threads
    asked.inter_op_num_threads = options.inter_threads
    if options.execution == "parallel":
        asked.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    asked.log_severity_level = 3  # warnings of the optimiser say nothing about the result
    disabled = list(CRASHING)
    if opening.target.precision == "fp8":
        # Without this, 1.31 fuses fp8 pairs into kernels that only integers have.
        asked.add_session_config_entry("session.disable_quant_qdq", "1")
        disabled += WRONG_IN_FP8
    if options.exact_int8:
        asked.add_session_config_entry("session.x64quantprecision", "1")
    return asked, disabled


def start(
    model: Product,
    asked: onnxruntime.SessionOptions,
    disabled: list[str],
    first: tuple[str, dict[str, str], str, str] | None = None,
    others: Sequence[Any] = ("CPUExecutionProvider",),
    file: str | bytes = "",
) -> onnxruntime.InferenceSession:
    """A session on the CPU, or on ``first``: a provider, its settings, the distribution that has it,
    and what helps where it doesn't start. ``others`` take what it leaves. ``file`` is what is opened in the
    product's stead.

    Raises:
        NavigatorError: this runtime lacks the provider, or it would have run elsewhere.
    """
    import onnxruntime

    providers = list(others)
    if first is not None:
        provider, settings, distribution, remedy = first
        there = onnxruntime.get_available_providers()
        if provider not in there:
            raise NavigatorError(
                f"this onnxruntime has no {provider}; it has {', '.join(there)}",
                f"pip uninstall onnxruntime && pip install {distribution}",
            )
        # Without this, a library that can't be found only shows as a session on the CPU.
        if hasattr(onnxruntime, "preload_dlls") and distribution == "onnxruntime-gpu":
            onnxruntime.preload_dlls()
        providers = [(provider, settings), *others]
    session = onnxruntime.InferenceSession(
        file or str(model.path / FORMAT.filename),
        asked,
        providers=providers,
        disabled_optimizers=disabled,
    )
    if first is not None and provider not in session.get_providers():
        name = provider.removesuffix("ExecutionProvider")
        raise NavigatorError(
            f"ONNX Runtime could not start {name} and would have run without it", remedy
        )
    return session


def _graph(model: Product, opening: Opening) -> str | bytes:
    """The file, or the graph that a CPU computes in its stead."""
    path = model.path / FORMAT.filename
    precision = opening.target.precision
    exact = precision == "fp16" and getattr(opening.options, "exact_half", False)
    if opening.target.device.kind != "cpu" or not (exact or precision == "bf16"):
        return str(path)
    made: bytes = rounded.widened(graph.load(path)).SerializeToString()
    return made


def output_names(session: onnxruntime.InferenceSession) -> list[str]:
    """The names of its outputs; what is no tensor is refused."""
    for kind, found in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for one in found:
            if not one.type.startswith("tensor("):
                raise ModelError(
                    f"{kind} {one.name!r} of the graph is a {one.type}, not a tensor",
                    "sequences, maps and optionals can't be served: end the graph before that "
                    "operator (for scikit-learn's classifiers: convert with zipmap=False)",
                )
    return [o.name for o in session.get_outputs()]


class OnCpu:
    """A session that takes and gives numpy arrays."""

    def __init__(self, session: onnxruntime.InferenceSession, names: list[str]) -> None:
        self.session = session
        self.names = names
        self.odd = _odd(session)

    def put(self, feeds: Arrays) -> Any:
        if self.odd:
            return {name: _value(array) for name, array in feeds.items()}
        return feeds

    def run(self, bound: Any) -> Any:
        if self.odd:
            return self.session.run_with_ort_values(self.names, bound)
        return self.session.run(self.names, bound)

    def get(self, raw: Any) -> Arrays:
        if self.odd:
            raw = [_array(value) for value in raw]
        return dict(zip(self.names, raw, strict=True))


class OnCuda:
    """A session whose inputs and outputs stay on the device while it runs."""

    def __init__(self, session: onnxruntime.InferenceSession, names: list[str], index: int) -> None:
        self.session = session
        self.names = names
        self.index = index
        self.odd = _odd(session)  # these are read on the host

    def put(self, feeds: Arrays) -> Any:
        binding = self.session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, _value(array, "cuda", self.index))
        for name in self.names:
            where = ("cpu", 0) if name in self.odd else ("cuda", self.index)
            binding.bind_output(name, *where)
        binding.synchronize_inputs()
        return binding

    def run(self, bound: Any) -> Any:
        self.session.run_with_iobinding(bound)
        bound.synchronize_outputs()
        return bound

    def get(self, raw: Any) -> Arrays:
        found = [_array(value) for value in raw.get_outputs()]
        return dict(zip(self.names, found, strict=True))


def _odd(session: onnxruntime.InferenceSession) -> dict[str, str]:
    """The tensors whose type numpy lacks, with the name that ml_dtypes gives it."""
    known = {"tensor(bfloat16)": "bfloat16", "tensor(float8e4m3fn)": "float8_e4m3fn"}
    known |= {"tensor(float8e5m2)": "float8_e5m2"}
    every = (*session.get_inputs(), *session.get_outputs())
    return {one.name: known[one.type] for one in every if one.type in known}


def _value(array: np.ndarray, device: str = "cpu", index: int = 0) -> Any:
    """A numpy array as the runtime's own value, on the device where that is possible."""
    import numpy as np
    import onnxruntime

    array = np.ascontiguousarray(array) if array.ndim else array
    if array.dtype.kind == "V" or array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        import onnx

        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, kind)
    if array.dtype.kind in "OUS":
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array, device, index)


def _array(value: Any) -> np.ndarray:
    """The runtime's value as a numpy array of our own."""
    import ctypes

    import ml_dtypes
    import numpy as np

    kind = value.data_type()[len("tensor(") : -1]
    own = {"float8e4m3fn": "float8_e4m3fn", "float8e5m2": "float8_e5m2"}.get(kind, kind)
    if own not in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        made: np.ndarray = value.numpy()
        return made
    # The runtime gives no view of a type that numpy lacks; its bytes are on the host.
    held = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(held, dtype=getattr(ml_dtypes, own)).reshape(value.shape())
