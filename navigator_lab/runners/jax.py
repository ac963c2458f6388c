"""JAX: a jitted function called as it is, and the StableHLO that was exported of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError
from navigator_lab.formats import _jax as shared
from navigator_lab.formats.jax_function import FORMAT as JAX
from navigator_lab.formats.stablehlo import FORMAT as STABLEHLO
from navigator_lab.types.plugin import Opening, runner
from navigator_lab.types.pytree import unflatten

if TYPE_CHECKING:
    import numpy as np

    from navigator_lab.types.outcome import Product

    Arrays = dict[str, np.ndarray]

RUNS: Any = {
    "devices": ("cpu", "cuda"),
    "precisions": ("fp32",),
    "family": "JAX",
    "needs": shared.NEEDS,
    "device_needs": {"cuda": ("jax-cuda12-plugin|jax-cuda13-plugin",)},
    "apart": shared.APART,
}


class Session:
    """A function of named arrays, on a device of JAX's."""

    def __init__(self, call: Callable[[dict[str, Any]], dict[str, Any]], device: Any) -> None:
        self.call, self.device = call, device

    def put(self, feeds: Arrays) -> dict[str, Any]:
        import jax

        made = {name: jax.device_put(array, self.device) for name, array in feeds.items()}
        return jax.block_until_ready(made)

    def run(self, bound: dict[str, Any]) -> dict[str, Any]:
        import jax

        with jax.default_matmul_precision("highest"):  # a GPU would take TF32 for fp32
            return jax.block_until_ready(self.call(bound))

    def get(self, raw: dict[str, Any]) -> Arrays:
        import numpy as np

        return {name: np.asarray(array) for name, array in raw.items()}


@runner("jax", JAX.name, reference=True, **RUNS)
@contextmanager
def jax_(model: Product, opening: Opening) -> Iterator[Session]:
    """JAX, the jitted function itself."""
    function, signature = shared.load(model.path / JAX.filename), opening.signature
    known = [spec.name for spec in signature.outputs]

    def call(arrays: dict[str, Any]) -> dict[str, Any]:
        args, kwargs = unflatten(signature.call, arrays)
        leaves = shared.leaves(function(*args, **kwargs))
        names = known or [name for name, _ in leaves]
        return dict(zip(names, (leaf for _, leaf in leaves), strict=True))

    yield Session(call, _device(opening))


@runner("stablehlo", STABLEHLO.name, **RUNS)
@contextmanager
def stablehlo(model: Product, opening: Opening) -> Iterator[Session]:
    """XLA, from StableHLO; compiled anew for each shape."""
    import jax
    import jax.export

    program = jax.export.deserialize(bytearray((model.path / STABLEHLO.filename).read_bytes()))
    compiled = jax.jit(program.call)
    inputs = [spec.name for spec in opening.signature.inputs]
    outputs = [spec.name for spec in opening.signature.outputs]

    def call(arrays: dict[str, Any]) -> dict[str, Any]:
        answer = compiled(*[arrays[name] for name in inputs])
        return dict(zip(outputs, answer, strict=True))

    yield Session(call, _device(opening))


def _device(opening: Opening) -> Any:
    """The device of JAX's that is meant.

    Raises:
        NavigatorError: JAX sees no such GPU.
    """
    import jax

    wanted = opening.target.device
    try:
        found = jax.devices("cuda" if wanted.kind == "cuda" else "cpu")
    except RuntimeError as error:
        raise NavigatorError(f"JAX sees no GPU: {error}", "pip install 'jax[cuda13]'") from error
    index = wanted.index or 0
    if index >= len(found):
        raise NavigatorError(f"JAX sees {len(found)} GPUs, so there is no GPU {index} for it", "")
    return found[index]
