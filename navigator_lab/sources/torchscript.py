"""A TorchScript file, or a ScriptModule that was traced, scripted or loaded."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .arrays import of_file, of_tensor
from .captured import Captured, How, safe_name, variant
from .files import kind_of

FILENAME = "model.pt"
# Names of types are numbered by how many a process has seen, and instances shown by address.
_PASSING = re.compile(r"___torch_mangle_\d+\.?|object at 0x[0-9a-f]+|#.*")


def recognise(model: Any) -> bool:
    """True if it is a TorchScript file or ScriptModule."""
    if isinstance(model, Path):
        return kind_of(model) == "torchscript"
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.jit.ScriptModule)


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    if not isinstance(model, Path):
        _check(model)
        made = safe_name(re.sub(_PASSING, "", model.original_name or "model"))
        return _captured(model, made, _fingerprint(model), lambda folder: _save(model, folder))
    path = model
    loaded = load(path)

    def write(folder: Path) -> None:
        shutil.copyfile(path, folder / FILENAME)

    return _captured(loaded, safe_name(path.stem), of_file(path, how.hashes), write)


def load(path: Path) -> Any:
    """The ScriptModule of a file, on the CPU.

    Raises:
        ModelError: it is damaged.
    """
    import torch

    try:
        with _quiet():
            module = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(
            f"{str(path)!r} is no whole TorchScript file: {str(error).splitlines()[0]}",
            "download or save it again",
        ) from None
    _check(module)
    return module


def _check(module: Any) -> None:
    if not module._c._has_method("forward"):
        raise ModelError(
            f"the TorchScript module {module.original_name} has no forward method",
            "script or trace a module with a forward method",
        )


def _captured(module: Any, name: str, digest: str, write: Any) -> Captured:
    arguments = module._c._get_method("forward").schema.arguments[1:]
    return Captured(
        name=name,
        variant=variant("torchscript"),
        fingerprint=digest,
        write=write,
        parameters=tuple(a.name for a in arguments if not a.kwarg_only),
        keywords=tuple(a.name for a in arguments if a.kwarg_only),
        required=tuple(a.name for a in arguments if not a.has_default_value()),
    )


def _fingerprint(module: Any) -> str:
    """Its code, attributes and weights; not the archive, which numbers and dates things."""
    text = module._c.dump_to_str(code=True, attrs=True, params=False)
    whole = hashlib.sha256(re.sub(_PASSING, "", text).encode())
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        whole.update(f"{name}={of_tensor(tensor)}".encode())
    return whole.hexdigest()


def _save(module: Any, folder: Path) -> None:
    with _quiet():
        module.save(str(folder / FILENAME))


class _quiet(warnings.catch_warnings):  # noqa: N801 — used like a function
    """Without torch's notice that TorchScript is deprecated: the user has chosen."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        return entered
