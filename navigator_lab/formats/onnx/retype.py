"""Let the operators of a graph compute in 16 bits, every value keeping its name and its type.

An operator that may compute in 16 bits (its own schema says so) takes casts of its inputs and
gives a cast of its output; what two such operators pass between them skips the pair of casts. So
whatever is not understood (contributed operators, the borders of loops and branches) simply stays
as it was, and the graph's types always fit. The converter in ``onnxruntime.transformers`` retypes
values in place: of a torch LSTM it made (in 1.31) a graph that ONNX's own checker refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import graph

if TYPE_CHECKING:
    import onnx

# They change types themselves, or are the quantiser's.
NEVER = frozenset(
    [
        "Cast",
        "CastLike",
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "Constant",
        "ConstantOfShape",
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
        "EyeLike",
    ]
)


def convert(
    model: onnx.ModelProto,
    kind: int,
    keep: frozenset[str] = frozenset(),
    keep_nodes: frozenset[str] = frozenset(),
) -> int:
    """Rewrite ``model`` in place; ``kind`` is FLOAT16 or BFLOAT16. Gives the number of nodes changed."""
    return len(_convert(model, kind, keep, keep_nodes))


def convertible(
    model: onnx.ModelProto,
    kind: int,
    keep: frozenset[str] = frozenset(),
    keep_nodes: frozenset[str] = frozenset(),
) -> frozenset[str]:
    """Names of the nodes that `convert` would change; ``model`` stays as it is."""
    import onnx

    tried = onnx.ModelProto()
    tried.CopyFrom(model)
    return frozenset(_convert(tried, kind, keep, keep_nodes))


def _convert(
    model: onnx.ModelProto, kind: int, keep: frozenset[str], keep_nodes: frozenset[str]
) -> list[str]:
    if model.functions:
        model.CopyFrom(graph.plain(model))
    work = _Work(
        kind=kind,
        versions={o.domain or "": o.version for o in model.opset_import},
        types=types_of(model),
        taken=all_names(model.graph),
        keep=keep,
        keep_nodes=keep_nodes,
    )
    _rewrite(model.graph, work, None)
    _sweep(model.graph)
    return work.changed


@dataclass
class _Work:
    kind: int
    versions: dict[str, int]
    types: dict[str, int]  # of every value, in any graph: names are unique
    taken: set[str]
    keep: frozenset[str]
    keep_nodes: frozenset[str]
    changed: list[str] = field(default_factory=list)  # names of nodes

    def name(self, wanted: str) -> str:
        made, i = f"{wanted}/half", 0
        while made in self.taken:
            i += 1
            made = f"{wanted}/half{i}"
        self.taken.add(made)
        return made


@dataclass
class _Scope:
    """What is known inside one graph: the 16-bit twin of a value, and constants' contents."""

    graph: Any
    outer: _Scope | None
    twins: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)

    def twin(self, name: str) -> str | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.twins:
                return scope.twins[name]
            scope = scope.outer
        return None

    def constant(self, name: str) -> tuple[_Scope, Any] | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.constants:
                return scope, scope.constants[name]
            scope = scope.outer
        return None


def _rewrite(body: Any, work: _Work, outer: _Scope | None) -> None:
    import onnx

    scope = _Scope(body, outer)
    inputs = {i.name for i in body.input}
    # A weight that is also an input may be overridden by who calls: it is no constant.
    scope.constants = {t.name: t for t in body.initializer if t.name not in inputs}
    for node in body.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    _rewrite(inner, work, scope)
        tensor = _constant(node)
        if tensor is not None:
            scope.constants[node.output[0]] = tensor
        takes, gives = _plan(node, scope, work)
        if not takes:
            scope.nodes.append(node)
            continue
        work.changed.append(node.name)
        for i in takes:
            node.input[i] = _half(node.input[i], scope, work)
        scope.nodes.append(node)
        for i in gives:
            name = node.output[i]
            node.output[i] = scope.twins[name] = work.name(name)
            back = onnx.helper.make_node(
                "Cast", [node.output[i]], [name], f"{name}/cast", to=onnx.TensorProto.FLOAT
            )
            scope.nodes.append(back)
    del body.node[:]
    body.node.extend(scope.nodes)


def _constant(node: Any) -> Any:
    """The float tensor of a Constant node, or None."""
    import numpy as np
    import onnx

    if node.op_type != "Constant" or node.domain:
        return None
    one = node.attribute[0]
    if one.name == "value" and one.t.data_type == onnx.TensorProto.FLOAT:
        return one.t
    if one.name == "value_float":
        return onnx.numpy_helper.from_array(np.array(one.f, np.float32))
    if one.name == "value_floats":
        return onnx.numpy_helper.from_array(np.array(one.floats, np.float32))
    return None


def _plan(node: Any, scope: _Scope, work: _Work) -> tuple[list[int], list[int]]:
    """Which inputs of a node to take in 16 bits, and which outputs then come in 16 bits."""
    import onnx

    nothing: tuple[list[int], list[int]] = ([], [])
    if node.op_type in NEVER or node.op_type in work.keep or node.name in work.keep_nodes:
        return nothing
    domain = "" if node.domain == "ai.onnx" else node.domain
    try:
        schema = onnx.defs.get_schema(node.op_type, work.versions.get(domain, 1), domain)
    except onnx.defs.SchemaError:
        return nothing
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    half = "tensor(float16)" if work.kind == onnx.TensorProto.FLOAT16 else "tensor(bfloat16)"
    takes: dict[int, str] = {}
    for i, name in enumerate(node.input):
        if not name:
            continue
        formal = _formal(schema.inputs, i)
        if formal is None or not formal.is_homogeneous:
            return nothing
        found = work.types.get(name)
        if found == onnx.TensorProto.FLOAT and half in allowed.get(formal.type_str, ()):
            takes[i] = formal.type_str
        elif found is None and formal.type_str in allowed:
            return nothing
    gives = []
    for i, name in enumerate(node.output):
        formal = _formal(schema.outputs, i)
        if name and formal is not None and formal.type_str in takes.values():
            gives.append(i)
    if not gives and any(
        scope.twin(node.input[i]) is None and scope.constant(node.input[i]) is None for i in takes
    ):
        return nothing  # a shape or a comparison: a cast only for it gains nothing
    return list(takes), gives


def _formal(formals: Any, i: int) -> Any:
    import onnx

    if i < len(formals):
        return formals[i]
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    return formals[-1] if formals and formals[-1].option == variadic else None


def _half(name: str, scope: _Scope, work: _Work) -> str:
    """The name of the 16-bit twin of a value, made if there is none."""
    import onnx

    twin = scope.twin(name)
    if twin is not None:
        return twin
    made = work.name(name)
    constant = scope.constant(name)
    if constant is not None:
        owner, tensor = constant
        owner.twins[name] = made
        owner.graph.initializer.append(_narrow(tensor, made, work.kind))
        return made
    scope.twins[name] = made
    scope.nodes.append(onnx.helper.make_node("Cast", [name], [made], f"{made}/cast", to=work.kind))
    return made


def _narrow(tensor: Any, name: str, kind: int) -> Any:
    """A constant in 16 bits; what they can't hold becomes the nearest that they can."""
    import ml_dtypes
    import numpy as np
    import onnx

    wide = onnx.numpy_helper.to_array(tensor)
    if kind == onnx.TensorProto.BFLOAT16:
        # The most negative fp32, which masks are made of, would be rounded to -inf: 0 * -inf is NaN.
        most = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)
        kept = np.where(np.isfinite(wide), np.clip(wide, -most, most), wide)
        return onnx.numpy_helper.from_array(kept.astype(ml_dtypes.bfloat16), name)
    limits = np.finfo(np.float16)
    narrow = np.where(np.isfinite(wide), np.clip(wide, limits.min, limits.max), wide)
    # An epsilon that becomes 0 turns into a division by zero.
    tiny = (wide != 0) & (np.abs(wide) < limits.smallest_subnormal)
    narrow = np.where(tiny, np.copysign(limits.smallest_subnormal, wide), narrow)
    return onnx.numpy_helper.from_array(narrow.astype(np.float16), name)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every value whose type can be inferred."""
    import onnx

    # Shapes need small constants only, and a protobuf beyond 2 GiB can't be handed over.
    big = [(t, t.raw_data) for t in model.graph.initializer if len(t.raw_data) > 1 << 20]
    for tensor, _ in big:
        tensor.ClearField("raw_data")
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    finally:
        for tensor, data in big:
            tensor.raw_data = data
    found: dict[str, int] = {}

    def walk(body: Any) -> None:
        for value in (*body.input, *body.output, *body.value_info):
            kind = value.type.tensor_type.elem_type
            if kind:
                found[value.name] = kind
        found.update((t.name, t.data_type) for t in body.initializer)
        for node in body.node:
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    walk(inner)

    walk(inferred.graph)
    return found


def all_names(body: Any) -> set[str]:
    """Every name of a value in a graph and in those inside it."""
    names = {v.name for v in (*body.input, *body.output)} | {t.name for t in body.initializer}
    for node in body.node:
        names.update(node.input)
        names.update(node.output)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                names |= all_names(inner)
    return names


def _sweep(body: Any) -> None:
    """Remove casts and weights that nobody reads any more."""
    dead = [0]
    while dead:
        read = _read(body)
        dead = [
            i
            for i, node in enumerate(body.node)
            if node.op_type in ("Cast", "Constant") and node.output[0] not in read
        ]
        for i in reversed(dead):
            del body.node[i]
    read |= {i.name for i in body.input}
    for i in reversed(range(len(body.initializer))):
        if body.initializer[i].name not in read:
            del body.initializer[i]
    for node in body.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    _sweep(inner)


def _read(body: Any) -> set[str]:
    """Names that are read in a graph or in those inside it."""
    found = {o.name for o in body.output}
    for node in body.node:
        found.update(node.input)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found |= _read(inner)
    return found
