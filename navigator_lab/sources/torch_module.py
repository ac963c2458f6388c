"""A live ``torch.nn.Module``, or a pickled one in a file that the user trusts.

Written with ``torch.save`` through cloudpickle: classes from a notebook or from modules that
aren't installed are carried by value, so that a worker or a server opens it without those files.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, TrustError
from .captured import Captured, How, call_of, safe_name, variant
from .files import kind_of
from .fingerprint import Identity

if TYPE_CHECKING:
    import torch

FILENAME = "model.pt"


def recognise(model: Any) -> bool:
    """True if it is a torch module, its class, or a pickled file."""
    if isinstance(model, Path):
        return kind_of(model) in ("torch", "pickle")
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    return isinstance(model, torch.nn.Module) or (
        isinstance(model, type) and issubclass(model, torch.nn.Module)
    )


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    if isinstance(model, Path):
        from dataclasses import replace

        return replace(_capture(_unpickled(model, how.trust)), name=safe_name(model.stem))
    if isinstance(model, type):
        raise ModelError(
            f"{model.__qualname__} is a class, not a model",
            f"make one: {model.__qualname__}(...), with its trained weights",
        )
    return _capture(model)


def _capture(model: Any) -> Captured:
    import torch

    if isinstance(model, torch.jit.ScriptModule):
        from . import torchscript

        return torchscript.capture(model, How())
    module, notes = _unwrapped(model)
    _check(module)
    identity = Identity()
    digest = identity.of_module(module)
    call = call_of(module.forward)
    return Captured(
        name=safe_name(type(module).__name__),
        variant=variant("torch"),
        fingerprint=digest,
        write=lambda folder: _write(module, folder / FILENAME, identity.modules),
        parameters=call.parameters,
        keywords=call.keywords,
        variadic=call.variadic,
        required=call.required,
        notes=(*notes, *_notes(module)),
    )


def _unwrapped(module: Any) -> tuple[torch.nn.Module, list[str]]:
    """The model inside wrappers that only say how it is run."""
    import torch

    notes = []
    while True:
        if type(module).__name__ == "OptimizedModule" and hasattr(module, "_orig_mod"):
            module = module._orig_mod
            notes.append("torch.compile was taken off: compile is a runner here")
        elif isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            notes.append(f"{type(module).__name__} was taken off")
            module = module.module
        else:
            return module, notes


def _check(module: torch.nn.Module) -> None:
    """What can be seen beforehand to be impossible.

    Raises:
        ModelError: it has no weights yet, or can't be written.
    """
    import torch
    from torch.nn.utils import parametrize

    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
            raise ModelError(
                f"{name} has no shape yet: the module is lazy",
                "call the model once on a sample before giving it",
            )
        if tensor.device.type == "meta":
            raise ModelError(
                f"{name} has no numbers: it is on the meta device",
                "load the weights (model.to_empty(device='cpu'), then load_state_dict)",
            )
    for name, child in module.named_modules():
        if parametrize.is_parametrized(child):
            weights = ", ".join(child.parametrizations)
            raise ModelError(
                f"{name or 'the model'} has parametrizations ({weights}), which torch can't save",
                "torch.nn.utils.parametrize.remove_parametrizations(module, name), for each",
            )
    if type(module).forward is torch.nn.Module.forward and "forward" not in vars(module):
        raise ModelError(
            f"{type(module).__qualname__} has no forward()",
            "give the module that is called, with a forward method",
        )


def _notes(module: torch.nn.Module) -> Iterator[str]:
    import torch

    if module.training:
        yield "the model was in train mode; it is judged in eval mode (the model given is unchanged)"
    kinds = {p.dtype for p in module.parameters() if p.dtype.is_floating_point}
    if kinds and torch.float32 not in kinds:
        shown = ", ".join(sorted(str(k).removeprefix("torch.") for k in kinds))
        yield f"its weights are {shown}: the row called fp32 is the model as it was given"


def _unpickled(path: Path, trust: bool) -> Any:
    """What a pickled file holds, if it is a model.

    Raises:
        TrustError: it could run code, and nobody said that it may.
        ModelError: it is damaged, or holds only weights.
    """
    import torch

    shown = repr(str(path))
    loaded: Any = None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_archive(path))
    except pickle.UnpicklingError:  # it names classes or functions: opening it runs code
        if not trust:
            raise TrustError(
                f"{shown} is a pickled object: opening it can run any code that it carries",
                "trust=True if you know where it comes from; or give the module itself, "
                "TorchScript, .pt2 or ONNX",
            ) from None
        loaded = _opened(path)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{shown} is damaged: {error}", "download or save it again") from None
    if isinstance(loaded, torch.nn.Module):
        return loaded
    if _weights(loaded):
        raise ModelError(
            f"{shown} holds only weights (a state dict), no model",
            "make the model, model.load_state_dict(torch.load(path)), and give the model",
        )
    raise ModelError(
        f"{shown} holds a {type(loaded).__module__}.{type(loaded).__qualname__}, not a module",
        "save the module itself: torch.save(model, path)",
    )


def _opened(path: Path) -> Any:
    import torch

    # Unpickling runs foreign code, which may raise anything.
    try:
        return torch.load(path, map_location="cpu", weights_only=False, mmap=_archive(path))
    except Exception as error:  # unpickling runs foreign code: any class may come
        raise ModelError(
            f"{str(path)!r} can't be opened: {type(error).__name__}: {error}",
            "run where the code of its classes can be imported",
        ) from error


def _archive(path: Path) -> bool:
    """True if torch wrote it as a zip, which can be mapped; the older form can't."""
    return kind_of(path) == "torch"


def _weights(loaded: Any) -> bool:
    """A state dict, or the usual dict around one."""
    import torch

    if isinstance(loaded, torch.Tensor):
        return True
    if isinstance(loaded, list | tuple):
        return any(_weights(one) for one in loaded)
    return isinstance(loaded, dict) and any(_weights(one) for one in loaded.values())


def _write(module: torch.nn.Module, path: Path, modules: set[str]) -> None:
    """Stream the module into a file; the module itself stays as it is.

    Raises:
        ModelError: something in it can't be pickled.
    """
    import torch

    class OnCpu(_pickler()):  # type: ignore[misc]
        """Writes what lies on a GPU as if it lay in memory: the reader may have no GPU."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._kept: list[Any] = []  # torch.save reads the numbers only at its end

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, torch.Tensor) and value.device.type not in ("cpu", "meta"):
                moved = value.detach().cpu()
                if isinstance(value, torch.nn.Parameter):
                    moved = torch.nn.Parameter(moved, value.requires_grad)
                self._kept.append(moved)
                return moved.__reduce_ex__(2)
            return super().reducer_override(value)

    with carried_by_value(modules):
        try:
            torch.save(module, path, pickle_module=_as_module(OnCpu))
        except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelError(
                f"{type(module).__qualname__} can't be written: {error}",
                "take what can't be pickled (open files, locks, generators, connections) out of "
                "the module, or make it in forward",
            ) from error


def _pickler() -> type:
    import cloudpickle

    return cloudpickle.Pickler  # type: ignore[no-any-return]


def _as_module(pickler: type) -> Any:
    import cloudpickle

    made = types.ModuleType("navigator_lab_pickle")
    made.Pickler = pickler  # type: ignore[attr-defined]
    made.dump, made.dumps = cloudpickle.dump, cloudpickle.dumps  # type: ignore[attr-defined]
    made.load, made.loads = cloudpickle.load, cloudpickle.loads  # type: ignore[attr-defined]
    return made


@contextmanager
def carried_by_value(modules: set[str]) -> Iterator[None]:
    """Let cloudpickle carry the code of these modules along, as it does for a notebook's."""
    import cloudpickle

    known = cloudpickle.list_registry_pickle_by_value()
    ours = [
        sys.modules[name]
        for name in sorted(modules)
        if name in sys.modules and name != "__main__" and name not in known
    ]
    for module in ours:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in ours:
            cloudpickle.unregister_pickle_by_value(module)
