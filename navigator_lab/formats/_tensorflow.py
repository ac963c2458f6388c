"""What every format of TensorFlow shares: one signature of a SavedModel as a function.

It declares no format and no edge. TensorFlow and triton's compiler each bring an LLVM, which crash
each other in one process, so whatever imports TensorFlow says ``apart=APART``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError, NavigatorError
from navigator_lab.types.signature import BATCH, Signature

from ._identifiers import identifiers
from ._tensorflow_reasons import explain, said

if TYPE_CHECKING:
    import tensorflow as tf

    from navigator_lab.types.outcome import Product

NEEDS = ("tensorflow|tensorflow-cpu",)
APART = "tensorflow"
UNSERVED = (
    "Triton's own tensorflow backend ended with release 25.02 (the onnx rows of this model have a "
    "backend that lives)"
)
EDGE: Any = {"needs": NEEDS, "apart": APART, "explain": explain, "timeout_s": 1800}
FOLDER = "model.savedmodel"
CHOSEN = "signature.json"  # which of its signatures is meant
DEFAULT = "serving_default"
ROW = "one_row"  # beside it in what is made of a recurrent model: traced with a batch of 1
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


def keys(folder: Path) -> dict[str, str]:
    """What the files of a product call inputs whose names TensorFlow can't say; by their names."""
    path = folder / CHOSEN
    said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return dict(said.get("inputs", {}))


def choose(folder: Path, name: str, inputs: dict[str, str] | None = None) -> None:
    """Write down which signature is meant, and the keys of inputs that are called otherwise."""
    said = {"signature": name, **({"inputs": inputs} if inputs else {})}
    (folder / CHOSEN).write_text(json.dumps(said), encoding="utf-8")


def opened(folder: Path, name: str = "") -> Signed:
    """The chosen signature of a product, or the one of this name.

    Objects that this TensorFlow can't bring back (an optimiser of Keras 2) aren't needed to compute:
    then the graph alone is taken, as a server does.

    Raises:
        ModelError: there is no such signature, or the files are damaged.
    """
    import tensorflow as tf

    path, name = folder / FOLDER, name or chosen(folder)
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
    key_of = keys(folder)
    name_of = {key: name for name, key in key_of.items()}
    specs = found.structured_input_signature[1]

    def call(**feeds: Any) -> dict[str, Any]:
        answer: dict[str, Any] = found(**{key_of.get(n, n): one for n, one in feeds.items()})
        return answer

    return Signed(
        call,
        {name_of.get(key, key): spec for key, spec in specs.items()},
        tuple(found.structured_outputs),
        loaded,
    )


def _frozen(path: Path, name: str) -> Signed:
    """The signature's graph with its weights as constants, through the loader that servers use."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        meta = v1.saved_model.load(session, ["serve"], str(path))
        if name not in meta.signature_def:
            raise ModelError(f"the SavedModel has no signature {name!r}")
        signature = meta.signature_def[name]
        wanted = [info.name.partition(":")[0] for info in signature.outputs.values()]
        made = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), wanted)
    ends = [
        {one: said[one].name for one in sorted(said)}
        for said in (signature.inputs, signature.outputs)
    ]
    return of_graph(made, *ends)


def of_graph(graph: Any, inputs: dict[str, str], outputs: dict[str, str]) -> Signed:
    """A graph of constants as a function from some of its tensors to others, by names for them."""
    import tensorflow as tf

    whole = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    part = whole.prune(
        [whole.graph.get_tensor_by_name(one) for one in inputs.values()],
        {name: whole.graph.get_tensor_by_name(one) for name, one in outputs.items()},
    )
    specs = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for name, tensor in zip(inputs, part.inputs, strict=True)
    }

    def call(**feeds: Any) -> dict[str, Any]:
        answer: dict[str, Any] = part(*[feeds[name] for name in inputs])
        return answer

    return Signed(call, specs, tuple(outputs), whole, revived=False)


def by_position(signed: Signed, signature: Signature) -> Callable[..., dict[str, Any]]:
    """The call on tensors in the signature's order, which answers in its order, too."""
    inputs = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]

    def call(*tensors: Any) -> dict[str, Any]:
        answer = signed.call(**dict(zip(inputs, tensors, strict=True)))
        return {name: answer[name] for name in outputs}

    return call


def without_text(samples: Product, why: str) -> Signature:
    """The signature, for a converter that has no form for text.

    Raises:
        ModelError: there is text in it.
    """
    signature = samples.read(Signature)
    text = [s.name for s in (*signature.inputs, *signature.outputs) if s.dtype == TEXT]
    if text:
        raise ModelError(
            f"tensors of text ({', '.join(text)}): {why}", "serve the SavedModel itself"
        )
    return signature


@contextmanager
def converting(what: str) -> Iterator[None]:
    """For a call of a converter.

    Raises:
        CannotConvert: it raised; ``what`` and its own words.
    """
    try:
        yield
    except NavigatorError:  # said by us, with its remedy
        raise
    except Exception as error:  # foreign code: any class may come
        raise CannotConvert(f"{what}: {said(error)}") from error


def save(
    call: Callable[..., Any],
    signature: Signature,
    kept: Any,
    folder: Path,
    variables: tuple[Any, ...] = (),
    *,
    jit_compile: bool = False,
    recurrent: bool = False,
) -> None:
    """A function of tensors as a product's SavedModel, with the signature's names.

    ``call`` takes the tensors by position and gives a dict. ``variables`` are listed by themselves:
    only so does every loader restore them. ``recurrent``: with the signature `ROW` too.
    """
    import tensorflow as tf

    specs = specs_of(signature)
    called = [str(spec.name) for spec in specs]
    named = _positional(call, called)
    shapes = {DEFAULT: specs, **({ROW: specs_of(by_row(signature))} if recurrent else {})}
    functions = {
        key: tf.function(named, input_signature=one, jit_compile=jit_compile or None)
        for key, one in shapes.items()
    }
    module = tf.Module()
    module.kept, module.held, module.serve = kept, list(variables), functions
    signatures = {key: one.get_concrete_function() for key, one in functions.items()}
    tf.saved_model.save(module, str(folder / FOLDER), signatures=signatures)
    names = [spec.name for spec in signature.inputs]
    odd = {name: key for name, key in zip(names, called, strict=True) if name != key}
    choose(folder, DEFAULT, odd)


def _positional(call: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """``call`` with parameters of these names: a signature's inputs are called after them."""
    import inspect

    def named(*tensors: Any) -> Any:
        return call(*tensors)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in names]
    named.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return named


def by_row(signature: Signature) -> Signature:
    """The signature with one row to a call."""
    axes = [replace(a, min=1, opt=1, max=1) if a.name == BATCH else a for a in signature.axes]
    return replace(signature, axes=tuple(axes))


def specs_of(signature: Signature) -> list[tf.TensorSpec]:
    """The signature's inputs as TensorFlow can say them, what varies left free."""
    import tensorflow as tf

    names = [spec.name for spec in signature.inputs]
    fixed = {axis.name: axis.max for axis in signature.axes if axis.max == axis.min}
    return [
        tf.TensorSpec(
            [d if isinstance(d, int) else fixed.get(d) for d in spec.shape],
            "string" if spec.dtype == TEXT else spec.dtype,
            name,
        )
        for name, spec in zip(identifiers(names), signature.inputs, strict=True)
    ]
