"""The configuration against the model file, where the file's own runtime is installed here."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import PackageError
from ..artefact import Ports, ports
from ..config import dtype_name, messages, type_name, type_text
from ..native import DEFAULT_FILES
from .finding import Finding, Meant, noted, refused

KNOWN = (*DEFAULT_FILES, "tensorrtllm", "vllm", "dali", "fil", "identity", "repeat", "square")
_NO_TENSORFLOW = "2.56"  # the server of 25.03
LOOKED_INTO = ("onnxruntime", "openvino", "pytorch")
# What is written where a backend's name is meant.
_MEANT = {
    "onnx": "onnxruntime", "ort": "onnxruntime", "onnxruntime_onnx": "onnxruntime",
    "trt": "tensorrt", "tensorrt_plan": "tensorrt", "torch": "pytorch", "libtorch": "pytorch",
    "pytorch_libtorch": "pytorch", "torchscript": "pytorch", "tf": "tensorflow",
    "tensorflow_savedmodel": "tensorflow", "tensorflow_graphdef": "tensorflow", "py": "python",
}  # fmt: skip


def filename(config: Any) -> str:
    """The file that the backend opens in a version folder."""
    return config.default_model_filename or DEFAULT_FILES.get(config.backend, "")


def known(config: Any, meant: Meant) -> Iterator[Finding]:
    """Whether the backend is one that servers have."""
    if not config.backend:
        return
    message = (
        f"unable to find backend library for backend '{config.backend}', try specifying runtime on "
        "the model configuration."
    )
    if config.backend not in KNOWN:
        near = difflib.get_close_matches(config.backend.lower(), KNOWN, 1, 0.85)
        intended = _MEANT.get(config.backend.lower()) or (near[0] if near else "")
        if intended:
            yield refused(message, f'did you mean backend: "{intended}"?')
        elif config.backend[0].isdigit():
            # A model's name with a dot in it, and no backend given, makes such a one.
            yield refused(message, 'write backend: "…" into the configuration')
        else:
            yield noted(
                message,
                "it is none of Triton's own, and must lie in the server's backend directory; "
                f"Triton's are {', '.join(KNOWN)}",
            )
    elif config.backend == "tensorflow":
        instead = (
            "export it to ONNX (tf2onnx) and serve that, or serve it with the Python backend "
            "(navigator_lab.triton.python_model)"
        )
        if meant.older_than(_NO_TENSORFLOW):
            yield noted("Triton's tensorflow backend is not in servers after 25.02", instead)
        else:
            yield refused(message, f"servers after 25.02 don't have it: {instead}")


def _saved_model(path: Path) -> Iterator[Finding]:
    if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        yield refused(
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}",
            f"{path.name} is the folder that holds saved_model.pb, variables/ and assets/",
        )


def model_files(config: Any, folder: Path, served: list[int]) -> Iterator[Finding]:
    """The model file of each version that would be served: is it there, and does it agree?"""
    if config.backend not in KNOWN:
        return
    name = filename(config)
    for version in served:
        path = folder / str(version) / name
        if not path.exists():
            yield refused(
                f"unable to find '{version}/{name}' for the {config.backend} backend",
                "put the model's file there, or name it in default_model_filename",
            )
        else:
            yield from _file(path, config)


def _file(path: Path, config: Any) -> Iterator[Finding]:
    backend = config.backend
    if backend == "python":
        yield from _python(path)
    elif config.platform == "tensorflow_savedmodel":
        yield from _saved_model(path)
    elif path.is_file() and not path.stat().st_size:
        yield refused(f"{path.name} is empty", "put the model's file there")
        return
    if backend not in LOOKED_INTO:
        return
    try:
        found = ports(backend, path)
    except ImportError as error:
        yield noted(f"{path.name} was not looked into: {error}", "install it")
        return
    except PackageError as error:
        yield refused(error.message, error.remedy or "put a model there that the backend can open")
        return
    if found.problem:
        yield refused(
            f"unable to load {path.name}: {found.problem}", "serve it with the Python backend"
        )
    if backend == "pytorch":
        if config.input and len(found.inputs) != len(config.input):
            yield _count(config, found)
        yield from _torch_names(config, found)
        return
    if config.input and len(found.inputs) > len({io.name for io in config.input}):
        yield _count(config, found)
    for kind, have, said in (
        ("input", found.inputs, config.input),
        ("output", found.outputs, config.output),
    ):
        by_name = {port.name: port for port in have}
        for io in said:
            port = by_name.get(io.name)
            if port is None:
                names = ", ".join(sorted(by_name))
                yield refused(
                    f"unexpected inference {kind} '{io.name}', allowed {kind}s are: {names}",
                    "use the names of the model file",
                )
                continue
            # The openvino backend converts to the type that is asked.
            asked = dtype_name(type_text(io.data_type)) if io.data_type else port.dtype
            if asked != port.dtype and backend == "onnxruntime":
                yield refused(
                    f"configuration expects datatype {type_text(io.data_type)} for {kind} "
                    f"'{io.name}', model provides {port.dtype}",
                    f"write data_type: {type_name(port.dtype)}",
                )
            if port.dims is not None:
                yield from _dims(kind, io, port.dims, config.max_batch_size)


def _python(path: Path) -> Iterator[Finding]:
    """Whether the file can be read as Python, and has the class that the backend asks for."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        yield refused(f"{path.name} is no Python: {error}", "correct the file")
        return
    names = {getattr(node, "name", "") for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {one.asname or one.name for one in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    if not names & {"TritonPythonModel", "*"}:
        yield refused(
            f"AttributeError: module '{path.stem}' has no attribute 'TritonPythonModel'",
            "the Python backend looks for a class of that name",
        )


def _torch_names(config: Any, found: Ports) -> Iterator[Finding]:
    """The rules by which libtorch's backend finds the place of a tensor from its name."""
    arguments = [port.name for port in found.inputs]
    inputs = [io.name for io in config.input]
    for kind, names, count in (
        ("input", inputs, len(found.inputs)),
        ("output", [io.name for io in config.output], len(found.outputs)),
    ):
        if kind == "input" and all(name in arguments for name in names):
            continue
        indices = [name.partition("__")[2] for name in names]
        if all(
            "__" in name and index.isdigit() for name, index in zip(names, indices, strict=True)
        ):
            for name, index in zip(names, indices, strict=True):
                if int(index) >= count:
                    yield noted(
                        f"{kind} '{name}' is place {index}, and forward has {count}",
                        "count from 0: <name>__0, <name>__1, …",
                    )
        elif kind == "input" and len(names) > 1:
            yield noted(
                f"{kind}s {', '.join(names)} follow no naming rule of the pytorch backend, so they "
                "are taken in the order of the configuration",
                "call them <name>__0, <name>__1, … or, inputs, as forward's arguments",
            )


def _count(config: Any, found: Ports) -> Finding:
    return refused(
        f"configuration expects {len(config.input)} inputs, model provides {len(found.inputs)}",
        "the model's are " + ", ".join(port.name for port in found.inputs),
    )


def _dims(kind: str, io: Any, dims: tuple[int, ...], largest: int) -> Iterator[Finding]:
    asked = list(io.reshape.shape if io.HasField("reshape") else io.dims)
    if not dims:
        if largest or any(d != 1 for d in asked):
            yield refused(
                f"scalar tensor '{io.name}' should only provide 1 in a model without batching, "
                f"not {asked}",
                "write dims: 1 and max_batch_size: 0",
            )
        return
    if largest:
        if dims[0] != -1:
            yield refused(
                f"tensor '{io.name}': for the model to support batching the first dimension must "
                f"be -1; but shape expected by the model is {list(dims)}",
                "write max_batch_size: 0, or build the model with a free batch axis",
            )
            return
        asked = [-1, *asked]
    exact = kind == "output"
    if len(asked) != len(dims) or any(
        a != d and (exact or d != -1) for a, d in zip(asked, dims, strict=True)
    ):
        yield refused(
            f"tensor '{io.name}': the model's shape is {list(dims)} but the configuration specifies "
            f"{asked}",
            f"write dims: {list(dims[1:] if largest else dims)}",
        )


def completed(config: Any, folder: Path, served: list[int]) -> bool:
    """Fill in inputs and outputs from the model file, as its backend would. Are they known now?

    A batch size that isn't given stays as it is.
    """
    if config.platform == "ensemble" or (config.input and config.output):
        return True
    if config.backend not in LOOKED_INTO[:2] or not served:
        return False
    path = folder / str(served[-1]) / filename(config)
    try:
        found = ports(config.backend, path)
    except (ImportError, PackageError):
        return False  # said by `model_files`
    if any(port.dims is None for port in (*found.inputs, *found.outputs)):
        return False
    every = (*found.inputs, *found.outputs)
    if not config.max_batch_size and all((port.dims or (0,))[0] == -1 for port in every):
        config.max_batch_size = 4  # the server's default
    for have, into in ((found.inputs, config.input), (found.outputs, config.output)):
        if into:
            continue
        for port in have:
            dims = list(port.dims or ())[1 if config.max_batch_size else 0 :]
            into.add(
                name=port.name,
                data_type=messages().DataType.Value(type_name(port.dtype)),
                dims=dims or [1],
            )
    return True
