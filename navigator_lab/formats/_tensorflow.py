"""What every format of TensorFlow shares: one signature of a SavedModel as a function, and words.

It declares no format and no edge. TensorFlow and triton's compiler each bring an LLVM, which crash
each other in one process, so whatever imports TensorFlow says ``apart=APART``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types.signature import Signature

if TYPE_CHECKING:
    import tensorflow as tf

NEEDS = ("tensorflow|tensorflow-cpu",)
APART = "tensorflow"
FOLDER = "model.savedmodel"
CHOSEN = "signature.json"  # which of its signatures is meant
DEFAULT = "serving_default"
TEXT = "object"  # how numpy calls what TensorFlow calls a string


class CannotConvert(RuntimeError):
    """A converter, or what it made, refused the model; the message is its own, cut short."""


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature as a function of named tensors. ``kept`` is what its weights live in."""

    call: Callable[..., dict[str, Any]]
    inputs: dict[str, tf.TensorSpec]
    outputs: tuple[str, ...]
    kept: Any = field(repr=False, default=None)
    revived: bool = True  # its objects are back; else only its graph is, with constants for weights


def chosen(folder: Path) -> str:
    """The signature that a product's SavedModel is meant by."""
    return str(json.loads((folder / CHOSEN).read_text(encoding="utf-8"))["signature"])


def choose(folder: Path, name: str) -> None:
    """Write down which signature is meant."""
    (folder / CHOSEN).write_text(json.dumps({"signature": name}), encoding="utf-8")


def opened(folder: Path) -> Signed:
    """The chosen signature of a product.

    Objects that this TensorFlow can't bring back (an optimiser of Keras 2) aren't needed to compute:
    then the graph alone is taken, as a server does.

    Raises:
        ModelError: there is no such signature, or the files are damaged.
    """
    import tensorflow as tf

    path, name = folder / FOLDER, chosen(folder)
    try:
        loaded = tf.saved_model.load(str(path))
    except (AttributeError, ValueError, KeyError, TypeError, NotImplementedError):
        return _frozen(path, name)
    except (OSError, tf.errors.OpError) as error:
        raise ModelError(
            f"TensorFlow can't read the SavedModel: {said(error)}", "save or download it again"
        ) from error
    if name not in loaded.signatures:
        raise ModelError(f"the SavedModel has no signature {name!r}")
    found = loaded.signatures[name]
    return Signed(
        found, dict(found.structured_input_signature[1]), tuple(found.structured_outputs), loaded
    )


def _frozen(path: Path, name: str) -> Signed:
    """The signature's graph with its weights as constants, through the loader that servers use."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        meta = v1.saved_model.load(session, ["serve"], str(path))
        signature = meta.signature_def[name]
        wanted = [info.name.partition(":")[0] for info in signature.outputs.values()]
        made = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), wanted)
    whole = v1.wrap_function(lambda: tf.import_graph_def(made, name=""), [])
    inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
    part = whole.prune(
        [whole.graph.get_tensor_by_name(signature.inputs[one].name) for one in inputs],
        {one: whole.graph.get_tensor_by_name(signature.outputs[one].name) for one in outputs},
    )
    specs = {
        one: tf.TensorSpec(tensor.shape, tensor.dtype, one)
        for one, tensor in zip(inputs, part.inputs, strict=True)
    }

    def call(**feeds: Any) -> dict[str, Any]:
        answer: dict[str, Any] = part(*[feeds[one] for one in inputs])
        return answer

    return Signed(call, specs, tuple(outputs), whole, revived=False)


def save(call: Callable[..., Any], specs: list[tf.TensorSpec], kept: Any, folder: Path,
         variables: tuple[Any, ...] = (), *, jit_compile: bool = False) -> None:  # fmt: skip
    """A function of named tensors as a product's SavedModel, with these names in its signature.

    ``call`` takes the tensors by position and gives a dict. ``variables`` are listed by themselves:
    only so does every loader restore them.
    """
    import tensorflow as tf

    named = _positional(call, [str(spec.name) for spec in specs])
    function = tf.function(named, input_signature=specs, jit_compile=jit_compile or None)
    module = tf.Module()
    module.kept, module.held, module.serve = kept, list(variables), function
    tf.saved_model.save(
        module, str(folder / FOLDER), signatures={DEFAULT: function.get_concrete_function()}
    )
    choose(folder, DEFAULT)


def _positional(call: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """``call`` with parameters of these names: a signature's inputs are called after them."""
    import inspect

    def named(*tensors: Any) -> Any:
        return call(*tensors)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    safe = [name if name.isidentifier() else f"input_{i}" for i, name in enumerate(names)]
    said = inspect.Signature([inspect.Parameter(name, kind) for name in safe])
    named.__signature__ = said  # type: ignore[attr-defined]
    return named


def specs_of(signature: Signature) -> list[tf.TensorSpec]:
    """The signature's inputs as TensorFlow says them, what varies left free."""
    import tensorflow as tf

    fixed = {axis.name for axis in signature.axes if axis.max == axis.min}
    return [
        tf.TensorSpec(
            [d if isinstance(d, int) else (1 if d in fixed else None) for d in spec.shape],
            "string" if spec.dtype == TEXT else spec.dtype,
            spec.name,
        )
        for spec in signature.inputs
    ]


_PLACE = re.compile(r"^(<unknown>:0: )?((error|note): )?(loc\(.*\): )?((error|note): )?")


def said(error: BaseException, length: int = 400) -> str:
    """The first lines of a long message of TensorFlow's, on one line, without places in its code."""
    lines = [_PLACE.sub("", line.strip()) for line in str(error).splitlines()]
    noise = ("Detected at node", "Original stack trace", "Traceback", "File ", "[[{{", "<unknown>")
    useful = [x for x in dict.fromkeys(lines) if x not in ("", "called from")]
    useful = [line for line in useful if not line.startswith(noise)]
    text = "; ".join(useful[:4]) or " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"


# In order: the first text that is found in the error's wins.
KNOWN = (
    ("requires element_shape to be static",
     "a recurrent layer whose batch varies has no form in TFLite: serve the SavedModel, ONNX or "
     "OpenVINO, or give the model a fixed batch (batch_shape=…, unroll=True)"),
    ("Flex", "TFLite has no such operator of its own: serve the SavedModel or ONNX"),
    ("neither a custom op nor a flex op",
     "TFLite has no such operator of its own: serve the SavedModel or ONNX"),
    ("is not supported", "an operator has no counterpart there: serve the SavedModel itself"),
    ("could not be deserialized",
     "its classes must give their arguments: write get_config(), or give the SavedModel that "
     "model.export(folder) makes"),
    ("Unknown layer",
     "the file doesn't carry the code of its own classes: load it and give the model itself, or "
     "give the SavedModel that model.export(folder) makes"),
    ("Could not locate",
     "the file doesn't carry the code of its own classes: load it and give the model itself, or "
     "give the SavedModel that model.export(folder) makes"),
    ("Detected unsupported operations when trying to compile graph",
     "XLA can't compile this model: use option jit_compile=False"),
)  # fmt: skip


def explain(error: BaseException) -> str:
    """The remedy for an error of TensorFlow's that is known, or ""."""
    seen: BaseException | None = error
    texts = []
    while seen is not None and len(texts) < 8:
        texts.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    text = "\n".join(texts)
    return next((remedy for part, remedy in KNOWN if part in text), "")
