"""One call of the source, with what it said if it refused, and how far two answers are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import SamplesError
from ..calls import call, out_of_memory, shapes, words

if TYPE_CHECKING:
    import numpy as np

    from ...types.plugin import Running

    Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: what it was, what went in, what came out."""

    what: str
    feeds: Arrays
    outputs: Arrays


@dataclass(frozen=True, slots=True)
class Source:
    """The opened source."""

    running: Running

    def ask(self, feeds: Arrays, what: str, *, refused: bool = False) -> Asked:
        """Call it.

        Raises:
            SamplesError: the source refused; it says which sample, and the source's own words.
        """
        try:
            # Copies on both sides: a model may work in place, a runtime may reuse its buffers.
            raw = call(self.running, {n: a.copy() for n, a in feeds.items()})
            return Asked(what, feeds, {n: _copy(a) for n, a in raw.items()})
        except Exception as error:
            if out_of_memory(error):
                raise
            raise SamplesError(
                f"the model refuses {what} ({_inputs(feeds)}): {words(error)}",
                "narrow the range in axes, or leave it out"
                if refused
                else _remedy(str(error), feeds),
            ) from error

    def tries(self, feeds: Arrays, what: str) -> Asked | str:
        """Call it with what it needn't take; the reason if it refuses."""
        try:
            return self.ask(feeds, what)
        except SamplesError as error:
            return error.message


def _copy(value: Any) -> np.ndarray:
    import numpy as np

    return np.array(value, copy=True)


def _inputs(feeds: Arrays) -> str:
    kinds = {array.dtype.name for array in feeds.values()}
    return f"{shapes(feeds)}; {', '.join(sorted(kinds))}"


def _remedy(message: str, feeds: Arrays) -> str:
    """What is most likely wrong, told from the words of the frameworks."""
    text = message.lower()
    doubles = [name for name, array in feeds.items() if array.dtype.name == "float64"]
    if doubles and any(word in text for word in ("dtype", "double", "float", "type")):
        return f"{', '.join(doubles)} is float64, numpy's default; most models take float32"
    if "dtype" in text or "scalar type" in text or "data type" in text:
        return "give the samples the dtype that the model takes"
    if "missing" in text and "argument" in text:
        return "give all inputs of the model: a tuple in its order, or a dict by name"
    if "index out of range" in text or "out of bounds" in text:
        return (
            "the values are too large for the model's tables: check the token or category numbers"
        )
    if any(word in text for word in ("shape", "size", "dimension", "rank", "channels")):
        return "check the shapes of the samples, the batch axis among them"
    return "call the model on this sample by hand to see where it fails"


def differ(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], relative: float
) -> str:
    """Where two answers differ by more than ``relative`` of their largest number; "" if nowhere.

    Integers may differ in one place of a hundred: two nearly equal scores change their order.
    """
    import numpy as np

    if list(before) != list(after):
        return f"the outputs are {', '.join(before)}, then {', '.join(after)}"
    for name, a in before.items():
        b = after[name]
        if a.shape != b.shape:
            return f"{name} has shape {a.shape}, then {b.shape}"
        if a.dtype.kind in "biu":
            if a.size and np.mean(a != b) > 0.01:
                return f"{name} differs in {np.mean(a != b):.1%} of its places"
            continue
        if a.dtype.kind not in "fcV":  # text
            if not np.array_equal(a, b):
                return f"{name} differs in {np.mean(a != b):.1%} of its places"
            continue
        kind = np.complex128 if a.dtype.kind == "c" else np.float64
        left, right = a.astype(kind), b.astype(kind)
        good = np.isfinite(left)
        same = bool((good == np.isfinite(right)).all())
        if not same or not np.array_equal(left[~good], right[~good], equal_nan=True):
            return f"{name} has NaN or Inf in different places"
        size = float(np.abs(left[good]).max(initial=0.0))
        apart = float(np.abs(left[good] - right[good]).max(initial=0.0))
        rounding = 2e-2 if a.dtype.itemsize <= 2 else relative
        if apart > max(rounding, relative) * size + 1e-7:
            return f"{name} differs by up to {apart:.3g} where its numbers go up to {size:.3g}"
    return ""


def finite_note(given: Sequence[Asked], names: Mapping[str, str]) -> list[str]:
    """A note for each output in which the source itself gives NaN or Inf."""
    import numpy as np

    notes = []
    for own, name in names.items():
        for asked in given:
            array = asked.outputs[own]
            bad = ~np.isfinite(array) if array.dtype.kind in "fcV" else np.zeros((), bool)
            if bad.any():
                kind = "NaN" if np.isnan(array[bad]).any() else "Inf"
                share = f"{int(bad.sum())} of {array.size}"
                notes.append(
                    f"the source's own output {name} holds {kind} for {asked.what} ({share})"
                )
                break
    return notes
