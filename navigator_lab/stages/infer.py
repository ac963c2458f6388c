"""What a target answers on every sample: the raw material of every comparison.

Each sample is called alone, then all in batches, all in one session. Nothing is judged here: an
answer is stored as it is, a refusal is an error that says where.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..types import samples as of_samples
from ..types.measure import Outputs
from ..types.outcome import Product
from ..types.plugin import At, action, option
from ..types.samples import Case
from ..types.signature import Signature
from ..types.target import Precision
from .calls import Refused, call, checked, shapes, words

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

FILENAME = "outputs.npz"

# How far the same call may be from itself, as a share of the output's size: kernels that add up in
# another order each time are no state. A step in bf16 is 2**-8.
_SAME = {Precision.FP32: 1e-4, Precision.TF32: 1e-2}
_SAME_LOW = 2e-2


@dataclass(frozen=True, slots=True)
class InferOptions:
    """How a target is asked."""

    batch: int = option(4, "the larger batch at which all samples are run again", unit="samples")
    reference: bool = option(False, "as exact as the runner can: it says what is right")


@action("infer", options=InferOptions, hardware=True)
def infer(at: At, model: Product, samples: Product) -> Outputs:
    """Run a target on every sample, alone and in batches, and keep the answers."""
    options = at.options or InferOptions()
    signature = samples.read(Signature)
    feeds = of_samples.read(samples.path)
    cases = of_samples.cases(feeds, signature, options.batch)
    calls = _shapes(of_samples.each(feeds, cases, signature))
    names = tuple(spec.name for spec in signature.outputs)
    notes: list[str] = []
    dtypes: dict[str, str] = {}
    first: Arrays = {}
    with (
        at.open(model, at.about, signature, reference=options.reference, calls=calls) as running,
        zipfile.ZipFile(at.out / FILENAME, "w", zipfile.ZIP_STORED, allowZip64=True) as file,
    ):
        # The feeds are copied: a model that works in place must not change what comes after it.
        for index, (case, one) in enumerate(
            zip(cases, of_samples.each(feeds, cases, signature), strict=True)
        ):
            arrays, found = _ask(running, one, case, index, cases, names)
            names = names or tuple(arrays)
            for name, dtype in found.items():
                if dtypes.setdefault(name, dtype) != dtype:
                    notes.append(f"{name} is {dtypes[name]} at first and {dtype} at case {index}")
            first = first or arrays
            _write(file, index, arrays)
            at.say(f"case {index + 1} of {len(cases)}", (index + 1) / (len(cases) + 1))
        again_feeds = of_samples.together([feeds[i] for i in cases[0].indices], signature)
        again, _ = _ask(running, again_feeds, cases[0], 0, cases, names)
    changed = [said for name in names if (said := _changed(name, first[name], again[name], at))]
    if changed:
        notes.append(
            "the same call gave another answer at the end of the session, so the model keeps state "
            f"or draws random numbers, or the runtime is unstable: {'; '.join(changed)}"
        )
    return Outputs(tuple(cases), names, dtypes, bool(changed), tuple(notes))


def _shapes(calls: Iterable[Arrays]) -> list[dict[str, tuple[int, ...]]]:
    """The kinds of shapes among the calls, in order of first appearance."""
    found: list[dict[str, tuple[int, ...]]] = []
    for feeds in calls:
        shape = {name: array.shape for name, array in feeds.items()}
        if shape not in found:
            found.append(shape)
    return found


def _ask(
    running: Any, feeds: Arrays, case: Case, index: int, cases: list[Case], names: tuple[str, ...]
) -> tuple[Arrays, dict[str, str]]:
    copies = {name: array.copy() for name, array in feeds.items()}
    try:
        return checked(call(running, copies), names)
    except Refused as error:
        raise Refused(f"{_where(case, index, feeds)}: {error.message}", error.remedy) from error
    except Exception as error:  # a runtime may raise anything; it is raised again with its place
        where = _where(case, index, feeds)
        if case.batch > 1:
            raise Refused(
                f"runs at batch 1, fails at batch {case.batch}: the export fixed its size, or the "
                f"model can't be batched ({where}; {words(error)})",
                "check the model's code for sizes taken as constants, or say batch_axis=None",
            ) from error
        others = {c.batch for c in cases[:index]}
        before = " though it took others before" if others else ""
        raise Refused(f"refuses {where}{before}: {words(error)}") from error


def _where(case: Case, index: int, feeds: Arrays) -> str:
    who = (
        f"sample {case.indices[0]}"
        if case.batch == 1
        else f"samples {', '.join(map(str, case.indices))} as a batch of {case.batch}"
    )
    return f"case {index}, {who}, shapes {shapes(feeds)}"


def _write(file: zipfile.ZipFile, index: int, arrays: Arrays) -> None:
    """Append to an ``.npz`` as we go: all answers at once may not fit in memory."""
    import numpy as np

    for name, array in arrays.items():
        with file.open(f"{index}/{name}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, array, allow_pickle=False)


def _changed(name: str, before: np.ndarray, after: np.ndarray, at: At) -> str:
    """In words, how the same call differs from itself; "" if it doesn't."""
    import numpy as np

    if before.shape != after.shape or before.dtype != after.dtype:
        return f"{name} was {before.dtype}{before.shape}, then {after.dtype}{after.shape}"
    if before.dtype.kind not in "fc":
        count = int(np.count_nonzero(before != after))
        return f"{name} changed in {count} of {before.size} elements" if count else ""
    wide = np.complex128 if before.dtype.kind == "c" else np.float64
    a, b = before.astype(wide), after.astype(wide)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return ""
    with np.errstate(all="ignore"):
        delta = np.abs(a - b)[~same]
        finite = np.abs(a[np.isfinite(a)])
    size = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    share = _SAME.get(getattr(at.about, "precision", None), _SAME_LOW)
    worst = float(np.max(delta)) if np.isfinite(delta).all() else float("inf")
    return f"{name} by up to {worst:.3g}" if worst > share * size else ""
