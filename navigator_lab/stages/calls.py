"""How the stages call an opened model: one call, its outputs checked and copied, its errors placed.

No stage of its own: nothing here is declared to the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError
from ..types.signature import Signature

if TYPE_CHECKING:
    import numpy as np

    from ..types.plugin import Running

    Arrays = dict[str, np.ndarray]


class Refused(NavigatorError):
    """The runtime didn't take a call, or gave something else than was agreed."""


def shapes(feeds: Arrays) -> str:
    """The shapes of what goes in, for a sentence: ``x (4, 3, 8)``."""
    return ", ".join(f"{name} {tuple(array.shape)}" for name, array in feeds.items())


def words(error: BaseException, limit: int = 500) -> str:
    """The runtime's own message, on one line: the start and, if it is long, the end of it."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > limit:
        text = f"{text[: limit // 2]} … {text[-limit // 2 :]}"
    named = type(error).__name__
    if isinstance(error, NavigatorError):
        return error.message
    return text if text.startswith(named) else f"{named}: {text}"


def out_of_memory(error: BaseException) -> bool:
    """True if a runtime ran out of memory; each says it in its own words."""
    if isinstance(error, MemoryError):
        return True
    text = f"{type(error).__name__} {error}".lower()
    signs = ("out of memory", "outofmemory", "bad_alloc", "failed to allocate")
    return any(sign in text for sign in signs) or re.search(r"\boom\b", text) is not None


def call(running: Running, feeds: Arrays) -> Arrays:
    """One call from numpy to numpy, untimed. The arrays may be the runtime's own buffers."""
    made: Arrays = running.get(running.run(running.put(feeds)))
    return made


def checked(outputs: Any, names: Sequence[str]) -> tuple[Arrays, dict[str, str]]:
    """Copies of the named outputs in ``names``' order, and the names of their types.

    A copy at once, because runtimes write the next answer into the same buffers. What numpy can't
    store by itself becomes float32 (bfloat16, float8: exact) or text (objects).

    Raises:
        Refused: no dict, or other names than were agreed. No names: whatever comes is agreed.
    """
    import numpy as np

    if not isinstance(outputs, dict):
        raise Refused(
            f"the runner gave a {type(outputs).__name__}, not a dict of arrays by output name",
            "this is an error of the runner's plug-in",
        )
    wanted = tuple(names) or tuple(outputs)
    missing = [name for name in wanted if name not in outputs]
    extra = [name for name in outputs if name not in wanted]
    if missing or extra:
        said = [f"lacks {', '.join(missing)}"] if missing else []
        said += [f"has {', '.join(map(str, extra))}, which the source doesn't"] if extra else []
        raise Refused(
            f"the answer {' and '.join(said)}; the outputs are {', '.join(wanted)}",
            "the conversion changed the outputs; look at the names in the built file",
        )
    arrays: Arrays = {}
    dtypes: dict[str, str] = {}
    for name in wanted:
        array = np.asarray(outputs[name])
        dtypes[name] = array.dtype.name
        if array.dtype.kind == "O":
            array = array.astype(str)
        elif array.dtype.kind == "V":  # ml_dtypes' own
            array = array.astype(np.float32)
        arrays[name] = np.array(array, order="C", copy=True)
    return arrays, dtypes


def output_axis(signature: Signature, name: str) -> int | None:
    """Where the batch is in an output's shape; None if it isn't there."""
    for spec in signature.outputs:
        if spec.name == name:
            return spec.batch_axis
    return None


def wrong_size(outputs: Arrays, feeds: Arrays, signature: Signature, size: int) -> str:
    """A runtime that takes a batch and answers for another size did not take it."""
    arrays, _ = checked(outputs, [spec.name for spec in signature.outputs])
    for name, array in arrays.items():
        axis = output_axis(signature, name)
        if axis is not None and (array.ndim <= axis or array.shape[axis] != size):
            return f"{name} came out as {array.shape} for {shapes(feeds)}"
    return ""
