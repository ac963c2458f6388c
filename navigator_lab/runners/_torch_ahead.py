"""A second process that compiles the code for larger batches while the first is at the small one's.

torch.compile makes code for one kind of shape after the other, mostly in one thread: DenseNet-121
takes it a minute alone and another in a batch. Both processes share inductor's cache on disk, where
the first one finds what the second has made. It is a head start and nothing else: what the second
can't do, the first does itself. On CUDA there is none, it would hold the model on the device twice.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from ._torch import session
from .torch_eager import on

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product
    from navigator_lab.types.plugin import Opening

    Compile = Callable[..., Any]

PATIENCE_S = 10.0  # of the first call; what compiles sooner is not worth a process


class Ahead:
    """Calls ``made``, with a process beside it if the first call takes long and others come."""

    def __init__(
        self,
        made: Callable[..., Any],
        model: Product,
        opening: Opening,
        compiled: Compile,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._made = made
        self._first: Any = None
        self._process: BaseProcess | None = None
        self._lock = threading.Lock()
        spawned = multiprocessing.get_context("spawn").Process(
            target=compile_last, args=(model, opening, compiled), daemon=True
        )
        self._timer = threading.Timer(patience_s, self._start, (spawned,))
        self._timer.daemon = True
        if len(opening.calls) > 1 and opening.target.device.kind == "cpu":
            self._timer.start()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        seen = _shapes(args, kwargs)
        if self._first is None:
            self._first = seen
        elif seen != self._first:
            self._meet()
        return self._made(*args, **kwargs)

    def _start(self, process: BaseProcess) -> None:
        with self._lock:
            if self._process is None:
                process.start()
                self._process = process

    def _meet(self) -> None:
        """Wait for what the other process is making; if it hasn't begun, it never will."""
        self._timer.cancel()
        with self._lock:
            process = self._process
        if process is not None:
            process.join()

    def close(self) -> None:
        """End the other process."""
        self._timer.cancel()
        with self._lock:
            process = self._process
        if process is not None and process.is_alive():
            process.kill()
            process.join()


def compile_last(model: Product, opening: Opening, compiled: Compile) -> None:
    """Make the code for the last of ``opening.calls``, as a process would that had made the others.

    Which sizes become variables depends on what was called before, so the others are traced here
    too, but not compiled.
    """
    import numpy as np

    def load(device: torch.device) -> Callable[..., Any]:
        import torch

        module = on(device, model, opening.options.channels_last)
        traced = torch.compile(module, backend="eager", dynamic=opening.options.dynamic)
        made = compiled(module, opening.options)
        left = len(opening.calls)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            return (traced if left else made)(*args, **kwargs)

        return call

    plain = replace(opening, threads=None)
    with session(plain, load, channels_last=opening.options.channels_last) as running:
        for shapes in opening.calls:
            feeds = {
                spec.name: np.zeros(shapes[spec.name], spec.dtype)
                for spec in opening.signature.inputs
            }
            running.run(running.put(feeds))


def _shapes(*given: Any) -> list[Any]:
    import torch
    from torch.utils import _pytree as tree

    return [v.shape for v in tree.tree_leaves(given) if isinstance(v, torch.Tensor)]
