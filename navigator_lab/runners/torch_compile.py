"""torch.compile: the module's Python stays, inductor's kernels run under it.

`compile-graphs` is the mode that also records CUDA graphs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from navigator_lab.formats._torch_reasons import compiler, explain
from navigator_lab.formats.torch_module import FORMAT
from navigator_lab.types.plugin import Opening, Proposal, option, runner

from ._torch import OF_MODULES, Session, refuses, session
from ._torch_ahead import Ahead
from .torch_eager import CHANNELS_LAST, images, on

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """How a module is compiled."""

    mode: str = option(
        "default",
        "how long inductor searches: max-autotune times kernels on the device",
        choices=("default", "max-autotune-no-cudagraphs"),
    )
    dynamic: bool | None = option(
        None,
        "None: dynamic from the second shape on; True: from the first; False: one code a shape",
    )
    fullgraph: bool = option(False, "fail if a part of the forward must stay in Python")
    channels_last: bool = option(False, "weights and 4-D inputs in channels-last memory format")


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How a module is compiled and recorded."""

    mode: str = option(
        "reduce-overhead",
        "reduce-overhead records what inductor gives; max-autotune searches longer before",
        choices=("reduce-overhead", "max-autotune"),
    )
    dynamic: bool | None = option(
        None,
        "None: dynamic from the second shape on; True: from the first; False: one code a shape",
    )
    fullgraph: bool = option(False, "fail if a part of the forward must stay in Python")
    channels_last: bool = option(False, "weights and 4-D inputs in channels-last memory format")


# Each shape is recorded by itself anyway; code for that shape alone is quicker, and made each time.
ONE_CODE_A_SHAPE = Proposal({"channels_last": True, "dynamic": False}, ("cuda",), images)


@runner(
    "compile",
    FORMAT.name,
    devices=("cpu", "cuda"),
    precisions=OF_MODULES,
    refuses=refuses,
    family="PyTorch",
    needs=("torch",),
    options=CompileOptions,
    fresh=True,  # its pool of compiler processes ends with it
    timeout_s=1800,
    check=compiler,
    explain=explain,
)
@contextmanager
def compile(model: Product, opening: Opening) -> Iterator[Session]:
    """torch.compile with inductor."""
    with _opened(model, opening, opening.options or CompileOptions()) as running:
        yield running


@runner(
    "compile-graphs",
    FORMAT.name,
    devices=("cuda",),
    precisions=OF_MODULES,
    refuses=refuses,
    family="PyTorch",
    needs=("torch",),
    options=GraphOptions,
    proposes=(CHANNELS_LAST, ONE_CODE_A_SHAPE),
    fresh=True,  # its pools of device memory are given back only with the process
    timeout_s=1800,
    check=compiler,
    explain=explain,
)
@contextmanager
def compile_graphs(model: Product, opening: Opening) -> Iterator[Session]:
    """torch.compile with inductor and CUDA graphs."""
    with _opened(model, opening, opening.options or GraphOptions()) as running:
        yield running


def compiled(module: torch.nn.Module, options: CompileOptions | GraphOptions) -> Any:
    """The module as torch.compile gives it back: nothing is made before its first call."""
    import torch

    return torch.compile(
        module, mode=options.mode, dynamic=options.dynamic, fullgraph=options.fullgraph
    )


@contextmanager
def _opened(
    model: Product, opening: Opening, options: CompileOptions | GraphOptions
) -> Iterator[Session]:
    import torch
    import torch._dynamo.config
    from torch._dynamo.exc import FailOnRecompileLimitHit

    # Inductor writes the number of threads into its code. With all of them, what is compared is
    # what is timed, and the second process finds the first one's code in inductor's cache.
    opening = replace(opening, options=options, threads=None)
    closing = ExitStack()

    def load(device: torch.device) -> Any:
        module = on(device, model, options.channels_last)
        made = Ahead(compiled(module, options), model, opening, compiled)
        closing.callback(made.close)

        def call(*args: Any, **kwargs: Any) -> Any:
            if isinstance(options, GraphOptions):
                torch.compiler.cudagraph_mark_step_begin()
            try:
                return made(*args, **kwargs)
            except FailOnRecompileLimitHit as error:
                limit = torch._dynamo.config.recompile_limit
                raise RuntimeError(
                    f"more than {limit} kinds of shapes were compiled (recompile_limit)"
                ) from error

        return call

    torch.compiler.reset()
    # Else dynamo runs the module eagerly after too many shapes, and what is timed is not compiled.
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True), closing:
        try:
            with session(opening, load, channels_last=options.channels_last) as running:
                yield running
        finally:
            torch.compiler.reset()
