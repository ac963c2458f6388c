"""A frozen TensorFlow graph: a GraphDef file, read without TensorFlow.

It doesn't say what it takes and gives. Its placeholders and what nobody reads are its ends, by the
names that they have in the graph, unless the user names them: ``signature="image -> scores, boxes"``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ModelError, unknown
from .captured import Captured, How, one_file
from .files import kind_of
from .tensorflow_protobuf import Node, graph

FILENAME = "model.pb"
ENDS = "ends.json"
_SILENT = {"Const", "NoOp", "Assert", "Print"}  # what is read by nobody and yet no answer
_HELD = ("Variable", "VarHandleOp")


def recognise(model: Any) -> bool:
    """True if it is a GraphDef file."""
    return isinstance(model, Path) and model.is_file() and kind_of(model) == "graphdef"


def capture(model: Path, how: How) -> Captured:
    """Take it in; raises ModelError with the remedy."""
    shown, nodes = repr(str(model)), {one.name: one for one in graph(model)}
    held = [one.name for one in nodes.values() if one.op.startswith(_HELD)]
    if held:
        raise ModelError(
            f"the graph {shown} is not frozen: the values of {held[0]!r} are in another file",
            "give the SavedModel that it belongs to, or freeze it with its checkpoint",
        )
    inputs, outputs = _ends(nodes, how.signature, shown)
    odd = [name for name in inputs if (spec := nodes[name].spec) and not spec.dtype]
    if odd:
        raise ModelError(
            f"input {odd[0]!r} of {shown} is no dense tensor of numbers or text",
            "name other inputs: signature='INPUT -> OUTPUT'",
        )
    specs = tuple(nodes[name].spec for name in inputs)
    made = one_file(
        model,
        "graphdef",
        FILENAME,
        how,
        parameters=inputs,
        inputs=None if None in specs else specs,
        required=inputs,
        notes=() if how.signature else (f"its ends: {', '.join(inputs)} -> {', '.join(outputs)}",),
    )
    ends = json.dumps({"inputs": inputs, "outputs": outputs})

    def write(folder: Path) -> None:
        shutil.copyfile(model, folder / FILENAME)
        (folder / ENDS).write_text(ends, encoding="utf-8")

    digest = hashlib.sha256(f"{made.fingerprint}{ends}".encode()).hexdigest()
    return replace(made, fingerprint=digest, write=write)


def _ends(
    nodes: dict[str, Node], said: str | None, shown: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the inputs and outputs: those that the user gave, else what the graph shows.

    Raises:
        ModelError: a name isn't in the graph, or it shows none.
    """
    before, _, after = (said or "").partition("->")
    inputs, outputs = _names(before, nodes, shown), _names(after, nodes, shown)
    read = {name.partition(":")[0] for one in nodes.values() for name in one.inputs}
    inputs = inputs or tuple(n for n, one in nodes.items() if one.op.startswith("Placeholder"))
    outputs = outputs or tuple(
        name
        for name, one in nodes.items()
        if name not in read and name not in inputs and one.op not in _SILENT
    )
    if not inputs or not outputs:
        raise ModelError(
            f"the graph {shown} has no {'outputs' if inputs else 'placeholders'}",
            "name its ends: signature='INPUT -> OUTPUT'",
        )
    return inputs, outputs


def _names(text: str, nodes: Iterable[str], shown: str) -> tuple[str, ...]:
    names = tuple(one.strip() for one in text.split(",") if one.strip())
    for name in names:
        if name not in nodes:
            error = unknown("tensor", name, list(nodes))
            raise ModelError(f"{error.message} in the graph {shown}", error.remedy)
    return names
