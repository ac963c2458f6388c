"""Models of Triton's Python backend from a Python function, a file, or calls of other models (BLS)."""

from __future__ import annotations

import importlib.metadata
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PackageError
from .environment import packed
from .modelconfig import ModelConfig
from .repository import checked_name, write

STEP = Path(__file__).with_name("carried") / "step.py"


@dataclass(frozen=True, slots=True)
class PythonModel:
    """A model that Triton's Python backend serves. ``source`` is its ``model.py``."""

    config: ModelConfig
    source: str
    function: bytes = b""  # pickled by value; empty where the source is all
    requirements: tuple[str, ...] = ("numpy",)
    environment: str = ""  # the interpreter that is packed along

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.config.name)

    def write(self, place: Path, version: int = 1) -> Path:
        """Its folder, made inside ``place``."""
        with tempfile.TemporaryDirectory(prefix="navigator-lab-python-") as made:
            scratch = Path(made)
            files = {"model.py": self.source.encode(), "function.pkl": self.function}
            files["requirements.txt"] = "".join(f"{r}\n" for r in self.requirements).encode()
            for name, data in files.items():
                (scratch / name).write_bytes(data)
            lying = {name: scratch / name for name, data in files.items() if data}
            config, beside = ModelConfig(self.config).message, {}
            if self.environment:
                beside = packed(config, scratch, self.requirements, self.environment, [])
            write(place / self.name, version, lying, config, beside=beside)
        return place / self.name


def python_model(
    name: str,
    function: Callable[..., Any] | str | Path,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    *,
    max_batch_size: int = 0,
    requirements: Sequence[str] = (),
    environment: bool | str = False,
    **config: Any,
) -> PythonModel:
    """A Python function, or a ``model.py`` of yours, as a model.

    Args:
        name: of the model.
        function: called with the inputs by name, as numpy arrays with their batch axis (text as
            ``str``); gives a dict of outputs, or them in order, which are cast to their types. It is
            carried by value, with all that it refers to in its own file or notebook. A path is a
            file that defines ``TritonPythonModel``.
        inputs: and
        outputs: as in a configuration: ``{"name": "x", "data_type": "FP32", "dims": [3]}``, without
            the batch axis where there is batching.
        max_batch_size: 0 for no batching.
        requirements: what the function imports, as pip would have it.
        environment: True packs this interpreter with them, for a server that has them not; or the
            path of another interpreter, where they are installed.
        config: further fields of the configuration.

    Raises:
        PackageError: the function can't be carried, or a server would refuse the configuration.
    """
    made = ModelConfig(
        name=checked_name(name), backend="python", max_batch_size=max_batch_size,
        input=list(inputs), output=list(outputs), **config,
    )  # fmt: skip
    _refuse(made)
    python = sys.executable if environment is True else str(environment or "")
    if isinstance(function, str | Path):
        needs = tuple(requirements)
        return PythonModel(made, _file(Path(function)), requirements=needs, environment=python)
    if not callable(function):
        raise PackageError(f"{function!r} is no function", "give a function, or a file's path")
    needs = ("numpy", f"cloudpickle=={importlib.metadata.version('cloudpickle')}", *requirements)
    source = STEP.read_text(encoding="utf-8")
    return PythonModel(made, source, _pickled(name, function), needs, python)


def _refuse(config: ModelConfig) -> None:
    found = [one for one in config.check() if one.error]
    if found:
        raise PackageError(f"a server would refuse {config.name!r}: {found[0].message}",
                           found[0].remedy)  # fmt: skip


def _file(path: Path) -> str:
    try:
        source = path.read_text(encoding="utf-8")
        compile(source, str(path), "exec")
    except (OSError, SyntaxError, UnicodeError) as error:
        raise PackageError(f"{path} is no Python file: {error}", "correct it") from error
    if "TritonPythonModel" not in source:
        raise PackageError(
            f"{path} defines no TritonPythonModel", "the Python backend looks for that class"
        )
    return source


def _pickled(name: str, function: Callable[..., Any]) -> bytes:
    import cloudpickle

    home = sys.modules.get(getattr(function, "__module__", "") or "")
    origin = str(getattr(home, "__file__", "") or "")
    top = home.__name__.partition(".")[0] if home else "__main__"
    installed = "site-packages" in origin or top in sys.stdlib_module_names
    own = home is not None and top != "__main__" and not installed
    try:
        if own:
            cloudpickle.register_pickle_by_value(home)
        try:
            return bytes(cloudpickle.dumps(function))
        finally:
            if own:
                cloudpickle.unregister_pickle_by_value(home)
    except Exception as error:  # pickling runs the user's own __reduce__
        raise PackageError(
            f"the function of {name!r} can't be carried: {type(error).__name__}: {error}",
            "let it refer to nothing but modules, arrays and plain values, or give a file",
        ) from error


@dataclass(frozen=True, slots=True)
class Call:
    """One model that is called: its inputs and outputs by name, each with the pipeline's tensor."""

    model: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    version: int = -1


_BLS = '''"""Calls other models one after the other (business logic scripting). Change it where it must
decide, loop or stop; the models are called inside the server, without copies over the network.
"""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Triton's Python backend asks for this name."""

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        try:
            tensors = {{
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                for name in {inputs!r}
            }}
{calls}
            made = [pb_utils.Tensor(name, tensors[name]) for name in {outputs!r}]
            return pb_utils.InferenceResponse(made)
        except pb_utils.TritonModelException as error:
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))

    def call(self, model, tensors, inputs, outputs, version=-1):
        """Call a model: ``inputs`` and ``outputs`` map its names to those in ``tensors``."""
        asked = pb_utils.InferenceRequest(
            model_name=model,
            model_version=version,
            requested_output_names=list(outputs),
            inputs=[pb_utils.Tensor(name, tensors[given]) for name, given in inputs.items()],
        )
        response = asked.exec()
        if response.has_error():
            raise pb_utils.TritonModelException(f"{{model}}: {{response.error().message()}}")
        for name, given in outputs.items():
            tensors[given] = pb_utils.get_output_tensor_by_name(response, name).as_numpy()
'''


def bls_source(calls: Sequence[Call], inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """A ``model.py`` that makes these calls in order: a beginning to be changed by hand."""
    lines = []
    for one in calls:
        version = f", version={one.version}" if one.version != -1 else ""
        lines.append(
            f"            self.call({one.model!r}, tensors, {dict(one.inputs)!r}, "
            f"{dict(one.outputs)!r}{version})"
        )
    return _BLS.format(inputs=list(inputs), outputs=list(outputs), calls="\n".join(lines))
