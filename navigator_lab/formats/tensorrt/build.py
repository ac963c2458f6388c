"""The building itself: parse, profiles, configuration, and the plan with what it is beside it.

Networks are strongly typed: what is computed in which precision is what the ONNX graph says, and of
modes there is TF32 alone.
"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError, NavigatorError
from navigator_lab.formats import onnx as onnx_format
from navigator_lab.types import samples as stored
from navigator_lab.types.signature import Signature

from . import profiles as shaping
from .configure import chosen, configuration, gpu
from .engine import Binding, Engine, Profile
from .library import (
    RTX,
    TENSORRT,
    Library,
    loaded,
    log,
    polygraphy,
    sm,
)
from .options import BuildOptions, RtxOptions, listed
from .reasons import unbuilt, unparsed
from .suited import suited

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product
    from navigator_lab.types.plugin import At

FILENAME = "model.plan"
APART = "leave weights='inside': without a GPU TensorRT-RTX builds no others"
WEIGHTS = "weights"  # the folder of the graph that a stripped engine takes its weights from


def build(at: At, model: Product, samples: Product, library: Library) -> Engine:
    """The plan of an ONNX product, in ``at.out``."""
    trt, loaders, options = loaded(library), polygraphy(library), at.options
    signature, feeds = samples.read(Signature), stored.read(samples.path)
    heard = log(trt)
    heard.errors.clear()
    for plugin in options.libraries:
        ctypes.CDLL(str(plugin))
    with tempfile.TemporaryDirectory(prefix="navigator-lab-trt-") as scratch:
        path, notes = suited(model.path, Path(scratch))
        builder = trt.Builder(heard)
        network = _network(trt, builder)
        _parse(trt, network, path, options, library)
        inputs, outputs = _bindings(trt, network, signature, library)
        shapes = shaping.of(
            signature, inputs, feeds, options.profiles, options.batches, options.max_batch
        )
        config, cache = configuration(at, trt, loaders, options, shapes, library)
        if cache:
            cache.parent.mkdir(parents=True, exist_ok=True)
        at.say("building")
        if library is TENSORRT:
            at.turn()  # it times kernels; TensorRT-RTX does when its engine is opened
        try:
            plan = _bytes(loaders, (builder, network), config, cache, library, heard)
        except ModelError as error:
            if library is RTX and options.weights != "inside":
                raise ModelError(error.message, APART) from error
            raise
    (at.out / FILENAME).write_bytes(plan)
    if options.weights == "stripped":
        shutil.copytree(model.path, at.out / WEIGHTS)
    built_for, able, upwards = _devices(trt, options, library, at.about.precision)
    return Engine(
        library.name,
        trt.__version__,
        built_for,
        able,
        inputs,
        outputs,
        shapes,
        upwards,
        any_version=getattr(options, "version_compatible", False),
        largest_batch=shaping.batch_limit(shapes, signature),
        level=options.level,
        layers=network.num_layers,
        weights=options.weights,
        plugins=tuple(str(one) for one in options.libraries),
        server=_server(trt, options, library, built_for, shapes),
        notes=notes,
    )


def _network(trt: Any, builder: Any) -> Any:
    flags = trt.NetworkDefinitionCreationFlag.__members__
    typed = flags.get("STRONGLY_TYPED")  # where it's gone, there is no other kind
    return builder.create_network(0 if typed is None else 1 << int(typed))


def _parse(trt: Any, network: Any, path: Path, options: BuildOptions, library: Library) -> None:
    parser = trt.OnnxParser(network, log(trt))
    known = trt.OnnxParserFlag.__members__
    for name in listed(options.parser_flags):
        if name.upper() not in known:
            raise NavigatorError(
                f"{library.title}'s parser has no flag {name!r}", f"it has {', '.join(known)}"
            )
        parser.set_flag(known[name.upper()])
    if not parser.parse_from_file(str(path)):
        raise unparsed(library.title, parser)


def _bindings(
    trt: Any, network: Any, signature: Signature, library: Library
) -> tuple[tuple[Binding, ...], tuple[Binding, ...]]:
    """The network's own inputs and outputs, held against the signature."""
    inputs = tuple(_binding(trt, network.get_input(i)) for i in range(network.num_inputs))
    outputs = tuple(_binding(trt, network.get_output(i)) for i in range(network.num_outputs))
    for kind, found, wanted in (
        ("input", inputs, signature.inputs),
        ("output", outputs, signature.outputs),
    ):
        by_name = {one.name: one for one in found}
        for spec in wanted:
            one = by_name.get(spec.name)
            if one is None:
                if kind == "input":
                    continue  # nothing is computed from it, so the graph has dropped it
                raise ModelError(f"the engine would have no output {spec.name!r}")
            if one.dtype != spec.dtype:
                raise ModelError(
                    f"{kind} {spec.name!r} is {spec.dtype}, and {library.title} would make it "
                    f"{one.dtype}",
                    f"cast it at the model's border, so that it is {one.dtype} outside too",
                )
    return inputs, outputs


def _binding(trt: Any, tensor: Any) -> Binding:
    dims = tuple(tensor.shape)
    return Binding(tensor.name, numpy_name(trt, tensor.dtype), dims, bool(tensor.is_shape_tensor))


def numpy_name(trt: Any, dtype: Any) -> str:
    """numpy's name, or ml_dtypes', of one of the library's types."""
    return {
        "FLOAT": "float32",
        "HALF": "float16",
        "BF16": "bfloat16",
        "FP8": "float8_e4m3fn",
    }.get(dtype.name, dtype.name.lower())


def _bytes(
    loaders: Any, network: Any, config: Any, cache: Path | None, library: Library, heard: Any
) -> bytes:
    from polygraphy.exception import PolygraphyException

    saved = str(cache) if cache else None
    try:
        with warnings.catch_warnings():
            # Polygraphy gives every configuration a timing cache; TensorRT-RTX takes no notice.
            warnings.filterwarnings("ignore", r".*TensorRT-RTX", DeprecationWarning)
            warnings.filterwarnings("ignore", "Context managers for Tensor", DeprecationWarning)
            made = loaders.EngineBytesFromNetwork(network, config=config, save_timing_cache=saved)()
    except PolygraphyException as error:
        raise unbuilt(library.title, heard.errors, str(error)) from error
    return bytes(made)


def _devices(
    trt: Any, options: BuildOptions, library: Library, precision: str
) -> tuple[str, tuple[str, ...], bool]:
    """What an engine is built for: in words, as compute capabilities, and whether newer ones go."""
    if isinstance(options, RtxOptions):
        able = tuple(chosen(trt, options, precision))
        return ", ".join(map(sm, able)), able, False
    name, capability = gpu()
    if getattr(options, "compatibility", "") == "ampere+":
        return "sm_80 and newer", ("8.0",), True
    if getattr(options, "compatibility", "") == "same":
        return sm(capability), (capability,), False
    return f"{sm(capability)} ({name})", (capability,), False


def _server(
    trt: Any, options: BuildOptions, library: Library, built_for: str, shapes: Sequence[Profile]
) -> tuple[str, ...]:
    """What a server must have to open the engine, in sentences."""
    newer = getattr(options, "version_compatible", False)
    said = [
        f"the server needs {library.title} {trt.__version__}"
        + (" or a newer one of its major version" if newer else " and no other version")
        + f", and a GPU that the engine was built for: {built_for}"
    ]
    if newer:
        said.append("start it with --backend-config=tensorrt,version-compatible=true")
    if options.libraries and library is not RTX:
        names = ";".join(str(one) for one in options.libraries)
        said.append(f'start it with --backend-config=tensorrt,plugins="{names}"')
    if len(shapes) > 1 and library is not RTX:
        said.append("the server takes for each request the profile that is tuned nearest to it")
    return tuple(said)


def graph_of_weights(folder: Path) -> Path:
    """The ONNX file that a stripped engine takes its weights from."""
    return folder / WEIGHTS / onnx_format.FORMAT.filename
