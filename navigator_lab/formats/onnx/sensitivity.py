"""What each node of a graph loses in a precision, measured on the samples: what "keep the worst in
fp32" goes by.

Beside every node that would be converted stands its twin (`shadow`), which takes the same exact
values rounded to the precision, computes in fp32 and rounds what it gives: one run of that graph
gives the error of every node by itself. The worst of them by that error are then measured where it
counts: the graph is run once for each, with that node's error alone added to what it gives, and what
comes out is compared. So an error that the rest of the graph forgives is not taken for damage.

The idea of ranking by the effect of one node at a time is that of sensitivity analysis in
quantisation (Wu et al., "Integer quantization for deep learning inference", 2020, section 6).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import ModelError
from navigator_lab.types import samples as stored
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, action, option

from . import graph, ranges, shadow
from .ranking import ACTION, Damage, Sensitivity
from .reasons import explain, summary

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

MOST_DB = 200.0  # no error at all; also the other way


@dataclass(frozen=True, slots=True)
class SensitivityOptions:
    """How long to look."""

    samples: int = option(2, "so many of the samples are run, spread over all of them")
    at_outputs: int = option(
        96,
        "so many nodes, those with the largest error of their own, are also measured by what it "
        "does to the model's outputs: one run of the graph for each and each sample",
    )


@action(
    ACTION,
    needs=("onnx", "numpy", "ml_dtypes", "onnxruntime|onnxruntime-gpu"),
    options=SensitivityOptions,
    timeout_s=1800,
    explain=explain,
)
def sensitivity(at: At, model: Product, samples: Product) -> Sensitivity:
    """Rank the nodes of the graph by what the variant's precision costs in each of them."""
    options = at.options or SensitivityOptions()
    precision = str(at.about.precision)
    feeds = stored.read(samples.path)
    ranges.finite(feeds)
    source = graph.plain(graph.load(model.path / graph.FORMAT.filename))
    at.say("measuring ranges")
    known = ranges.measured(source, feeds) if precision in shadow.SCALED else {}
    made = shadow.shadowed(source, precision, known)
    if not made.nodes:
        raise ModelError(
            f"no node of this graph would be converted to {precision}",
            "leave it in fp32",
        )
    chosen = _spread(feeds, options.samples)
    at.say("each node by itself")
    errors = _by_themselves(made, chosen)
    order = sorted(made.nodes, key=lambda name: (errors[name], name))
    few = order[: max(options.at_outputs, 0)]
    damage = _at_outputs(at, made, source, feeds, chosen, few) if few else {}
    order = [*sorted(damage, key=lambda name: (damage[name], errors[name], name))] + [
        name for name in order if name not in damage
    ]
    found = tuple(
        Damage(name, made.nodes[name].operator, errors[name], damage.get(name)) for name in order
    )
    return Sensitivity(precision, found, len(chosen))


def _spread(feeds: Sequence[Arrays], count: int) -> list[Arrays]:
    """So many samples, the first and the last among them."""
    count = max(1, min(count, len(feeds)))
    if count == 1:
        return [feeds[0]]
    return [feeds[round(i * (len(feeds) - 1) / (count - 1))] for i in range(count)]


def _by_themselves(made: shadow.Shadowed, feeds: Sequence[Arrays]) -> dict[str, float]:
    """The signal over the error of each node's output, in dB, all samples together."""
    running = ranges.session(made.model)
    names = [n for one in made.nodes.values() for n in (one.signal, one.noise)]
    sums = dict.fromkeys(names, 0.0)
    for one in feeds:
        for name, value in zip(names, _run(running, names, one), strict=True):
            sums[name] += float(value)
    return {name: decibels(sums[one.signal], sums[one.noise]) for name, one in made.nodes.items()}


def _at_outputs(
    at: At,
    made: shadow.Shadowed,
    source: Any,
    feeds: Sequence[Arrays],
    chosen: Sequence[Arrays],
    names: Sequence[str],
) -> dict[str, float]:
    """The signal that is left at the worst output when one node alone errs, in dB, by node."""
    import numpy as np

    outputs = [o.name for o in source.graph.output if made.is_float(o.name)]
    if not outputs:
        return {}
    plain = ranges.session(shadow.injected(source, {}))
    every = [_run(plain, outputs, one) for one in (feeds if len(feeds) < 64 else chosen)]
    signal = [_moved([answers[i] for answers in every]) for i in range(len(outputs))]
    taken = {name: made.nodes[name].output for name in names}
    running = ranges.session(shadow.injected(source, taken), optimise=True)
    probe = ranges.session(made.model)
    noise = {name: [0.0] * len(outputs) for name in names}
    for k, one in enumerate(chosen):
        right = _run(running, outputs, one)
        wrong = _run(probe, [made.nodes[name].error for name in names], one)
        for n, (name, error) in enumerate(zip(names, wrong, strict=True)):
            at.say(f"sample {k + 1} of {len(chosen)}: {name}", (k + n / len(names)) / len(chosen))
            with np.errstate(all="ignore"):
                got = _run(running, outputs, {**one, shadow.injection(taken[name]): error})
                for i, (a, b) in enumerate(zip(got, right, strict=True)):
                    noise[name][i] += float(np.mean((a.astype(np.float64) - b) ** 2))
    return {
        name: min(decibels(s, n / len(chosen)) for s, n in zip(signal, noise[name], strict=True))
        for name in names
    }


def _moved(answers: Sequence[np.ndarray]) -> float:
    """The mean square of what depends on the input in an output; of its own spread, if nothing does."""
    import numpy as np

    if len({a.shape for a in answers}) == 1 and len(answers) > 1:
        together = np.stack(answers).astype(np.float64)
        moved = float(np.mean((together - together.mean(axis=0)) ** 2))
        if moved > 0:
            return moved
    return float(np.mean([np.var(a.astype(np.float64)) for a in answers]))


def _run(running: Any, names: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
    known = {i.name for i in (*running.get_inputs(), *running.get_overridable_initializers())}
    fed = {name: array for name, array in feeds.items() if name in known}
    try:
        return list(running.run(list(names), fed))
    except Exception as error:  # the runtime's own classes share no root
        raise ranges.CannotRun(f"ONNX Runtime doesn't run the graph: {summary(error)}") from error


def decibels(signal: float, noise: float) -> float:
    """Their ratio in dB, within ±200; what is no number is damage without end."""
    if math.isnan(noise) or math.isinf(noise) or math.isnan(signal):
        return -MOST_DB
    if noise == 0:
        return MOST_DB
    if not 0 < signal < math.inf:
        return MOST_DB if signal else -MOST_DB
    return max(-MOST_DB, min(MOST_DB, 10 * math.log10(signal / noise)))
