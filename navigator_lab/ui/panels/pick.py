"""Section 1: models and samples that can be picked, and what an opened session is."""

from __future__ import annotations

import os
import platform
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...types.codec import encode

DIGITS = "digits"
PATH = "path"
_MODEL_FILES = (".onnx", ".pt2", ".ts", ".torchscript")
_KERNELS_OWN = {"In", "Out", "get_ipython", "exit", "quit", "open", "display"}


def models(namespace: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What may be a model: the notebook's variables, files beside it, the built-in one, a path."""
    found: list[dict[str, Any]] = []
    for name, value in _variables(namespace):
        if words := _model_words(value):
            found.append(
                {"id": f"var:{name}", "group": "Variables of this notebook", "label": name, "words": words}
            )  # fmt: skip
    found.sort(key=lambda one: one["words"].startswith("Python callable"))
    found += _files(folder, _MODEL_FILES)
    found.append({"id": DIGITS, "group": "Built in", "label": "digits: a small CNN, with samples",
                  "words": "Trained on scikit-learn’s digits in seconds, then kept; needs torch"})  # fmt: skip
    found.append({"id": PATH, "group": "Elsewhere", "label": "a file by its path",
                  "words": "", "path": True})  # fmt: skip
    return found


def samples(namespace: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What may be samples of it."""
    found: list[dict[str, Any]] = []
    for name, value in _variables(namespace):
        if words := _samples_words(value):
            found.append(
                {"id": f"var:{name}", "group": "Variables of this notebook", "label": name, "words": words}
            )  # fmt: skip
    found += _files(folder, (".npz",))
    found.append({"id": PATH, "group": "Elsewhere", "label": "a file by its path",
                  "words": "", "path": True})  # fmt: skip
    return found


def machine(host: Any = None) -> dict[str, str]:
    """The machine in words."""
    if host is None:
        cores = os.cpu_count() or 1
        return {"name": platform.machine(), "words": f"{cores} cores · {platform.system()}"}
    gpus = ", ".join(gpu.name for gpu in host.gpus) or "no GPU"
    flags = [f for f in host.cpu_flags if f.startswith(("amx", "avx512_bf16", "avx512_vnni"))]
    words = [f"{host.cores} cores", f"{host.memory_bytes / 1e9:.0f} GB memory", gpus]
    return {"name": host.cpu, "words": " · ".join([*words, *flags[:3]])}


def opened(lab: Any) -> dict[str, Any]:
    """What a session says of its model."""
    signature = lab.signature
    return {
        "name": lab.name,
        "model": lab.run_data.model,
        "reference": lab.run_data.reference,
        "notes": list(lab.notes),
        "signature": {
            "inputs": [encode(s) for s in signature.inputs],
            "outputs": [encode(s) for s in signature.outputs],
            "axes": [encode(a) for a in signature.axes],
        },
    }


def as_open(lab: Any) -> dict[str, Any]:
    """The entry of what a cell opened: it is shown, and can't be opened anew from here."""
    return {"id": "open", "group": "Open", "label": f"{lab.name}, opened in a cell",
            "words": lab.run_data.model}  # fmt: skip


def _variables(namespace: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (name, value)
        for name, value in list(namespace.items())
        if not name.startswith("_") and name not in _KERNELS_OWN
        and not isinstance(value, types.ModuleType)
    ]  # fmt: skip


def _files(folder: Path, endings: tuple[str, ...]) -> list[dict[str, Any]]:
    try:
        names = sorted(p.name for p in folder.iterdir() if p.suffix in endings)[:50]
    except OSError:  # a folder that can't be read has nothing to offer; a path can still be typed
        return []
    return [{"id": f"file:{n}", "group": "Files here", "label": n, "words": n} for n in names]


def _of(value: Any, module: str, *names: str) -> bool:
    """Whether it is an instance of a class of a package that is loaded; loads none."""
    found = sys.modules.get(module)
    classes = [getattr(found, name, None) for name in names] if found is not None else []
    return any(isinstance(value, c) for c in classes if isinstance(c, type))


def _model_words(value: Any) -> str:
    kind = type(value).__name__
    if _of(value, "torch.nn", "Module"):
        size = sum(p.numel() for p in value.parameters())
        return f"{kind} (torch) · {_count(size)} parameters"
    if _of(value, "torch.export", "ExportedProgram"):
        return "exported program (torch)"
    if _of(value, "onnx", "ModelProto"):
        return "ONNX model"
    if _of(value, "keras", "Model"):
        return f"{kind} (Keras)"
    module = getattr(type(value), "__module__", "")
    plain = isinstance(value, types.FunctionType) and value.__module__ == "__main__"
    foreign = module.partition(".")[0] in {
        "IPython", "ipykernel", "traitlets", "ipywidgets", "builtins", "functools", "typing",
        "numpy", "pandas", "torch", "abc", "enum", "types",
    }  # fmt: skip
    instance = callable(value) and not isinstance(value, type) and not foreign
    if module.startswith("navigator_lab") and module != "navigator_lab.testing":
        return ""
    return f"Python callable: {kind}" if plain or (instance and kind != "function") else ""


def _samples_words(value: Any) -> str:
    if _of(value, "numpy", "ndarray") or _of(value, "torch", "Tensor"):
        if _of(value, "torch.nn", "Parameter") or not value.ndim:
            return ""
        return f"{str(value.dtype).removeprefix('torch.')}{_shape(value)}"
    if _of(value, "torch.utils.data", "DataLoader"):
        return "DataLoader"
    if isinstance(value, dict) and value and all(isinstance(k, str) for k in value):
        parts = [_samples_words(v) for v in value.values()]
        if all(parts):
            return "; ".join(f"{k} {p}" for k, p in zip(value, parts, strict=True))[:120]
    if isinstance(value, list | tuple) and value:
        first = _samples_words(value[0])
        if first:
            return f"{type(value).__name__} of {len(value)}: {first}"[:120]
    return ""


def _shape(value: Any) -> str:
    return f"[{', '.join(str(n) for n in value.shape)}]"


def _count(size: int) -> str:
    for unit, per in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= per:
            return f"{size / per:.3g} {unit}"
    return str(size)
