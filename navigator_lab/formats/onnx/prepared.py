"""A graph made ready to be quantised, what of it stays in fp32, and the samples as calibrators ask.

What is written into it is the business of `quantize` (ONNX Runtime's quantiser) and `qdq` (ours).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At
from navigator_lab.types.signature import Signature

from . import graph
from .ranking import worst

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Arrays = dict[str, np.ndarray]

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
CHAIN = (
    *("Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu"),
    *("MaxPool", "Pad", "Relu", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze"),
)
QDQ = ("QuantizeLinear", "DequantizeLinear")
# What the quantiser writes where it stores weights in 8 bits and finds scales while running.
DYNAMIC = (
    "MatMulInteger",
    "ConvInteger",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
    "QAttention",
    "QEmbedLayerNormalization",
    "DequantizeLinear",
)
FUSED = 8  # no node of the prepared graph stands for more nodes of the source than this


def chain(found: Collection[str]) -> list[str]:
    """Of a graph with these operator types, those worth quantising: products with weights, and
    around convolutions all that keeps the chain in 8 bits. Sums, norms and masks of attention lose
    too much."""
    return [*PRODUCTS, *(CHAIN if {"Conv", "ConvTranspose"} & set(found) else ())]


@dataclass(frozen=True)
class Prepared:
    """The graph as a file, with constants folded and norms merged, and the source it comes from."""

    path: Path
    large: bool
    source: onnx.ModelProto

    def graph(self) -> onnx.ModelProto:
        """Its structure, without weights that lie beside it."""
        import onnx

        return onnx.load(self.path, load_external_data=False)

    def operators(self) -> list[str]:
        """What is worth quantising in it."""
        return chain({node.op_type for node in self.graph().graph.node})

    def kept(
        self, options: Any, precision: str, types: Collection[str], ranking: Product | None = None
    ) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
        """By the options ``keep``, ``keep_nodes`` and ``keep_worst``: the nodes of the prepared graph
        that stay in fp32; the nodes of the source that the ranking chose; and notes of why.

        ``types`` are the operator types that are quantised.

        Raises:
            ModelError: a name in ``keep_nodes`` is no node.
        """
        keep, named = graph.names(options.keep), graph.names(options.keep_nodes)
        nodes = {node.name: node.op_type for node in self.source.graph.node}
        unknown = sorted(named - nodes.keys())
        if unknown:
            raise ModelError(
                f"keep_nodes names {', '.join(unknown[:3])}, which no node of the graph is called",
                f"its nodes are {', '.join(list(nodes)[:12])}, …",
            )
        chosen: tuple[str, ...] = ()
        notes: tuple[str, ...] = ()
        most = getattr(options, "keep_worst", 0)
        if most:
            free = [n for n, op in nodes.items() if op in types and op not in keep]
            chosen, notes = worst(ranking, str(precision), most, set(free) - named)
        out = named | set(chosen)
        made = []
        for node, stands_for in self._counterparts():
            if node.op_type in keep or stands_for & out:
                made.append(node.name)
        return made, chosen, notes

    def _counterparts(self) -> Iterator[tuple[Any, set[str]]]:
        """Each node of the prepared graph, with the names of those in the source that it stands for:
        all between its inputs and its outputs."""
        makers = {name: n for n in self.source.graph.node for name in n.output if name}
        for node in self.graph().graph.node:
            ends, found = set(node.input), {node.name}
            wanted = [name for name in node.output if name in makers]
            while wanted and len(found) <= FUSED:
                one = makers[wanted.pop()]
                if one.name in found and one.name != node.name:
                    continue
                found.add(one.name)
                wanted += [n for n in one.input if n in makers and n not in ends]
                ends.update(one.input)
            yield node, found if len(found) <= FUSED else {node.name}


def prepare(model: Product, scratch: Path, at: At, signature: Signature) -> Prepared:
    """The graph with constants folded, batch norms merged and shapes inferred, as a file.

    The quantiser skips what it knows no shape of. Its preparation optimises in a session of the
    runtime and goes on without when that fails.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source = graph.load(model.path / graph.FORMAT.filename)
    if not any(_kind(i) == onnx.TensorProto.FLOAT for i in _floats(source)):
        raise ModelError(
            "no tensor of this graph is float32, so there is nothing to quantise",
            "only float32 graphs can be brought to int8",
        )
    done = [n.op_type for n in source.graph.node if n.op_type in (*QDQ, *DYNAMIC)]
    if done:
        raise ModelError(
            f"this graph is quantised already: it has {len(done)} {done[0]} and the like",
            "use it as it is (its fp32 variant keeps what the file says), or give the fp32 model",
        )
    # Scales by channel need an axis, which Q/DQ operators have from 13 on.
    source, notes = graph.raised(source, 13)
    for note in notes:
        at.say(note)
    _forget_weights(source, {spec.name for spec in signature.inputs})
    large = graph.weight_bytes(source) >= graph.EXTERNAL_FROM_BYTES
    at.say("preparing the graph")
    source = graph.plain(source)
    given, path = scratch / "given.onnx", scratch / "prepared.onnx"
    onnx.save(source, given, save_as_external_data=large, location="given.data")
    quant_pre_process(
        given,
        path,
        # The symbolic one fails on graphs that the plain one infers well enough.
        skip_symbolic_shape=True,
        save_as_external_data=large,
        all_tensors_to_one_file=large,
        external_data_location="prepared.data" if large else None,
    )
    _forget_shapes(path, large)
    return Prepared(path, large, source)


def _forget_weights(model: onnx.ModelProto, fed: set[str]) -> None:
    """Drop weights from the inputs, where files before IR 4 have to list them: the quantiser would
    ask the samples for them, and its preparation makes new ones without listing these."""
    weights = {t.name for t in model.graph.initializer} - fed
    kept = [i for i in model.graph.input if i.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 7)  # what opset 13 came with


def _forget_shapes(path: Path, large: bool) -> None:
    """Drop inferred shapes of constants, which the quantiser transposes and then trips over."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    constants = {t.name for t in model.graph.initializer}
    kept = [v for v in model.graph.value_info if v.name not in constants]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    onnx.save(model, path)


def _floats(model: onnx.ModelProto) -> list[Any]:
    return [*model.graph.input, *model.graph.initializer, *model.graph.output]


def _kind(value: Any) -> int:
    return int(value.data_type if hasattr(value, "data_type") else value.type.tensor_type.elem_type)


def stride(count: int) -> int:
    """The largest number of samples, at most eight, that divides their count, as it must."""
    return next(n for n in range(min(8, count), 0, -1) if count % n == 0)


def reader(feeds: Sequence[Arrays], at: At) -> Any:
    """The samples, one at a time, as the quantiser asks for them: every one of them counts."""
    from onnxruntime.quantization import CalibrationDataReader

    class Samples(CalibrationDataReader):  # type: ignore[misc]  # its base has no types
        def __init__(self) -> None:
            self.set_range(0, len(feeds))

        def __len__(self) -> int:
            return len(feeds)

        def set_range(self, start_index: int, end_index: int) -> None:
            self.left: Iterator[int] = iter(range(start_index, end_index))

        def get_next(self) -> Arrays | None:
            i = next(self.left, None)
            if i is None:
                return None
            at.say(f"calibrating: sample {i + 1} of {len(feeds)}", i / len(feeds))
            return feeds[i]

    return Samples()


def finish(at: At, signature: Signature, signs: tuple[str, ...]) -> graph.Graph:
    """Check what the quantiser wrote; a graph in which it changed nothing is no int8 graph."""
    path = at.out / graph.FORMAT.filename
    made = graph.check(path, signature, outputs=False)
    count = Counter(node.op_type for node in made.graph.node)
    changed = sum(count[sign] for sign in signs)
    if not changed:
        kept = ", ".join(name for name, _ in count.most_common(6))
        raise ModelError(
            f"ONNX Runtime's quantiser found nothing that it can quantise among {kept}",
            "use fp16 or bf16, or leave this model in fp32",
        )
    return graph.Graph(graph.opset(made), len(made.graph.node), converted=changed)
