"""What TensorRT says when it can't, and what helps. Text in, text out: no library is imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from navigator_lab.errors import ModelError

ELSEWHERE = (
    "onnx:*@ort runs it, and on a machine with a GPU onnx:*@ort-trt gives TensorRT what it takes "
    "of the graph and ONNX Runtime the rest"
)
KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"cudaError 35|CUDA driver version is insufficient|no CUDA-capable device|CUDA_SUCCESS",
        "that needs a GPU and its driver. Without one only tensorrt-rtx builds, with its weights "
        "inside (option weights='inside')",
    ),
    (
        r"Plugin not found|getPluginCreator|plugin creator",
        "the operator is a plug-in's: give its library with options plugins='/path/to/lib.so'; or "
        f"replace the operator in the model. {ELSEWHERE}",
    ),
    (
        r"for Turing|SM75",
        "GPUs of compute capability 7.5 (Turing) lack it: leave 7.5 out of compute_capabilities, or "
        "use fp16",
    ),
    (
        r"libnvinfer_lean|lean runtime",
        "version-compatible engines carry the lean runtime, whose library is missing: install "
        "tensorrt_lean, or leave version_compatible out",
    ),
    (
        r"out of memory|OutOfMemory|insufficient memory|MEM_ALLOC",
        "give it less memory to try with (option workspace_mib), a smaller largest batch, or a "
        "lower level",
    ),
    (
        r"Could not find any implementation|no implementation",
        "there is no kernel for that part in this precision on this GPU: try another precision, or "
        "a larger workspace_mib",
    ),
    (
        r"IShuffleLayer|reshape|dimensions? mismatch|broadcast|shape tensor|INVALID_SHAPE",
        "the graph computes a shape that TensorRT can't follow: fold its constants, give fixed axes "
        f"instead of free ones, or rewrite that part. {ELSEWHERE}",
    ),
    (
        r"STRING|Failed to convert ONNX dat[ae] type|data type",
        f"TensorRT has numbers only: take text and tables out of the graph. {ELSEWHERE}",
    ),
)


def explain(error: BaseException) -> str:
    """The remedy for an error of the builder, parser or runtime, or ""."""
    return helps(f"{type(error).__name__}: {error}")


def helps(text: str) -> str:
    """The remedy for what was said, or ""."""
    return next((remedy for pattern, remedy in KNOWN if re.search(pattern, text)), "")


def unparsed(title: str, parser: Any) -> ModelError:
    """Why the parser gave up: the operator, its node, and what to do."""
    found = [parser.get_error(i) for i in range(parser.num_errors)]
    said = [_one(error) for error in found]
    text = "; ".join(dict.fromkeys(said)) or "its parser says no more"
    # The device's absence is said by the way, of everything that failed for another reason.
    causes = " ".join(str(e.desc()).split("\n")[0] for e in found)
    remedy = helps(causes) or (
        "replace the operator in the model, or give a plug-in that has it (options plugins=…). "
        + ELSEWHERE
    )
    return ModelError(f"{title} can't take the graph: {text}", remedy)


def _one(error: Any) -> str:
    operator, node = error.node_operator(), error.node_name()
    where = f"{operator} {node!r}" if operator else f"node {error.node()}"
    if error.node() < 0 and not operator:
        where = str(error.file())  # of an input that can't be read, its name stands there
    return f"{where}: {cause(str(error.desc()), str(error.code()))}"


def cause(said: str, code: str) -> str:
    """What a failed check means, without the check's own code."""
    quoted = re.search(r'&& "([^"]+)"', said)
    if quoted:
        return quoted[1].rstrip(".")
    lines = [line for line in said.splitlines() if "catchCudaError" not in line]
    text = " ".join(" ".join(lines).split())
    text = re.sub(r"In \w+ at /\S+", "", text).removeprefix("Assertion failed: ")
    if text in ("", "false") or re.fullmatch(r"Invalid Node - \S*", text):
        return "no such operator in this library" if "UNSUPPORTED" in code else "it is not valid"
    return text[:300]


def unbuilt(title: str, errors: Sequence[str], fallback: str) -> ModelError:
    """Why the builder gave up."""
    said = [" ".join(one.split()) for one in errors]
    text = "; ".join(dict.fromkeys(said))[:600] or fallback
    return ModelError(f"{title} can't build the engine: {text}", helps(text))
