"""Where the user's samples are taken in: flattened, named and checked; the model isn't run.

`navigator_lab.sources.feeds` says what may be given as samples, `navigator_lab.sources.axes` what
may be said of axes. The probe stage runs the source on what is written here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SamplesError
from ..types import samples as stored
from ..types.codec import canonical
from ..types.raw import Place, Raw
from ..types.signature import BATCH, Signature, TensorSpec
from .arrays import of_arrays
from .axes import axes_wish, batch_wish, check_batch
from .captured import Captured
from .feeds import TAKEN, arguments, as_array, each, named

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Taken:
    """Samples, checked but not yet written. A feed may hold a batch of several samples.

    ``value`` goes into the store beside the files that ``write`` makes.
    """

    feeds: list[Arrays]
    value: Raw
    fingerprint: str
    write: Callable[[Path], None]

    @property
    def signature(self) -> Signature:
        """Provisional: inputs with the sizes of the first feed, no outputs."""
        return self.value.signature


def take(
    samples: Any,
    captured: Captured,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    batch_axis: int | Mapping[str, int | None] | str | None = "auto",
    axes: Mapping[str, Any] | None = None,
    limit: int = 256,
) -> Taken:
    """Take in samples for a captured model. See this room's `feeds` and `axes` for what is taken.

    Raises:
        SamplesError: there are none, they hold NaN, or they can't fit the model.
    """
    notes: list[str] = []
    items = list(itertools.islice(each(samples), limit + 1))
    if not items:
        raise SamplesError("there are no samples: what was given is empty", TAKEN)
    if len(items) > limit:
        items = items[:limit]
        notes.append(f"only the first {limit} samples were read (limit={limit})")
    feeds, call = _read(items, captured)
    if captured.inputs is not None:
        feeds, call = _as_file_says(feeds, call, captured, notes)
    feeds, call = _renamed(feeds, call, input_names, captured)
    for at, feed in enumerate(feeds):
        _check(feed, feeds[0], at)
    inputs = tuple(TensorSpec(n, a.dtype.name, tuple(a.shape)) for n, a in feeds[0].items())
    if captured.variant.format == "onnx":
        call = None
    if output_names is not None and call is None:
        raise SamplesError("the file names its outputs itself", "leave output_names out")
    places, ranges = axes_wish(axes, inputs)
    of_batch = {place.input: place.position for place in places if place.name == BATCH}
    wish = of_batch if of_batch and batch_axis == "auto" else batch_axis
    batch, batch_axes = batch_wish(wish, inputs)
    if batch == "given" and batch_axes:
        check_batch(batch_axes, feeds)
    value = Raw(
        Signature(inputs, call=call, notes=tuple(notes)),
        batch,
        batch_axes,
        tuple(place for place in places if place.name != BATCH),
        ranges,
        _hints(captured),
        _output_names(output_names),
        limit,
    )
    whole = hashlib.sha256(canonical(value))
    for feed in feeds:
        whole.update(of_arrays(feed).encode())
    return Taken(feeds, value, whole.hexdigest(), lambda folder: stored.write(folder, feeds))


def _read(items: list[Any], captured: Captured) -> tuple[list[Arrays], Any]:
    """Every item as named arrays, in one order, and their common call tree."""
    feeds: list[Arrays] = []
    call: Any = None
    text = {spec.name for spec in captured.inputs or () if spec.dtype == "object"}
    for at, item in enumerate(items):
        args, kwargs = arguments(item, captured, at)
        tree, tensors = named(args, kwargs, captured, at)
        if call is None:
            call = tree
        elif list(tensors) != list(feeds[0]) and set(tensors) != set(feeds[0]):
            raise SamplesError(
                f"the samples differ: sample 0 has {', '.join(feeds[0])}, "
                f"and sample {at} has {', '.join(tensors)}",
                "give every sample the same inputs",
            )
        elif tree != call:
            raise SamplesError(
                f"the samples differ: the constants or the nesting of sample {at} are not those "
                "of sample 0",
                "only tensors may differ from sample to sample; make what differs a tensor",
            )
        arrays = {name: as_array(v, name, at, text=name in text) for name, v in tensors.items()}
        feeds.append({name: arrays[name] for name in (feeds[0] if feeds else arrays)})
    return feeds, call


def _check(feed: Arrays, first: Arrays, at: int) -> None:
    """Raises SamplesError for what can be seen without running the model."""
    import numpy as np

    for name, array in feed.items():
        shown = f"{name!r} of sample {at}"
        if not array.size:
            raise SamplesError(
                f"{shown} is empty: its shape is {array.shape}", "give at least one sample"
            )
        if array.dtype != first[name].dtype:
            raise SamplesError(
                f"the samples differ: {shown} is {array.dtype.name}, and {first[name].dtype.name} "
                "in sample 0",
                "give every sample the same dtype",
            )
        if array.ndim != first[name].ndim:
            raise SamplesError(
                f"the samples differ: {shown} has shape {array.shape}, and {first[name].shape} "
                "in sample 0",
                "give every sample as many axes, the batch axis too",
            )
        if array.dtype.kind in "fcV":
            bad = ~np.isfinite(array)
            if bad.any():
                place = tuple(int(i) for i in np.argwhere(bad)[0])
                kind = "NaN" if np.isnan(array[place]) else "Inf"
                raise SamplesError(
                    f"{shown} holds {kind}, first at {place} ({int(bad.sum())} in all)",
                    "clean the samples; a mask can use the smallest finite number in place of -inf",
                )


def _as_file_says(
    feeds: list[Arrays], call: Any, captured: Captured, notes: list[str]
) -> tuple[list[Arrays], Any]:
    """Feeds in the file's own order, checked against the dtypes and sizes that it fixes.

    A feed of several whole batches of a file that fixes its batch is cut into these.
    """
    specs = {spec.name: spec for spec in captured.inputs or ()}
    if any(name not in specs for name in feeds[0]):
        raise SamplesError(
            f"the samples nest their inputs ({', '.join(feeds[0])}), and the file takes tensors: "
            f"{', '.join(specs)}",
            "give one tensor or array for each",
        )
    feeds = [{name: feed[name] for name in specs if name in feed} for feed in feeds]
    cut: list[Arrays] = []
    for at, feed in enumerate(feeds):
        size = _fixed_batch(feed, specs)
        if size is None:
            cut.append(feed)
            continue
        count = next(iter(feed.values())).shape[0] // size
        cut += [{n: a[i * size : (i + 1) * size] for n, a in feed.items()} for i in range(count)]
        if at == 0:
            notes.append(f"the file fixes its batch at {size}: the samples were cut to that")
    for at, feed in enumerate(cut):
        for name, array in feed.items():
            _check_spec(array, specs[name], at)
    return cut, None


def _fixed_batch(feed: Arrays, specs: Mapping[str, TensorSpec]) -> int | None:
    """The size that the file fixes along axis 0, if the feed is several times that and else fits."""
    ratios = set()
    for name, array in feed.items():
        shape = specs[name].shape
        if not shape or len(shape) != array.ndim or not isinstance(shape[0], int) or not shape[0]:
            return None
        share, rest = divmod(array.shape[0], shape[0])
        if rest or share < 2:
            return None
        ratios.add((share, shape[0]))
    return ratios.pop()[1] if len(ratios) == 1 else None


def _check_spec(array: np.ndarray, spec: TensorSpec, at: int) -> None:
    shown = f"{spec.name!r} of sample {at}"
    if array.dtype.name != spec.dtype:
        raise SamplesError(
            f"{shown} is {array.dtype.name}, and the file takes {spec.dtype}",
            f"convert it: array.astype({spec.dtype!r})",
        )
    fits = len(array.shape) == len(spec.shape) and all(
        not isinstance(want, int) or want == have
        for want, have in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise SamplesError(
            f"{shown} has shape {array.shape}, and the file takes {spec.shape}",
            "give samples of that shape, the batch axis too",
        )


def _renamed(
    feeds: list[Arrays], call: Any, names: Sequence[str] | None, captured: Captured
) -> tuple[list[Arrays], Any]:
    if names is None:
        return feeds, call
    have, names = list(feeds[0]), [str(name) for name in names]
    if len(names) != len(have):
        raise SamplesError(
            f"input_names has {len(names)} names, and there are {len(have)} inputs: "
            f"{', '.join(have)}",
            "give one name for each, in this order",
        )
    _unique(names, "inputs")
    if captured.inputs is not None and names != have:
        raise SamplesError(
            f"the file names its inputs itself: {', '.join(have)}", "leave input_names out"
        )
    new = dict(zip(have, names, strict=True))

    def rename(tree: Any) -> Any:
        if "input" in tree:
            return {"input": new[tree["input"]]}
        if "dict" in tree:
            return {"dict": {key: rename(one) for key, one in tree["dict"].items()}}
        for kind in ("tuple", "list"):
            if kind in tree:
                return {kind: [rename(one) for one in tree[kind]]}
        return tree

    if call is not None:
        call = {
            "args": [rename(one) for one in call["args"]],
            "kwargs": {key: rename(one) for key, one in call["kwargs"].items()},
        }
    return [{new[name]: array for name, array in feed.items()} for feed in feeds], call


def _output_names(names: Sequence[str] | None) -> tuple[str, ...]:
    made = tuple(str(name) for name in names or ())
    _unique(made, "outputs")
    return made


def _unique(names: Sequence[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SamplesError(f"two {what} have one name: {', '.join(twice)}", "name each differently")
    if "" in names:
        raise SamplesError(f"one of the {what} has an empty name", "name each")


def _hints(captured: Captured) -> tuple[Place, ...]:
    return tuple(
        Place(spec.name, i, size)
        for spec in captured.inputs or ()
        for i, size in enumerate(spec.shape)
        if isinstance(size, str)
    )


__all__ = ["Taken", "take"]
