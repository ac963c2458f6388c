"""An ONNX file as it lies: its tensors, its external data, and whether it says what it should.

Not a runtime: nothing here computes, and nothing opens the file in one, as that may crash; the
worker that runs it judges that. This only reads, writes and checks the structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types.plugin import Format, TritonBackend
from navigator_lab.types.signature import Signature

if TYPE_CHECKING:
    import onnx

FORMAT = Format(
    "onnx",
    "model.onnx",
    help="ONNX graph, weights beside it when they are large",
    triton=TritonBackend("onnxruntime", "model.onnx"),
    family="ONNX Runtime",
)
DATA = "model.onnx.data"
# protobuf can't hold 2 GiB in one message; below this, one file is simpler to move around.
EXTERNAL_FROM_BYTES = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Graph:
    """Value of a product that is an ONNX file.

    ``converted`` counts the nodes that were changed; ``kept`` names those that stay in fp32 for what
    the samples say of them, though their kind is converted. ``notes`` say why.
    """

    opset: int
    nodes: int
    exporter: str = ""
    converted: int = 0
    notes: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def load(path: Path) -> onnx.ModelProto:
    """The model with its external data.

    Raises:
        ModelError: no ONNX file, or its external data is missing.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelError(
            f"{path.name} is no ONNX file, or it is truncated: {error}",
            "export it again, or download it again",
        ) from error
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (FileNotFoundError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{path.name} keeps weights in another file, which is missing: {error}",
            "keep the external data file beside the .onnx file, under the name it was saved with",
        ) from error
    return model


def save(model: onnx.ModelProto, folder: Path) -> Path:
    """The model as ``model.onnx`` in ``folder``, its weights beside it when they are large."""
    import onnx

    path = folder / FORMAT.filename
    if weight_bytes(model) < EXTERNAL_FROM_BYTES:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=DATA, size_threshold=1024)
    return path


def weight_bytes(model: onnx.ModelProto) -> int:
    """Size of the weights that a model holds in memory."""
    return sum(len(t.raw_data) or t.ByteSize() for t in model.graph.initializer)


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def raised(model: onnx.ModelProto, wanted: int) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The model in at least this operator set, or as it was with a note of why."""
    import onnx

    if opset(model) >= wanted:
        return model, ()
    try:
        return onnx.version_converter.convert_version(model, wanted), ()
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
        return model, (f"stays at opset {opset(model)}; {wanted} was wanted: {error}"[:300],)


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions of its own, every node with a name of its own.

    Nodes are addressed by name: the same file always gives the same names.
    """
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    taken: set[str] = set()
    _name_nodes(model.graph, taken)
    return model


def _name_nodes(body: onnx.GraphProto, taken: set[str]) -> None:
    for node in body.node:
        wanted = node.name or f"{node.op_type}_{next(filter(None, node.output), '')}"
        name, i = wanted, 1
        while name in taken:
            name, i = f"{wanted}_{i}", i + 1
        taken.add(name)
        node.name = name
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    _name_nodes(inner, taken)


def names(text: str) -> frozenset[str]:
    """Names as an option has them, separated by commas."""
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def real_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Inputs that must be fed: old files list their weights among the inputs too."""
    weights = {t.name for t in model.graph.initializer}
    weights |= {t.values.name for t in model.graph.sparse_initializer}
    return [i for i in model.graph.input if i.name not in weights]


def check(path: Path, signature: Signature, *, outputs: bool = True) -> onnx.ModelProto:
    """Whether a file that we built is valid and says what the signature says.

    ``outputs``: its outputs' axes are looked at too; not for graphs made from somebody else's
    file, which may declare what it likes.

    Raises:
        ModelError: it is not, with the tensor and the axis.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the graph that was built is not valid ONNX: {error}") from error
    model = onnx.load(path, load_external_data=False)
    # Inputs that have a default can stay away from the samples, so they may be more.
    _check_names("input", [i.name for i in real_inputs(model)], [s.name for s in signature.inputs])
    _check_names(
        "output", [o.name for o in model.graph.output], [s.name for s in signature.outputs]
    )
    _check_tensors("input", model.graph.input, signature.inputs, axes=True)
    _check_tensors("output", model.graph.output, signature.outputs, axes=outputs)
    return model


def _check_names(kind: str, found: list[str], wanted: list[str]) -> None:
    missing = [n for n in wanted if n not in found] if kind == "output" else []
    extra = [n for n in found if n not in wanted] if kind == "input" else []
    if missing or extra:
        raise ModelError(
            f"the graph's {kind}s are {', '.join(found) or 'none'}; "
            f"the signature's are {', '.join(wanted)}"
        )


def _check_tensors(kind: str, found: Any, wanted: Any, *, axes: bool) -> None:
    import onnx

    by_name = {v.name: v.type.tensor_type for v in found}
    for spec in wanted:
        tensor = by_name.get(spec.name)
        if tensor is None or not tensor.elem_type:
            continue
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        if dtype not in (spec.dtype, "object"):
            raise ModelError(
                f"{kind} {spec.name!r} of the graph is {dtype}; the model's is {spec.dtype}"
            )
        if not axes or not tensor.HasField("shape"):
            continue
        dims = tensor.shape.dim
        if len(dims) != len(spec.shape):
            raise ModelError(
                f"{kind} {spec.name!r} of the graph has {len(dims)} axes; "
                f"the model's has {len(spec.shape)}"
            )
        for name, dim in zip(spec.shape, dims, strict=True):
            if isinstance(name, str) and dim.dim_value > 0:  # some write -1 for a free one
                raise ModelError(
                    f"the exported graph fixes axis {name!r} of {kind} {spec.name!r} "
                    f"at {dim.dim_value}",
                    "the model computes with that size as a number: read it from x.shape inside "
                    "forward, or declare the model without that axis",
                )


def name_axes(model: onnx.ModelProto, signature: Signature) -> None:
    """Give the free axes of the inputs the signature's names, wherever the graph mentions them."""
    inputs = {v.name: v.type.tensor_type.shape.dim for v in model.graph.input}
    renamed: dict[str, str] = {}
    for spec in signature.inputs:
        for name, dim in zip(spec.shape, inputs.get(spec.name, ()), strict=False):
            if isinstance(name, str) and dim.dim_param:
                renamed.setdefault(dim.dim_param, name)
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    for value in values:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in renamed:
                dim.dim_param = renamed[dim.dim_param]
