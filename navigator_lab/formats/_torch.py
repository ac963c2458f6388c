"""What every format that comes from PyTorch shares: loading, the flat wrapper, tensors, trials.

It declares no format and no edge. Built artefacts take flat positional inputs in the signature's
order and give a flat tuple; only the source (and what is scripted from it) keeps its own call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navigator_lab.types import samples as sampling
from navigator_lab.types.plugin import Precision
from navigator_lab.types.pytree import flatten, unflatten
from navigator_lab.types.signature import BATCH, Signature

from ._identifiers import identifiers
from ._torch_reasons import said

if TYPE_CHECKING:
    import numpy as np
    import torch

    Arrays = dict[str, np.ndarray]

LOW = {Precision.FP16: "float16", Precision.BF16: "bfloat16"}


@dataclass(frozen=True, slots=True)
class Exported:
    """Value of what is built from a torch module.

    ``flat``: it takes the signature's inputs positionally and gives a flat tuple; else it is called
    as the source is. ``notes`` is what the exporter warned about.
    """

    flat: bool = True
    notes: tuple[str, ...] = ()


class CannotBuild(RuntimeError):
    """The exporter, or what it made, refused the model; the first line says why."""


def is_flat(value: Any) -> bool:
    """Does an artefact with this value take flat inputs? A source has no such value: it doesn't."""
    return isinstance(value, dict) and value.get("is") == "Exported" and bool(value.get("flat"))


def load(path: Path) -> torch.nn.Module:
    """The module in a ``model.pt``, on the CPU, in evaluation mode; its weights stay on disk until used."""
    import torch

    module = torch.load(path, map_location="cpu", weights_only=False, mmap=True)
    if not isinstance(module, torch.nn.Module):
        raise CannotBuild(f"{path.name} holds a {type(module).__name__}, not a torch.nn.Module")
    return module.eval()


def is_leaf(value: Any) -> bool:
    """What counts as one output: a tensor or a number."""
    import torch

    return isinstance(value, torch.Tensor | bool | int | float | complex)


def leaves(outputs: Any) -> list[torch.Tensor]:
    """The tensors of an answer, in order; numbers become rank-0 tensors."""
    import torch

    return [
        leaf if isinstance(leaf, torch.Tensor) else torch.tensor(leaf)
        for _, leaf in flatten(outputs, is_leaf)
    ]


def flat(module: torch.nn.Module, signature: Signature) -> torch.nn.Module:
    """``module`` behind positional tensors in the signature's order, giving a flat tuple of tensors."""
    import inspect

    import torch

    names = [spec.name for spec in signature.inputs]
    call = signature.call

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            args, kwargs = unflatten(call, dict(zip(names, tensors, strict=True)))
            return tuple(leaves(self.module(*args, **kwargs)))

    # Exporters name an artefact's inputs after the parameters of forward.
    said = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name in identifiers(names):
        said.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD))
    Flat.forward.__signature__ = inspect.Signature(said)  # type: ignore[attr-defined]
    return Flat().eval()


def tensor_of(array: np.ndarray) -> torch.Tensor:
    """A tensor of its own memory: a model that writes into its input must not change the feeds."""
    import numpy as np
    import torch

    array = np.asarray(array)
    if array.dtype.name == "bfloat16":  # numpy has it only by extension, torch can't read it
        return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array, order="C"))


def _shared(array: np.ndarray) -> torch.Tensor:
    """A tensor over the array's memory, where torch can have one."""
    import numpy as np
    import torch

    array = np.asarray(array)
    if array.dtype.name == "bfloat16" or not (array.flags.writeable and array.flags.c_contiguous):
        return tensor_of(array)
    return torch.from_numpy(array)


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """A numpy array of its own memory: the model may write into its output again."""
    import numpy as np
    import torch

    tensor = tensor.detach()
    here = (tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()).resolve_conj()
    here = here.resolve_neg()
    if here.dtype == torch.bfloat16:
        import ml_dtypes

        return here.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return np.asarray(here.numpy())


def tensors_of(feeds: Arrays, signature: Signature, device: Any = "cpu") -> list[torch.Tensor]:
    """Feeds in the signature's order, on the device, in memory of their own."""
    import torch

    missing = [spec.name for spec in signature.inputs if spec.name not in feeds]
    if missing:
        raise ValueError(f"the feeds lack the inputs {missing}; they have {sorted(feeds)}")
    if torch.device(device).type == "cpu":
        return [tensor_of(feeds[spec.name]) for spec in signature.inputs]
    # The transfer is a copy: another one on the host before it would only cost time.
    return [_shared(feeds[spec.name]).to(device) for spec in signature.inputs]


def trials(samples: list[Arrays], signature: Signature) -> list[tuple[str, Arrays]]:
    """Feeds that differ in every axis that varies: the first is what to export with.

    An exporter takes a size of one for a constant, so the first has a batch of two or more, and
    the sample whose varying axes are largest. The others have a batch of one and one more.
    """

    def spread(index: int) -> int:
        sizes = [1]
        for spec in signature.inputs:
            shape = samples[index][spec.name].shape
            sizes += [
                shape[i] for i, s in enumerate(spec.shape) if isinstance(s, str) and s != BATCH
            ]
        return min(sizes[1:] or sizes)

    order = sorted(range(len(samples)), key=spread, reverse=True)
    if not signature.batched:
        return [(f"sample {i}", dict(samples[i])) for i in dict.fromkeys([*order[:1], order[-1]])]
    low, high = _range(signature)
    batches = [b for b in dict.fromkeys((2, 1, 3)) if low <= b <= high] or [low]
    best = samples[order[0]]
    made = [(f"batch {b}", sampling.together([best] * b, signature)) for b in batches]
    if order[-1] != order[0]:
        b = batches[0]
        other = sampling.together([samples[order[-1]]] * b, signature)
        made.append((f"sample {order[-1]} at batch {b}", other))
    return made


def _range(signature: Signature) -> tuple[int, int]:
    try:
        axis = signature.axis(BATCH)
    except KeyError:
        return 1, 8
    return axis.min, axis.max


def prove(
    what: str,
    run: Callable[..., Any],
    tried: list[tuple[str, Arrays]],
    signature: Signature,
    device: str = "cpu",
) -> None:
    """Run a built artefact on every trial; what fits only the shape that it was built with is no good.

    Raises:
        CannotBuild: it refused one, or gave the size of another; the size is named.
    """
    import torch

    for name, feeds in tried:
        try:
            with torch.inference_mode():
                answer = leaves(run(*tensors_of(feeds, signature, device)))
        except Exception as error:  # foreign code: any class may come
            first = tried[0][0]
            which = f"was built at {first} but refuses {name}" if name != first else "does not run"
            raise CannotBuild(f"{what} {which}: {said(error)}") from error
        wrong = _misfit(answer, feeds, signature)
        if wrong:
            raise CannotBuild(f"{what} was built at {tried[0][0]}, and at {name} {wrong}")


def _misfit(answer: list[torch.Tensor], feeds: Arrays, signature: Signature) -> str:
    """What is wrong with the sizes of an answer, as far as the sizes of the inputs tell; or ""."""
    sizes = {
        axis: size
        for spec in signature.inputs
        for axis, size in zip(spec.shape, feeds[spec.name].shape, strict=True)
        if isinstance(axis, str)
    }
    if len(answer) != len(signature.outputs):
        return f"gives {len(answer)} outputs instead of {len(signature.outputs)}"
    for spec, tensor in zip(signature.outputs, answer, strict=True):
        right = [
            sizes.get(axis, size) if isinstance(axis, str) else size
            for axis, size in zip(spec.shape, tensor.shape, strict=False)
        ]
        if right != list(tensor.shape):
            return f"gives {spec.name!r} the shape {list(tensor.shape)} instead of {right}"
    return ""


@contextmanager
def quiet_build() -> Iterator[list[str]]:
    """Build without gradients and without fused attention paths that hold shapes; gives the warnings heard."""
    import torch

    heard: list[str] = []
    fast = torch.backends.mha.get_fastpath_enabled()
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("default")
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield heard
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for one in caught:
                # That a whole exporter is on its way out is known to us and says nothing of a model.
                if not issubclass(one.category, DeprecationWarning | FutureWarning):
                    text = said(one.message)
                    if text not in heard:
                        heard.append(text)
