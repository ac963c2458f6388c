"""PyTorch's errors in a sentence, and what can be done about those that we know. It imports no torch."""

from __future__ import annotations

import os
import re
import shutil
from typing import Any

from navigator_lab.types.plugin import Host, Unavailable


def said(error: Any, length: int = 300) -> str:
    """The first lines that mean something of a long message, on one line."""
    text = str(error)
    # The interpreter of TorchScript puts what happened last, below the code it happened in.
    if "TorchScript interpreter" in text:
        text = text.rstrip().rsplit("\n", 1)[-1].removeprefix("RuntimeError: ")
    text = re.sub(r"For more information[^\n]*", "", text)
    for tail in ("consider using data-dependent friendly", "The error above occurred"):
        text = text.split(tail, 1)[0]
    lines = [line.strip() for line in text.splitlines()]
    useful = [
        line
        for line in lines
        if line
        and not line.startswith(("Traceback", "File ", "The above", "During handling", "~", "^"))
    ]
    text = " ".join(useful) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"


def compiler(host: Host) -> Unavailable | None:
    """Inductor writes C++ and needs a compiler for it."""
    if shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++"):
        return None
    return Unavailable(
        "there is no C++ compiler on PATH, which torch's inductor needs",
        "install g++ (Debian: apt-get install g++) or set CXX",
    )


_REMEDIES = (
    (
        ("data-dependent", "Could not guard", "GuardOnDataDependent", "Data dependent", "DynamicControlFlow"),
        "the forward branches on values of its data: write the branch with torch.where or torch.cond, "
        "or use torchscript-script, eager or compile, which follow it",
    ),
    (
        ("instead of [", "but refuses batch"),
        "the forward reads a size as a Python number, which was kept as a constant: write it without, "
        "or use torchscript-script, eager or compile",
    ),
    (
        ("Constraints violated", "ConstraintViolation", "specialized", "dynamic_shapes"),
        "give the axis a smaller range, make it a fixed one, or write the forward without reading "
        "the size as a number",
    ),
    (
        ("self.size(0) needs to be greater than 16",),
        "on a GPU torch multiplies int8 matrices of more than 16 rows only: use int8-weights or fp8, or "
        "samples of larger batches or longer sequences",
    ),
    (
        ("CUDA out of memory", "CUDA error: out of memory"),
        "use a smaller batch or precision, or free the GPU of other processes",
    ),
    (
        ("InvalidCxxCompiler", "No working C++ compiler", "g++: not found"),
        "install g++ (Debian: apt-get install g++) or set CXX",
    ),
    (
        ("Python.h: No such file",),
        "install the headers of this Python (Debian: apt-get install python3-dev)",
    ),
    (
        ("same dtype", "scalar type", "expected scalar type", "should be the same", "must have the same dtype", "Input type", "type of input"),
        "a tensor in the forward has a precision of its own: make it with dtype=x.dtype, or "
        "register_buffer it so that it is converted with the module; option how='autocast' casts op by op",
    ),
    (
        ("not implemented for 'Half'", "not implemented for 'BFloat16'", "not implemented for Half", "Unsupported dtype Half", "Unsupported dtype BFloat16"),
        "this operator has no kernel in that precision on this device; use fp32 or another device",
    ),
    (
        ("could not create a primitive",),
        "oneDNN has no kernel for this in this precision on this CPU: use fp32 or the eager runner",
    ),
    (
        ("Expected all tensors to be on the same device", "on the same device"),
        "a tensor is made on, or a trace holds, one fixed device: make it with device=x.device; a trace "
        "made for the GPU: lab.run(options={'torchscript': {'device': 'cuda'}})",
    ),
    (
        ("StreamCapture", "is capturing", "stream capture", "during capture"),
        "the forward waits for the GPU or copies to the host (.item(), .cpu(), a branch on data), which "
        "a CUDA graph can't hold; use the eager or compile runner",
    ),
    (
        ("is not scriptable", "Compiled functions can't", "Unknown type", "aren't supported", "NotSupported", "not supported in TorchScript", "Could not infer type", "could not be resolved", "is not a TorchScript", "Unknown builtin", "Python type cannot be used", "Can't get source", "could not get source code"),
        "TorchScript can't compile this Python: annotate the types, simplify the line, or use "
        "torchscript (traced) or torch-export",
    ),
    (
        ("at its border",),
        "return tensors, or tuples, lists and dicts of them; or use torchscript (traced)",
    ),
    (
        ("recompile_limit", "FailOnRecompileLimit"),
        "too many different shapes were compiled: set the option dynamic to True",
    ),
)  # fmt: skip


# Where nothing more exact is known: by who refused.
_OTHERWISE = (
    (
        "torch.jit.script refuses",
        "TorchScript can't compile this Python: write that line for it, or use torchscript (traced), "
        "torch-export or onnx",
    ),
    (
        "torch.jit.trace refuses",
        "use torchscript-script, torch-export, or the eager or compile runner",
    ),
    (
        "torch.export refuses",
        "use torchscript, or the eager or compile runner; the log holds all that torch said",
    ),
)


def explain(error: BaseException) -> str:
    """The remedy for torch's own errors, as far as we know them."""
    seen: BaseException | None = error
    while seen is not None:
        text = f"{type(seen).__name__}: {seen}"
        for signs, remedy in _REMEDIES:
            if any(sign in text for sign in signs):
                return remedy
        seen = seen.__cause__ or seen.__context__
    return next((remedy for sign, remedy in _OTHERWISE if sign in str(error)), "")
