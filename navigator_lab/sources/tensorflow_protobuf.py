"""What SavedModels and graphs of TensorFlow say of themselves, read without TensorFlow.

Their protobuf, of which only the fields that say it are described here. Nothing is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..types.signature import TensorSpec
from .tensorflow_files import TEXT, Said

_TYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: TEXT,
    8: "complex64", 9: "int64", 10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128",
    19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip

# message: {field: (number, kind)}; kinds are scalars, messages, "*kind" repeated, "map:kind".
_MESSAGES = {
    "SavedModel": {"meta_graphs": (2, "*MetaGraph")},
    "MetaGraph": {"info": (1, "Info"), "signatures": (5, "map:Signature")},
    "Info": {"tags": (4, "*string"), "tensorflow_version": (5, "string")},
    "Signature": {"inputs": (1, "map:Tensor"), "outputs": (2, "map:Tensor")},
    "Graph": {"nodes": (1, "*Node")},
    "Node": {
        "name": (1, "string"), "op": (2, "string"), "inputs": (3, "*string"),
        "attributes": (5, "map:Attribute"),
    },
    "Attribute": {"type": (6, "int32"), "shape": (7, "Shape")},
    "Tensor": {"dtype": (2, "int32"), "shape": (3, "Shape")},
    "Shape": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
}  # fmt: skip


@cache
def _message(wanted: str) -> Any:
    """The class of a message, of the fields above; others are passed over."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="navigator_lab/tensorflow.proto", package="navigator_lab", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": kinds.TYPE_STRING, "int32": kinds.TYPE_INT32, "int64": kinds.TYPE_INT64,
               "bool": kinds.TYPE_BOOL}  # fmt: skip

    def add(message: Any, name: str, number: int, kind: str) -> None:
        field = message.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
        if kind.startswith(("*", "map:")):
            field.label = kinds.LABEL_REPEATED
        if kind.startswith("map:"):
            entry = message.nested_type.add(name=f"{name.title()}Entry")
            entry.options.map_entry = True
            add(entry, "key", 1, "string")
            add(entry, "value", 2, kind.removeprefix("map:"))
            field.type, field.type_name = kinds.TYPE_MESSAGE, f"{message.name}.{entry.name}"
        elif (plain := kind.removeprefix("*")) in scalars:
            field.type = scalars[plain]
        else:
            field.type, field.type_name = kinds.TYPE_MESSAGE, f".navigator_lab.{plain}"

    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            add(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"navigator_lab.{wanted}"))


def _parsed(kind: str, path: Path) -> Any:
    """What is in a file.

    Raises:
        ModelError: it is cut off or damaged.
    """
    from google.protobuf.message import DecodeError

    try:
        return _message(kind).FromString(path.read_bytes())
    except DecodeError as error:
        raise ModelError(
            f"{str(path)!r} is no whole TensorFlow {kind}: {error}", "save or download it again"
        ) from None


def saved_model(path: Path) -> list[Said]:
    """The signatures in a ``saved_model.pb`` that can be served, by name.

    Raises:
        ModelError: it is damaged, or one for training only.
    """
    shown, whole = repr(str(path)), _parsed("SavedModel", path)
    graphs = [one for one in whole.meta_graphs if "serve" in one.info.tags]
    if not graphs:
        tags = [",".join(one.info.tags) or "none" for one in whole.meta_graphs]
        raise ModelError(
            f"{shown} holds no graph for serving; the tags of its graphs are: "
            f"{'; '.join(tags) or 'none, as there is no graph'}",
            "save it with tf.saved_model.save, or model.export(folder) of Keras",
        )
    made = []
    for name in sorted(graphs[0].signatures):
        if name.startswith("__saved_model"):  # how it is initialised
            continue
        one = graphs[0].signatures[name]
        specs = tuple(
            _spec(key, one.inputs[key].dtype, one.inputs[key].shape) for key in sorted(one.inputs)
        )
        made.append(Said(name, specs, tuple(sorted(one.outputs))))
    return made


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a graph. ``spec``: what a placeholder takes; None if its rank isn't said."""

    name: str
    op: str
    inputs: tuple[str, ...]
    spec: TensorSpec | None = None


def graph(path: Path) -> list[Node]:
    """The operators of a GraphDef file.

    Raises:
        ModelError: it is damaged.
    """
    made = []
    for one in _parsed("Graph", path).nodes:
        spec = None
        if one.op.startswith("Placeholder"):
            said = dict(one.attributes)
            if "shape" in said and not said["shape"].shape.unknown_rank:
                spec = _spec(one.name, said["dtype"].type, said["shape"].shape)
        made.append(Node(one.name, one.op, tuple(one.inputs), spec))
    return made


def _spec(name: str, dtype: int, shape: Any) -> TensorSpec:
    dims: list[int | str] = [
        dim.size if dim.size >= 0 else f"{name}_{i}" for i, dim in enumerate(shape.dim)
    ]
    return TensorSpec(name, _TYPES.get(dtype, ""), tuple(dims))
