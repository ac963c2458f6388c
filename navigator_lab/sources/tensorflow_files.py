"""What TFLite and Keras files say of themselves, read without TensorFlow: the kernel needn't load it.

A TFLite file's signatures (a flatbuffer, followed by hand) and the inputs in a ``.keras`` archive
(JSON). SavedModels and graphs are `tensorflow_protobuf`'s.
"""

from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..types.signature import TensorSpec

TEXT = "object"  # how numpy calls text, which TensorFlow calls string
_LITE_TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: TEXT, 6: "bool",
    7: "int16", 8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64",
    15: "uint32", 16: "uint16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """One signature, as a file says it. A type that can't be fed is "" in its spec."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]


# TFLite ------------------------------------------------------------------------------------------


class _Table:
    """A table of a flatbuffer: where its fields lie, by their number in the schema."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.fields = at - self._read("<i", at)

    def _read(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(kind, self.data, at)[0])

    def _field(self, number: int) -> int:
        """Where a field lies; 0 if it isn't there."""
        place = 4 + 2 * number
        if place >= self._read("<H", self.fields):
            return 0
        offset = self._read("<H", self.fields + place)
        return self.at + offset if offset else 0

    def number(self, number: int, kind: str = "<I") -> int:
        """A number; 0 if it isn't there."""
        at = self._field(number)
        return self._read(kind, at) if at else 0

    def _vector(self, number: int) -> tuple[int, int]:
        at = self._field(number)
        if not at:
            return 0, 0
        at += self._read("<I", at)
        return at + 4, self._read("<I", at)

    def numbers(self, number: int) -> list[int]:
        """A vector of 32-bit numbers."""
        at, count = self._vector(number)
        return list(struct.unpack_from(f"<{count}i", self.data, at)) if count else []

    def tables(self, number: int) -> list[_Table]:
        """A vector of tables."""
        at, count = self._vector(number)
        places = range(at, at + 4 * count, 4)
        return [_Table(self.data, one + self._read("<I", one)) for one in places]

    def text(self, number: int) -> str:
        """A string."""
        at, count = self._vector(number)
        return self.data[at : at + count].decode("utf-8", "replace")


def tflite(path: Path) -> list[Said]:
    """The signatures of a TFLite file; the inputs and outputs of its graph, where it has none.

    Raises:
        ModelError: it is cut off or damaged.
    """
    data = path.read_bytes()
    try:
        model = _Table(data, struct.unpack_from("<I", data, 0)[0])
        graphs = model.tables(2)
        found = [_lite_signature(one, graphs) for one in model.tables(7)]
        return found or [_lite_graph(graphs[0])]
    except (struct.error, IndexError, MemoryError) as error:
        raise ModelError(
            f"{str(path)!r} is no whole TFLite file: {error}", "download or convert it again"
        ) from None


def _lite_signature(one: _Table, graphs: list[_Table]) -> Said:
    tensors = graphs[one.number(4)].tables(0)
    inputs = {each.text(0): tensors[each.number(1)] for each in one.tables(0)}
    specs = tuple(_lite_spec(name, tensor) for name, tensor in inputs.items())
    return Said(one.text(2), specs, tuple(each.text(0) for each in one.tables(1)))


def _lite_graph(graph: _Table) -> Said:
    tensors = graph.tables(0)
    specs = tuple(_lite_spec(tensors[i].text(3), tensors[i]) for i in graph.numbers(1))
    return Said("", specs, tuple(tensors[i].text(3) for i in graph.numbers(2)))


def _lite_spec(name: str, tensor: _Table) -> TensorSpec:
    dims = tensor.numbers(7) or tensor.numbers(0)
    shape = tuple(d if d >= 0 else f"{name}_{i}" for i, d in enumerate(dims))
    return TensorSpec(name, _LITE_TYPES.get(tensor.number(1, "<b"), ""), shape)


# Keras -------------------------------------------------------------------------------------------


def keras_config(path: Path) -> Any:
    """What a ``.keras`` archive says of its model.

    Raises:
        ModelError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return json.loads(file.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(
            f"{str(path)!r} is no whole Keras file: {error}", "save or download it again"
        ) from None


def keras_inputs(config: Any) -> tuple[TensorSpec, ...] | None:
    """The inputs of a functional or sequential model; None of one that is only code."""
    kind, inner = config.get("class_name"), config.get("config", {})
    layers = [one for one in inner.get("layers", ()) if one.get("class_name") == "InputLayer"]
    if kind not in ("Functional", "Sequential") or not layers:
        return None
    by_name = {one["config"]["name"]: one["config"] for one in layers}
    names = list(by_name)
    if kind == "Functional":
        names = [name for name in _leaves(inner["input_layers"]) if name in by_name]
    return tuple(
        keras_spec(name, by_name[name]["batch_shape"], by_name[name]["dtype"]) for name in names
    )


def keras_spec(name: str, shape: Any, dtype: Any) -> TensorSpec:
    """One input of Keras'."""
    text = dtype if isinstance(dtype, str) else str(dtype)
    dims = tuple(d if d is not None else f"{name}_{i}" for i, d in enumerate(shape))
    return TensorSpec(name, TEXT if text == "string" else text, dims)


def _leaves(tree: Any) -> list[str]:
    """The names in ``input_layers``: ``[name, 0, 0]``, or these in lists and dicts, in order."""
    if isinstance(tree, dict):
        return [name for one in tree.values() for name in _leaves(one)]
    if len(tree) == 3 and isinstance(tree[0], str) and isinstance(tree[1], int):
        return [tree[0]]
    return [name for one in tree for name in _leaves(one)]


def uses_code(config: Any) -> bool:
    """True if there is Python code in it: a Lambda layer's."""
    if isinstance(config, dict):
        if config.get("class_name") in ("Lambda", "__lambda__"):
            return True
        return any(uses_code(one) for one in config.values())
    return isinstance(config, list) and any(uses_code(one) for one in config)
