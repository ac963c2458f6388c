"""Which Triton backend serves a target as it lies, and what it must be told to compute the same.

The rules are those of the backends' own loaders (pytorch, onnxruntime, openvino), read from their
sources; what they would refuse is found here first, and the Python backend takes over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import PackageError
from ..types.outcome import Product
from ..types.plugin import Format
from ..types.signature import Signature, TensorSpec
from ..types.target import Precision, Target
from .accelerators import accelerate, unsaid
from .artefact import Port, Ports, ports

DEFAULT_FILES = {
    "onnxruntime": "model.onnx",
    "openvino": "model.xml",
    "pytorch": "model.pt",
    "python": "model.py",
    "tensorrt": "model.plan",
    "tensorflow": "model.savedmodel",
}
PLATFORMS = {
    "onnxruntime": "onnxruntime_onnx",
    "pytorch": "pytorch_libtorch",
    "tensorrt": "tensorrt_plan",
    "tensorflow": "tensorflow_savedmodel",
}
_ORT_LEVELS = {"basic": -1, "extended": 1, "disabled": 2}  # 0, the default, is all
_NO_SCALARS = ("pytorch", "openvino")
_FLOATS_OF_TORCH = ("float16", "float32", "float64")
_INTS_OF_TORCH = ("bool", "uint8", "int8", "int16", "int32", "int64")


@dataclass(frozen=True, slots=True)
class Fit:
    """How a target is served. ``asked`` says why it is the Python backend, if it needn't be."""

    backend: str
    filename: str = ""  # only where the backend wouldn't look for it by itself
    ports: Ports | None = None  # what the file says of itself
    names: dict[str, str] = field(default_factory=dict)  # the signature's name -> the server's
    asked: str = ""
    no_batching: str = ""  # why the backend had better not gather requests
    largest: int | None = None  # batch that the file was built for, where that is less than asked
    profiles: tuple[str, ...] = ()  # of an engine, where it has several
    notes: tuple[str, ...] = ()


def fit(target: Target, format: Format, model: Product, signature: Signature) -> Fit:
    """The backend for a target: its format's, or ``python`` with the reason."""
    if format.triton is None:
        return _engine(Fit("python", asked=format.unserved), model)
    backend, filename = format.triton.backend, format.triton.filename
    scalar = [s.name for s in (*signature.inputs, *signature.outputs) if s.shape == ()]
    if scalar and backend in _NO_SCALARS:
        return _refused(backend, f"it takes no tensors without axes ({', '.join(scalar)})")
    shown = filename if filename != DEFAULT_FILES.get(backend) else ""
    if backend == "tensorrt" and isinstance(model.value, dict):
        if model.value.get("weights") == "stripped":
            found = _refused(backend, "its weights are not in the file, and it puts none in")
            return _engine(found, model)
        return _engine(Fit(backend, shown), model)
    if backend not in ("onnxruntime", "openvino", "pytorch"):
        return Fit(backend, shown)
    if backend == "onnxruntime" and (said := _not_there(target)):
        return _refused(backend, said)
    found = ports(backend, model.path / format.filename)
    if backend == "pytorch":
        return _pytorch(found, signature, shown, model)
    missing = _missing(found, signature)
    if missing:
        raise PackageError(
            f"{format.filename} has no {missing}; it has "
            + ", ".join(p.name for p in (*found.inputs, *found.outputs)),
            "the file is not the one that the signature was found on: build it again",
        )
    if backend == "openvino":
        return _openvino(target, found, shown)
    fixed = _fixed(found, signature) or unsaid(target)
    return _refused(backend, fixed) if fixed else Fit(backend, shown, found)


def _not_there(target: Target) -> str:
    """What the onnxruntime backend can't be told, of how our runner computes a precision."""
    if target.precision is Precision.FP8:
        # As of 1.31: MatMuls don't load, a Relu before a rounding is dropped.
        return "ONNX Runtime's optimiser takes fp8 for an integer type there"
    if target.precision is Precision.BF16 and target.device.kind == "cpu":
        return "ONNX Runtime has no bf16 kernels for CPUs; here operators compute in fp32 and round"
    return ""


def _refused(backend: str, reason: str) -> Fit:
    return Fit("python", asked=f"Triton's {backend} backend can't serve this model: {reason}")


def _engine(found: Fit, model: Product) -> Fit:
    """What lies beside an engine of itself, as nothing opens it without its device."""
    said = model.value if isinstance(model.value, dict) else {}
    bindings = [
        tuple(Port(one["name"], one["dtype"], tuple(one["dims"])) for one in said.get(kind, ()))
        for kind in ("inputs", "outputs")
    ]
    several = range(len(said.get("profiles", ())))
    return replace(
        found,
        ports=Ports(*bindings) if all(bindings) else None,
        largest=said.get("largest_batch"),
        profiles=tuple(map(str, several))
        if len(several) > 1 and found.backend == "tensorrt"
        else (),
        notes=(*found.notes, *said.get("server", ())),
    )


def _missing(found: Ports, signature: Signature) -> str:
    for kind, have, want in (
        ("input", found.inputs, signature.inputs),
        ("output", found.outputs, signature.outputs),
    ):
        names = {port.name for port in have}
        for spec in want:
            if spec.name not in names:
                return f"{kind} {spec.name!r}"
    return ""


def _fixed(found: Ports, signature: Signature) -> str:
    """A free axis that the file declares as fixed: the backend holds it to that."""
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    for port in (*found.inputs, *found.outputs):
        spec = specs.get(port.name)
        if spec is None or port.dims is None or len(port.dims) != len(spec.shape):
            continue
        for axis, (free, there) in enumerate(zip(spec.shape, port.dims, strict=True)):
            if isinstance(free, str) and there != -1:
                return f"the file declares axis {axis} of {port.name!r} as {there}, not as free"
    return ""


def _openvino(target: Target, found: Ports, filename: str) -> Fit:
    notes = []
    if target.precision in (Precision.FP32, Precision.INT8):
        notes.append(
            "measured with inference precision f32, which Triton's openvino backend has no "
            "parameter for: a server whose CPU can compute in bf16 does so; serve it with "
            "backend='python' where that matters"
        )
    batching = (
        "max_batch_size is 0: with batching on, Triton's openvino backend fixes the model at the "
        "largest batch and pads every smaller one; so requests carry their own batch, and are "
        "computed at that size, as measured"
    )
    return Fit("openvino", filename, found, no_batching=batching, notes=tuple(notes))


def _pytorch(found: Ports, signature: Signature, filename: str, model: Product) -> Fit:
    if found.problem:
        return _refused("pytorch", found.problem)
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype not in _FLOATS_OF_TORCH + _INTS_OF_TORCH:
            return _refused("pytorch", f"it has no {spec.dtype} ({spec.name})")
    for kind, have, want in (
        ("takes", found.inputs, signature.inputs),
        ("gives", found.outputs, signature.outputs),
    ):
        if len(have) != len(want):
            return _refused("pytorch", f"forward {kind} {len(have)} tensors, not {len(want)}")
    inputs = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]
    arguments = [port.name for port in found.inputs]
    places = _places(signature, arguments, model)
    if places is None:
        return _refused("pytorch", "forward is called with more than plain tensors")
    names = {}
    if _torch_order(inputs, arguments) != places:
        names |= {name: f"{_stem(name)}__{i}" for name, i in zip(inputs, places, strict=True)}
    if _torch_order(outputs, None) != list(range(len(outputs))):
        names |= {name: f"{_stem(name)}__{i}" for i, name in enumerate(outputs)}
    notes = [
        f"{name!r} is served as {new!r}: Triton's pytorch backend would have taken its name for "
        "another position"
        for name, new in names.items()
    ]
    return Fit("pytorch", filename, found, names, notes=tuple(notes))


def _places(signature: Signature, arguments: list[str], model: Product) -> list[int] | None:
    """Which argument of ``forward`` each input is, or None where it is none by itself."""
    inputs = [spec.name for spec in signature.inputs]
    flat = isinstance(model.value, dict) and bool(model.value.get("flat"))
    if flat or signature.call is None:
        return list(range(len(inputs)))
    given = dict(enumerate(signature.call.get("args", ())))
    for name, tree in signature.call.get("kwargs", {}).items():
        if name not in arguments:
            return None
        given[arguments.index(name)] = tree
    found = {tree["input"]: place for place, tree in given.items() if "input" in tree}
    if len(found) != len(given) or set(found) != set(inputs):
        return None
    return [found[name] for name in inputs]


def _torch_order(names: list[str], arguments: list[str] | None) -> list[int]:
    """The position that libtorch's backend gives each name.

    Names of ``forward``'s arguments go by them (inputs only); else, if all of them look like
    ``<name>__<index>``, by the index; else in the order of the configuration.
    """
    if arguments is not None and all(name in arguments for name in names):
        return [arguments.index(name) for name in names]
    indices = []
    for name in names:
        _, mark, index = name.partition("__")
        if not mark or (index and not index.isdigit()):
            return list(range(len(names)))
        indices.append(int(index or 0))
    return indices


def _stem(name: str) -> str:
    return name.partition("__")[0] or "tensor"


def files(format: Format, model: Product, names: list[str]) -> dict[str, Path]:
    """The files of a version folder: all of the product's, the model's under Triton's name."""
    assert format.triton is not None
    here, there = format.filename, format.triton.filename
    made = {}
    for name in names:
        placed = there if name == here else name
        if format.triton.backend == "openvino" and Path(name).stem == Path(here).stem:
            placed = Path(there).stem + Path(name).suffix  # the weights go by the model's name
        made[placed] = model.path / name
    if there not in made:
        raise PackageError(
            f"the product holds no {here}; it holds {', '.join(names) or 'nothing'}",
            "build it again",
        )
    return made


def tune(config: Any, target: Target, found: Fit, options: Any, notes: list[str]) -> None:
    """What the backend must be told so that it computes what was measured.

    ``options`` are the runner's; those of a runner that a configuration can say are written.
    """
    threads = getattr(options, "threads", 0) or 0
    if found.backend == "openvino":
        said = {"PERFORMANCE_HINT": getattr(options, "hint", "LATENCY")}
        if target.precision == Precision.BF16:
            said["HINT_BF16"] = "YES"
        if threads:
            said["INFERENCE_NUM_THREADS"] = str(threads)
        if config.max_batch_size > 0:
            said["ENABLE_BATCH_PADDING"] = "YES"
            notes.append(
                "Triton's openvino backend computes every request at batch "
                f"{config.max_batch_size}, padded: batches that were measured smaller are slower"
            )
        _parameters(config, said)
    elif found.backend == "onnxruntime":
        said = {"intra_op_thread_count": str(threads)} if threads else {}
        if getattr(options, "inter_threads", 0):
            said["inter_op_thread_count"] = str(options.inter_threads)
        if getattr(options, "execution", "") == "parallel":
            said["execution_mode"] = "1"
        _parameters(config, said)
        level = _ORT_LEVELS.get(getattr(options, "optimization", ""))
        if level is not None:
            config.optimization.graph.level = level
        accelerate(config, target, options, notes)
    elif found.backend == "tensorrt":
        if getattr(options, "cuda_graph", False):
            config.optimization.cuda.graphs = True
    elif found.backend == "pytorch":
        wanted = getattr(options, "profile", None)
        if not (target.device.kind == "cpu" if wanted is None else wanted):
            _parameters(config, {"DISABLE_OPTIMIZED_EXECUTION": "true"})
        if target.device.kind == "cuda":
            notes.append(
                "whether TF32 is used is the server's default: Triton's pytorch backend has no "
                "parameter for it"
            )


def _parameters(config: Any, said: dict[str, str]) -> None:
    for name, value in said.items():
        config.parameters[name].string_value = value


def served_name(spec: TensorSpec, found: Fit) -> str:
    """The name under which a tensor of the signature is served."""
    return found.names.get(spec.name, spec.name)
