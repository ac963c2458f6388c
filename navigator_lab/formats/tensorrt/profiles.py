"""Optimisation profiles: how far every input of an engine may go, and what it is tuned for.

They come from the samples' signature, or as the user wrote them. Pure: no library is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError, RequestError, unknown
from navigator_lab.types.signature import BATCH, Axis, Signature, TensorSpec

from .engine import WIDER, Binding, Bounds, Profile, asked, misfits

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

EXAMPLE = "profiles=[{'batch': [1, 8, 32], 'ids': [[1, 8], [8, 64], [32, 512]]}]"


def written(given: Any) -> str:
    """A user's profiles as the text that an option holds.

    Raises:
        RequestError: they are no list of dicts of three sizes or shapes.
    """
    if isinstance(given, str):
        if not given:
            return ""
        try:
            given = json.loads(given)
        except ValueError as error:
            raise RequestError(f"profiles are no JSON: {error}", EXAMPLE) from error
    if isinstance(given, dict):
        given = [given]
    wrong = not isinstance(given, list | tuple) or not all(isinstance(one, dict) for one in given)
    for one in () if wrong else given:
        for name, three in one.items():
            if not isinstance(three, list | tuple) or len(three) != 3:
                raise RequestError(f"the profile of {name!r} is {three!r}: min, opt, max", EXAMPLE)
            whole = [[s] if isinstance(s, int) else list(s) for s in three]
            if not all(low <= opt <= high for low, opt, high in zip(*whole, strict=True)):
                raise RequestError(f"the profile of {name!r} is not min <= opt <= max", EXAMPLE)
    if wrong:
        raise RequestError(f"profiles are {given!r}, not a list of dicts", EXAMPLE)
    return json.dumps(given, sort_keys=True) if given else ""


def of(
    signature: Signature,
    bindings: Sequence[Binding],
    samples: Sequence[Arrays],
    text: str = "",
    batches: tuple[int, ...] = (),
    max_batch: int = 0,
) -> tuple[Profile, ...]:
    """The profiles of an engine: ``text`` the user's own, else one for each of ``batches``, else one.

    ``max_batch`` cuts off the batch's range, which is wide where nobody has said how far it goes.

    Raises:
        ModelError: a profile says what the graph can't be, or no profile allows a sample.
        RequestError: a profile of an axis or input that there isn't.
    """
    wanted: list[dict[str, Any]] = json.loads(text) if text else [{}]
    if batches and not signature.batched:
        raise RequestError("tuned_batches is given, and the model has no batch axis")
    if not text and signature.batched:
        axis = signature.axis(BATCH)
        top = min(axis.max, max_batch) if max_batch else axis.max
        ends = sorted(set(batches)) or [min(axis.opt, top)]
        # The last one goes as far as the model does; the others end at what they are tuned for.
        tops = [*ends[:-1], max(ends[-1], top)]
        wanted = [{BATCH: [min(axis.min, b), b, top]} for b, top in zip(ends, tops, strict=True)]
    known = [b.name for b in bindings] + [a.name for a in signature.axes]
    for one in wanted:
        for name in one:
            if name not in known:
                raise unknown("input or axis of a profile", name, known)
    made = tuple(_profile(signature, bindings, samples, one) for one in wanted)
    _covered(made, bindings, samples)
    return made


def _profile(
    signature: Signature,
    bindings: Sequence[Binding],
    samples: Sequence[Arrays],
    wanted: dict[str, Any],
) -> Profile:
    axes = {axis.name: axis for axis in signature.axes}
    for name, three in wanted.items():
        if name in axes:
            axes[name] = Axis(name, *(int(s if isinstance(s, int) else s[0]) for s in three))
    specs = {spec.name: spec for spec in signature.inputs}
    made = []
    for binding in bindings:
        if binding.values:
            made.append(_values(binding, samples, wanted.get(binding.name)))
        elif binding.name in wanted:
            bounds = Bounds(binding.name, *(tuple(map(int, s)) for s in wanted[binding.name]))
            _possible(binding, bounds)
            made.append(bounds)
        else:
            made.append(_shapes(binding, specs[binding.name], axes))
    return tuple(made)


def _shapes(binding: Binding, spec: TensorSpec, axes: dict[str, Axis]) -> Bounds:
    sizes = [
        (size, size, size) if isinstance(size, int) else (axes[size].min, axes[size].opt, axes[size].max)
        for size in spec.shape
    ]  # fmt: skip
    low, opt, high = zip(*sizes, strict=True) if sizes else ((), (), ())
    bounds = Bounds(binding.name, low, opt, high)
    _possible(binding, bounds)
    return bounds


def _values(binding: Binding, samples: Sequence[Arrays], wanted: Any) -> Bounds:
    """Of an input whose values are shapes, the values that the samples have."""
    import numpy as np

    if wanted:
        return Bounds(binding.name, *(tuple(map(int, three)) for three in wanted))
    every = np.stack([one[binding.name].reshape(-1) for one in samples])
    parts = (every.min(0), np.median(every, 0), every.max(0))
    return Bounds(binding.name, *(tuple(int(v) for v in part) for part in parts))


def _possible(binding: Binding, bounds: Bounds) -> None:
    """What the graph fixes, a profile can't move."""
    right = len(bounds.min) == len(binding.dims) and all(
        there in (-1, low) and (there == -1 or low == high)
        for there, low, high in zip(binding.dims, bounds.min, bounds.max, strict=True)
    )
    if not right:
        raise ModelError(
            f"a profile lets {binding.name!r} go from {bounds}, and the graph has it as "
            f"{[d if d >= 0 else 'free' for d in binding.dims]}",
            "export the graph with that axis free, or give a profile of the graph's own sizes",
        )


def _covered(
    profiles: Sequence[Profile], bindings: Sequence[Binding], samples: Sequence[Arrays]
) -> None:
    """Every sample must be allowed by some profile."""
    for i, sample in enumerate(samples):
        shapes = asked(bindings, sample)
        wrong = [misfits(one, shapes) for one in profiles]
        if all(wrong):
            name = wrong[0][0].name
            allowed = ", or ".join(str(b) for one in profiles for b in one if b.name == name)
            raise ModelError(
                f"no profile covers sample {i}: its {name!r} is {list(shapes[name])}, and the "
                f"profiles allow {allowed}",
                WIDER,
            )


def batch_limit(profiles: Sequence[Profile], signature: Signature) -> int | None:
    """The largest batch that every input has in some profile; None without a batch axis."""
    places = {s.name: s.batch_axis for s in signature.inputs if s.batch_axis is not None}
    if not places:
        return None
    return max(min(b.max[places[b.name]] for b in one if b.name in places) for one in profiles)
