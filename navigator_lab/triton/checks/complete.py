"""What Triton's core adds to a configuration before it looks at it: backend, platform, file name.

Rules of the core's own completion and normalisation; what a backend adds (inputs and outputs) is
not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import messages
from .finding import Finding, Meant, refused

# Fields that are newer than the oldest server which can be met, with the first version that has
# them. A server that doesn't know a field can't read the whole file.
_SINCE = {
    "inference.ModelConfig.model_metrics": "2.53",
    "inference.ModelEnsembling.max_inflight_requests": "2.64",
}
# Platform -> its file, and whether that is a folder.
_TENSORFLOW = {
    "tensorflow_savedmodel": ("model.savedmodel", True),
    "tensorflow_graphdef": ("model.graphdef", False),
}
# Backend, its platform and its file, in the order in which the core tries them.
_KNOWN = (
    ("tensorrt", "tensorrt_plan", "model.plan"),
    ("onnxruntime", "onnxruntime_onnx", "model.onnx"),
    ("openvino", "", "model.xml"),
    ("pytorch", "pytorch_libtorch", "model.pt"),
    ("python", "", "model.py"),
)
_TYPED = {
    "tensorflow": tuple(_TENSORFLOW),
    "tensorrt": ("tensorrt_plan",),
    "onnxruntime": ("onnxruntime_onnx",),
    "pytorch": ("pytorch_libtorch",),
}
_TOKEN = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
_BAD_ESCAPE = re.compile(r"""(?<!\\)(?:\\\\)*\\(?![abfnrtv\\'"?0-7xXuU])""")
_NO_ASCII = re.compile(r"[^\t-\r -~]")
_AOTI = "2.68"  # the first version whose pytorch backend has a platform of its own for AOTInductor


def complete(config: Any, folder: Path, meant: Meant) -> tuple[Any, str]:
    """A copy of ``config`` as the core would complete it, and why it can't, or ""."""
    made = messages().ModelConfig()
    made.CopyFrom(config)
    made.name = made.name or folder.name
    problem = _backend(made, folder, meant)
    if not made.HasField("version_policy"):
        made.version_policy.latest.num_versions = 1
    return made, problem


def _backend(config: Any, folder: Path, meant: Meant) -> str:
    there = _first_version(folder)
    if not config.platform and config.backend in ("", "tensorflow"):
        named = config.default_model_filename
        for platform, (filename, is_folder) in _TENSORFLOW.items():
            if named == filename or (not named and there.get(filename) is is_folder):
                config.platform = platform
                break
    if config.platform in _TENSORFLOW:
        config.backend = config.backend or "tensorflow"
        config.default_model_filename = (
            config.default_model_filename or _TENSORFLOW[config.platform][0]
        )
        return ""
    for backend, platform, filename in _KNOWN:
        named = config.default_model_filename
        if not config.backend and (
            (platform and config.platform == platform)
            or named == filename
            or (not config.platform and not named and filename in there)
        ):
            config.backend = backend
        if config.backend == backend:
            if backend == "pytorch" and not meant.older_than(_AOTI) and config.platform:
                return ""
            config.platform = config.platform or platform
            config.default_model_filename = config.default_model_filename or filename
            return ""
    if config.backend or config.platform or config.default_model_filename:
        return ""
    _, dot, backend = folder.name.partition(".")
    if not dot:
        return (
            f"Invalid model name: Could not determine backend for model '{folder.name}' with no "
            "backend in model configuration. Expected model name of the form "
            "'model.<backend_name>'."
        )
    config.backend, config.default_model_filename = backend, f"model.{backend}"
    return ""


def _first_version(folder: Path) -> dict[str, bool]:
    """What lies in the first sub-folder, by name: is it a folder?"""
    if not folder.is_dir():
        return {}
    folders = sorted(one.name for one in folder.iterdir() if one.is_dir())
    if not folders:
        return {}
    return {one.name: one.is_dir() for one in (folder / folders[0]).iterdir()}


def unread(text: str, where: str | Path) -> Iterator[Finding]:
    """What the server's parser refuses, and the one used here lets pass.

    Escapes in texts, and, outside of texts and comments, blanks that are no ASCII.
    """
    head = f"failed to read text proto from {where}: "
    for token in _TOKEN.finditer(text):
        if token[0][0] != "#" and _BAD_ESCAPE.search(token[0]):
            yield refused(
                f"{head}Invalid escape sequence in string literal.",
                f"write a backslash as \\\\: {token[0]}",
            )
    found = _NO_ASCII.search(_TOKEN.sub(lambda token: " " * len(token[0]), text))
    if found:
        line = text.count("\n", 0, found.start()) + 1
        yield refused(
            f"{head}Interpreting non ascii codepoint {found[0].encode()[0]}.",
            f"line {line} holds {found[0]!r} where a plain blank is meant",
        )


def too_new(message: Any, meant: Meant) -> Iterator[Finding]:
    """Fields that the meant server has not heard of."""
    for field, value in message.ListFields():
        since = _SINCE.get(field.full_name)
        if since and meant.older_than(since):
            yield refused(
                f'Message type "{field.containing_type.full_name}" has no field named '
                f'"{field.name}".',
                f"Triton {meant.triton} can't read it: it came with {since}. Remove it, or check "
                f"for a newer server: triton={since!r}",
            )
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for one in (value,) if hasattr(value, "ListFields") else value:
            yield from too_new(one, meant)


def whole(config: Any, folder: Path, meant: Meant) -> Iterator[Finding]:
    """Name, backend, platform and batch size of a completed configuration."""
    name = config.name
    if name != folder.name:
        yield refused(
            f"unexpected directory name '{folder.name}' for model '{name}', directory name must "
            "equal model name",
            "rename the folder or change 'name'; without 'name' the folder's is taken",
        )
    if config.max_batch_size < 0:
        yield refused(
            f"'max_batch_size' must be non-negative value for {name}",
            f"it is {config.max_batch_size}; give 0 for no batching",
        )
    ensemble = config.platform == "ensemble"
    if not config.backend and not ensemble:
        yield refused(
            f"unexpected platform type '{config.platform}' for {name}",
            'write backend: "…" instead; platforms that are known: ensemble, '
            + ", ".join(p for many in _TYPED.values() for p in many),
        )
    elif config.backend and ensemble:
        yield refused(
            f"Ensemble model '{name}' must have platform type '{config.platform}' and empty "
            "backend type",
            "remove 'backend'",
        )
    elif config.backend in _TYPED and config.platform not in _platforms(config.backend, meant):
        yield refused(
            f"unexpected 'platform' and 'backend' pair, got:{config.platform}, {config.backend}",
            f"remove 'platform', or write {' or '.join(_TYPED[config.backend])}",
        )


def _platforms(backend: str, meant: Meant) -> tuple[str, ...]:
    new = backend == "pytorch" and not meant.older_than(_AOTI)
    return (*_TYPED[backend], *(("torch_aoti",) if new else ()))
