"""Runs the source on the samples, once and exactly, to learn its signature.

What comes out is the samples product that everything else rests on: samples one by one, and the
`Signature` with every name, dtype, batch axis and dynamic axis. Nothing is judged here but whether
the source takes the samples, and whether it gives the same answer twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import SamplesError
from ...types import samples as stored
from ...types.outcome import Product
from ...types.plugin import At, action
from ...types.raw import Raw
from ...types.signature import BATCH, Axis, Signature, TensorSpec
from .asking import Asked, Source, differ, finite_note
from .batch import Batch, find, split
from .dynamic import Dynamic, declared, extremes

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

MAX_BATCH = 1024  # of a model whose user says nothing: what exporters are told
SINGLES = 16  # samples run alone; every sample is run in what it was given in


@action("probe", needs=("numpy",))
def probe(at: At, model: Product, raw: Product) -> Signature:
    """Run the source on the samples to find outputs, batch axis and dynamic axes."""
    wish = raw.read(Raw)
    feeds = stored.read(raw.path)
    notes = list(wish.signature.notes)
    with at.open(model, at.about, wish.signature, reference=True) as running:
        source = Source(running)
        given = []
        for i, feed in enumerate(feeds):
            at.say(f"sample {i + 1} of {len(feeds)}", i / len(feeds))
            given.append(source.ask(feed, f"sample {i}"))
        stateful = _stateful(source, feeds[0], given[0].outputs)
        at.say("looking for the batch axis")
        batch = find(source, wish, feeds, stateful, notes)
        samples = split(feeds, batch, wish.limit, notes)
        dynamic = declared(wish, samples, batch, notes)
        samples += extremes(samples, dynamic, batch)
        alone = _alone(source, samples, dynamic, batch, at)
        stateful = stateful or _stateful(source, feeds[0], given[0].outputs)
    names = _names(wish, [*given, *alone])
    outputs, axes = _outputs(names, batch, dynamic, alone, given, notes)
    notes += finite_note(given, names)
    if stateful:
        notes.append(
            "the same call twice gave two answers: the model keeps state or draws random numbers, "
            "so a comparison says little"
        )
    if not batch.axes:
        _without_batch(wish, batch, notes)
    else:
        axes.insert(0, _batch_range(wish, feeds, batch))
    stored.write(at.out, samples)
    return Signature(
        tuple(
            TensorSpec(spec.name, spec.dtype, dynamic.shape(spec.name, samples[0], batch))
            for spec in wish.signature.inputs
        ),
        outputs,
        tuple(axes),
        wish.signature.call,
        stateful,
        tuple(dict.fromkeys(notes)),
    )


def _stateful(source: Source, feed: Arrays, before: Arrays) -> bool:
    """True if a call that was made before now has another answer."""
    again = source.ask(feed, "sample 0, called again").outputs
    return differ(before, again, 1e-4) != ""


def _alone(
    source: Source, samples: list[Arrays], dynamic: Dynamic, batch: Batch, at: At
) -> list[Asked]:
    """Answers for one sample at a time: of every combination of sizes, then of a few more."""
    seen: dict[tuple[tuple[int, ...], ...], int] = {}
    for i, sample in enumerate(samples):
        seen.setdefault(tuple(array.shape for array in sample.values()), i)
    chosen = list(seen.values())
    chosen += [i for i in range(len(samples)) if i not in chosen][: max(0, SINGLES - len(chosen))]
    made = []
    for count, i in enumerate(sorted(chosen)):
        at.say(f"sample {i} alone", count / len(chosen))
        extra = dynamic.extra.get(i - (len(samples) - len(dynamic.extra)))
        asked = source.ask(samples[i], extra or f"sample {i}", refused=extra is not None)
        made.append(asked)
    return made


def _names(wish: Raw, answers: Sequence[Asked]) -> dict[str, str]:
    """The source's own name of each output -> the name it gets.

    Raises:
        SamplesError: there is nothing to compare, it isn't always the same, or the names don't fit.
    """
    own = list(answers[0].outputs)
    for asked in answers:
        if list(asked.outputs) != own:
            raise SamplesError(
                f"the model gives {', '.join(own)} for {answers[0].what} and "
                f"{', '.join(asked.outputs) or 'nothing'} for {asked.what}",
                "let it give the same outputs each time, as a tuple or dict of tensors",
            )
        for name, array in asked.outputs.items():
            before = answers[0].outputs[name]
            if array.dtype != before.dtype or array.ndim != before.ndim:
                raise SamplesError(
                    f"output {name!r} is {before.dtype.name} with {before.ndim} axes for "
                    f"{answers[0].what}, and {array.dtype.name} with {array.ndim} for {asked.what}",
                    "let the dtype and the number of axes of an output be always the same",
                )
    if not own:
        raise SamplesError(
            "the model returned nothing that can be compared", "let it return its tensors"
        )
    if wish.outputs and len(wish.outputs) != len(own):
        raise SamplesError(
            f"output_names has {len(wish.outputs)} names, and the model gives {len(own)}: "
            f"{', '.join(own)}",
            "give one name for each, in this order",
        )
    taken = {spec.name for spec in wish.signature.inputs}
    clash = [name for name in wish.outputs if name in taken]
    if clash:
        raise SamplesError(
            f"output_names has {', '.join(clash)}, which is an input's name", "name it differently"
        )
    if wish.outputs:
        return dict(zip(own, wish.outputs, strict=True))
    # A server and most formats keep inputs and outputs in one space of names. Files without a call
    # tree have their names already.
    fixed = wish.signature.call is None
    return {name: f"{name}_out" if name in taken and not fixed else name for name in own}


def _outputs(
    names: dict[str, str],
    batch: Batch,
    dynamic: Dynamic,
    alone: list[Asked],
    given: list[Asked],
    notes: list[str],
) -> tuple[tuple[TensorSpec, ...], list[Axis]]:
    """Specs of the outputs, and all named axes but the batch's."""
    axes = {axis.name: axis for axis in dynamic.ranges}
    specs = []
    for own, name in names.items():
        array = alone[0].outputs[own]
        shape: list[int | str] = list(array.shape)
        for i in range(array.ndim):
            if batch.outputs.get(own) == i:
                shape[i] = BATCH
                continue
            sizes = [asked.outputs[own].shape[i] for asked in alone]
            grows = (own, i) in batch.grows
            if len(set(sizes)) == 1 and not grows:
                continue
            follows = None if grows else dynamic.follows(sizes, [asked.feeds for asked in alone])
            if follows is None:
                follows = f"{name}_{i}"
                every = sizes + [
                    asked.outputs[own].shape[i] for asked in given if not batch.axes or grows
                ]
                axes[follows] = Axis(follows, min(every), sizes[0], max(every))
                if grows:
                    notes.append(f"axis {i} of output {name} grows with the batch, but isn't one")
            shape[i] = follows
        specs.append(TensorSpec(name, array.dtype.name, tuple(shape)))
        if batch.axes and own not in batch.outputs:
            notes.append(f"output {name} has no batch axis")
    return tuple(specs), list(axes.values())


def _without_batch(wish: Raw, batch: Batch, notes: list[str]) -> None:
    """Say why there is no batch axis.

    Raises:
        SamplesError: the user gave a range for it.
    """
    if any(axis.name == BATCH for axis in wish.ranges):
        raise SamplesError(
            f"axes gives a range for the batch, and the model has no batch axis: {batch.why}",
            "leave it out, or say where the batch axis is: batch_axis=0",
        )
    if wish.batch == "auto":
        notes.append(f"no batch axis was found: {batch.why}")


def _batch_range(wish: Raw, feeds: Sequence[Arrays], batch: Batch) -> Axis:
    name, axis = next((n, a) for n, a in batch.axes.items() if a is not None)
    sizes = [feed[name].shape[axis] for feed in feeds]
    usual = max(set(sizes), key=sizes.count)
    for said in wish.ranges:
        if said.name == BATCH:
            opt = said.opt or min(usual, said.max)
            return Axis(BATCH, 1, opt, said.max)
    return Axis(BATCH, 1, usual, max(MAX_BATCH, usual))
