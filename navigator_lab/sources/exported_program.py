"""A ``.pt2`` file, or a live ``torch.export.ExportedProgram``."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

from ..errors import ModelError, TrustError
from .arrays import of_tensor
from .captured import Captured, How, one_file, variant
from .files import kind_of

FILENAME = "model.pt2"


def recognise(model: Any) -> bool:
    """True if it is a .pt2 file or ExportedProgram."""
    if isinstance(model, Path):
        return kind_of(model) == "pt2"
    torch = sys.modules.get("torch")
    export = getattr(torch, "export", None)
    return export is not None and isinstance(model, export.ExportedProgram)


def capture(model: Any, how: How) -> Captured:
    """Take it in; raises ModelError (or TrustError) with the remedy."""
    if isinstance(model, Path):
        return _of_file(model, how)

    def write(folder: Path) -> None:
        import torch

        torch.export.save(model, folder / FILENAME)

    return Captured(
        name="exported_program",
        variant=variant("torch-export"),
        fingerprint=_fingerprint(model),
        write=write,
        **_names(model),
    )


def _of_file(path: Path, how: How) -> Captured:
    import torch

    if not how.trust:
        _check_trust(path)
    try:
        program = torch.export.load(path)
    except Exception as error:  # noqa: BLE001 — its reader raises anything on a damaged file
        raise ModelError(
            f"{str(path)!r} can't be read as an exported program: {type(error).__name__}: {error}",
            "save it again with torch.export.save, with a torch no newer than this one "
            f"({torch.__version__})",
        ) from None
    return one_file(path, "torch-export", FILENAME, how, **_names(program))


def _names(program: Any) -> dict[str, Any]:
    """What is captured of the positional and the keyword arguments it was exported with."""
    signature = program.module_call_graph[0].signature
    positional, keyword = signature.in_spec.children()
    keywords = tuple(keyword.context or ())
    names = signature.forward_arg_names
    if names is None:
        return {"parameters": None, "keywords": keywords}
    found = tuple(n for n in names if n not in keywords)[: positional.num_children]
    return {"parameters": found, "keywords": keywords, "required": found}


def _fingerprint(program: Any) -> str:
    whole = hashlib.sha256(program.graph_module.print_readable(print_output=False).encode())
    for fact in (program.graph_signature, program.range_constraints, program.call_spec):
        whole.update(str(fact).encode())
    for kind in (program.state_dict, program.constants):
        for name, value in kind.items():
            import torch

            shown = of_tensor(value) if isinstance(value, torch.Tensor) else repr(value)
            whole.update(f"{name}={shown}".encode())
    return whole.hexdigest()


def _check_trust(path: Path) -> None:
    """Torch's reader falls back to plain pickle for what its safe one refuses, so look first.

    Raises:
        TrustError: a member of the archive can only be opened by running its pickle.
        ModelError: it holds a compiled library instead of a program.
    """
    import torch

    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        if any("/aotinductor/" in name for name in names):
            raise ModelError(
                f"{str(path)!r} holds a compiled library (AOTInductor), no program to convert",
                "give the ExportedProgram or module that it was compiled from",
            )
        pickled = {n for n in names if n.endswith(".pt")}
        for name in names:
            if name.endswith("_config.json") and "/data/" in name:
                folder = name.rpartition("/")[0]
                for one in _pickles(json.loads(file.read(name))):
                    pickled.add(f"{folder}/{one}")
        for name in sorted(pickled & set(names)):
            content = file.read(name)
            if not content:
                continue
            try:
                torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
                raise TrustError(
                    f"{str(path)!r} carries a pickled object in {name.partition('/')[2]}: "
                    "opening it can run any code",
                    "trust=True if you know where it comes from; or save it without custom objects",
                ) from error


def _pickles(config: Any) -> list[str]:
    """Names of the members that the archive says are pickled."""
    return [
        str(one["path_name"])
        for one in config.get("config", {}).values()
        if isinstance(one, dict) and one.get("use_pickle") and "path_name" in one
    ]
