"""A 16-bit graph for a runtime that has no such arithmetic: every operator computes in fp32, and what
it takes and gives is rounded as the graph says. The answer is that of 16 bits, the time is not.

ONNX Runtime's CPU provider has no bf16 kernels at all. Of fp16 it computes runs of operators in fp32
without the roundings between them: better answers than a GPU will give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .retype import all_names, types_of

if TYPE_CHECKING:
    import onnx

# They take 16-bit floats as any other type, and what is inside them is looked at by itself.
BLIND = frozenset(["Cast", "CastLike", "Constant", "If", "Loop", "Scan", "QuantizeLinear"])


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with fp32 operators between its 16-bit values."""
    import onnx

    kinds = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    low = {name: kind for name, kind in types_of(model).items() if kind in kinds}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    _widen(made.graph, low, all_names(made.graph))
    return made


def _widen(body: Any, low: dict[str, int], taken: set[str]) -> None:
    import onnx

    nodes = []
    wide: dict[str, str] = {}

    def name(wanted: str) -> str:
        made, i = f"{wanted}/wide", 0
        while made in taken:
            made, i = f"{wanted}/wide{i}", i + 1
        taken.add(made)
        return made

    for node in body.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    _widen(inner, low, taken)
        if node.op_type in BLIND:
            nodes.append(node)
            continue
        for i, given in enumerate(node.input):
            if given not in low:
                continue
            if given not in wide:
                wide[given] = name(given)
                nodes.append(
                    onnx.helper.make_node("Cast", [given], [wide[given]], to=onnx.TensorProto.FLOAT)
                )
            node.input[i] = wide[given]
        nodes.append(node)
        for i, given in enumerate(node.output):
            if given in low:
                node.output[i] = name(given)
                nodes.append(
                    onnx.helper.make_node("Cast", [node.output[i]], [given], to=low[given])
                )
    kept = list(nodes)
    del body.node[:]
    body.node.extend(kept)
    # What was inferred of types inside no longer holds.
    del body.value_info[:]
