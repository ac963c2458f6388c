"""TensorRT and TensorRT-RTX: run engines on CUDA, each call in the profile that is tuned nearest.

What an engine was built by and for is held against what is here before the library sees it: its own
words for that are few.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError
from navigator_lab.formats.tensorrt import FORMAT, RTX, Engine
from navigator_lab.formats.tensorrt import library as libraries
from navigator_lab.formats.tensorrt.build import graph_of_weights
from navigator_lab.formats.tensorrt.engine import fits_device, fits_version
from navigator_lab.formats.tensorrt.reasons import explain, helps
from navigator_lab.types.plugin import Opening, option, runner

from ._cuda import Cuda, device
from ._tensorrt import Contexts, Session

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")


@dataclass(frozen=True, slots=True)
class TrtRunOptions:
    """How an engine is run."""

    cuda_graph: bool = option(
        False, "record each shape's kernels once as a CUDA graph and replay them: no launch cost"
    )
    runtime_cache: bool = option(
        True, "of TensorRT-RTX: keep what it compiles for this GPU, and open the engine sooner"
    )


@runner(
    "trt",
    FORMAT.name,
    devices=("cuda",),
    precisions=PRECISIONS,
    family="TensorRT",
    needs=(*libraries.TENSORRT.needs, "numpy", "ml_dtypes"),
    options=TrtRunOptions,
    apart=libraries.TENSORRT.name,
    explain=explain,
)
@contextmanager
def trt(model: Product, opening: Opening) -> Iterator[Session]:
    """TensorRT on CUDA."""
    with _opened(model, opening, libraries.TENSORRT) as running:
        yield running


@runner(
    "trt-rtx",
    RTX.name,
    devices=("cuda",),
    precisions=PRECISIONS,
    family="TensorRT",
    needs=(*libraries.RTX.needs, "numpy", "ml_dtypes"),
    options=TrtRunOptions,
    apart=libraries.RTX.name,
    explain=explain,
)
@contextmanager
def trt_rtx(model: Product, opening: Opening) -> Iterator[Session]:
    """TensorRT-RTX on CUDA; it finishes its engine for this GPU when it opens it."""
    with _opened(model, opening, libraries.RTX) as running:
        yield running


@contextmanager
def _opened(model: Product, opening: Opening, library: libraries.Library) -> Iterator[Session]:
    options = opening.options or TrtRunOptions()
    engine = model.read(Engine)
    api = libraries.loaded(library)
    fits_version(engine, library.title, api.__version__)
    with device(opening.target.device.index or 0) as cuda:
        fits_device(engine, library.title, cuda.capability, str(opening.target.device))
        plan = _deserialized(api, engine, model.path, library)
        with _contexts(api, plan, library, options, cuda) as contexts:
            # TensorRT-RTX records by itself, as its kernels may still be compiled meanwhile.
            graphs = options.cuda_graph and library is not libraries.RTX
            errors = libraries.log(api).errors
            made = Session(api, engine, contexts, cuda, errors, graphs)
            try:
                yield made
            finally:
                made.close()


def _deserialized(api: Any, engine: Engine, folder: Path, library: libraries.Library) -> Any:
    """The engine on the device, with its weights.

    Raises:
        NavigatorError: the library refuses it, in its words.
    """
    heard = libraries.log(api)
    heard.errors.clear()
    for plugin in engine.plugins:
        ctypes.CDLL(plugin)
    runtime = api.Runtime(heard)
    if engine.any_version:
        runtime.engine_host_code_allowed = True  # it carries the runtime that reads it
    made = runtime.deserialize_cuda_engine((folder / FORMAT.filename).read_bytes())
    if made is not None and engine.weights == "stripped":
        refitter = api.Refitter(made, heard)
        parser = api.OnnxParserRefitter(refitter, heard)
        if (
            not parser.refit_from_file(str(graph_of_weights(folder)))
            or not refitter.refit_cuda_engine()
        ):
            made = None
    if made is None:
        said = "; ".join(" ".join(one.split()) for one in heard.errors)[:500] or "it says no more"
        raise NavigatorError(f"{library.title} can't open the engine: {said}", helps(said))
    return made


@contextmanager
def _contexts(
    api: Any, plan: Any, library: libraries.Library, options: TrtRunOptions, cuda: Cuda
) -> Iterator[Contexts]:
    """Execution contexts; on leaving, what TensorRT-RTX compiled is kept for the next opening."""
    config = cache = file = None
    if library is libraries.RTX:
        config = plan.create_runtime_config()
        if options.cuda_graph:
            config.cuda_graph_strategy = api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if options.runtime_cache:
            file = libraries.kept(library.name, api.__version__, libraries.sm(cuda.capability))
            cache = config.create_runtime_cache()
            if file.is_file():
                cache.deserialize(file.read_bytes())  # of another driver: it is left empty
            config.set_runtime_cache(cache)
    made = Contexts(plan, config)
    try:
        yield made
        if cache is not None and file is not None:
            _keep(cache, file)
    finally:
        made.by_profile.clear()


def _keep(cache: Any, file: Path) -> None:
    """Whole or not at all; of two that open at once, the later one's stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(f".{os.getpid()}")
    aside.write_bytes(bytes(cache.serialize()))
    aside.replace(file)
