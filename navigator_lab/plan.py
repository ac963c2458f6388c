"""From what is wanted to the steps that bring it about. Pure: no disk, no clock, no framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .catalog import Catalog, Versions, Way
from .errors import RequestError, unknown
from .stages.infer import InferOptions
from .stages.verify import VerifyOptions
from .types.plugin import Edge, Host, Unavailable, options_known, options_of, with_settings
from .types.request import STAGES, Request
from .types.signature import Signature
from .types.step import Gate, Given, Step
from .types.target import Device, Precision, Target, Variant


@dataclass(frozen=True, slots=True)
class Source:
    """The model and samples that everything is derived from, and who says what is right."""

    variant: Variant
    model: Given
    samples: Step  # the probe: samples with the signature
    reference: Target
    metric: Given | None = None  # the user's own function


@dataclass(frozen=True, slots=True)
class Route:
    """The steps that lead to one target's answers; or why there are none.

    What can't run here may still be built: then it has ``builds`` and no stages.
    """

    target: Target
    unavailable: Unavailable | None = None
    builds: tuple[Step, ...] = ()
    stages: dict[str, Step] = field(default_factory=dict)  # infer, correctness, profile, verify

    @property
    def model(self) -> Step | None:
        """The step that builds what the target runs; None if it is the source itself."""
        return self.builds[-1] if self.builds else None

    def goals(self, until: str) -> tuple[Step, ...]:
        """What must be settled to be done with a stage."""
        if self.unavailable is not None:
            return self.builds[:1] if until == "export" else self.builds[-1:]
        if until == "export":
            return self.builds[:1]
        if until == "convert":
            return self.builds[-1:]
        chosen = STAGES[: STAGES.index(until) + 1]
        return tuple(step for stage, step in self.stages.items() if stage in chosen)

    def steps(self) -> tuple[tuple[str, Step], ...]:
        """(stage, step) of all of them, in order."""
        named = [("export" if i == 0 else "convert", s) for i, s in enumerate(self.builds)]
        return (*named, *self.stages.items())


def check(request: Request, catalog: Catalog) -> None:
    """Refuse names that mean nothing, before any work.

    Raises:
        RequestError: naming the valid ones and the nearest.
    """
    _known("format", request.formats, catalog.formats)
    _known("precision", request.precisions, list(Precision))
    _known("runner", request.runners, catalog.runners)
    _known("stage", (request.until,), STAGES)
    for text in request.devices:
        try:
            Device.parse(text)
        except ValueError as error:
            raise RequestError(str(error)) from error
    for name, given in request.options:
        _options(catalog, name, given)
    load = request.load
    if load.max_batch < 1 or any(b < 1 for b in load.batches):
        raise RequestError(f"batch sizes must be 1 or more, not {load.batches or load.max_batch}")
    if load.seconds <= 0 or not 0 < load.width < 1:
        raise RequestError(
            f"seconds={load.seconds}, width={load.width} can't be", "seconds > 0, 0 < width < 1"
        )
    if request.batch < 1:
        raise RequestError(f"batch={request.batch} can't be", "give 1 or more")


def _known(kind: str, names: Sequence[str], valid: Any) -> None:
    for name in names:
        if name not in list(valid):
            raise unknown(kind, name, valid)


def _options(catalog: Catalog, name: str, given: object) -> dict[str, Any]:
    """Options by action name for what a user calls an action, a format or a runner."""
    if name in catalog.actions:
        actions = [catalog.actions[name]]
    elif name in catalog.runners:
        actions = [catalog.runners[name].action]
    elif name in catalog.formats:
        actions = [e.action for e in catalog.edges if e.pairs[0][1].format == name]
    else:
        raise unknown("option holder", name, [*catalog.formats, *catalog.runners, *catalog.actions])
    made: dict[str, Any] = {}
    wrong = []
    for action in actions:
        try:
            made[action.name] = options_of(action.options, given)
        except (ValueError, TypeError) as error:
            wrong.append(f"{action.name}: {error}")
    if not made:
        raise RequestError(f"options for {name!r}: {'; '.join(wrong)}")
    return made


def wanted(
    request: Request,
    catalog: Catalog,
    source: Variant,
    host: Host,
    versions: Versions,
    signature: Signature | None = None,
) -> list[tuple[Target, Way | None, Unavailable | None]]:
    """The targets that a request means, each with its way or why it can't be had.

    Raises:
        RequestError: a target by name that the catalog doesn't have, settings that are no
            options of it, or nothing is left.
    """
    every = catalog.targets(source, host, versions, signature)
    if request.targets:
        by_name = {str(target): (target, way, why) for target, way, why in every}
        chosen = []
        for text in request.targets:
            try:
                parsed = Target.parse(text)
            except ValueError as error:
                raise RequestError(str(error)) from error
            found = by_name.get(str(parsed)) or by_name.get(str(parsed.plain))
            if found is None:
                raise unknown("target", text, by_name)
            chosen.append(catalog.with_settings(*found, parsed))
        return chosen
    devices = {str(Device.parse(d)) for d in request.devices}
    chosen = [
        (target, way, why)
        for target, way, why in every
        if (not request.formats or target.format in request.formats)
        and (not request.precisions or target.precision in request.precisions)
        and (not request.runners or target.runner in request.runners)
        and (not devices or str(target.device) in devices)
    ]
    if not chosen:
        raise RequestError(
            f"no target is all of this: {request}",
            "loosen one of formats, precisions, runners and devices; lab.targets shows what is",
        )
    return chosen


def routes(
    request: Request,
    catalog: Catalog,
    source: Source,
    host: Host,
    versions: Versions,
    signature: Signature | None = None,
) -> tuple[Route, ...]:
    """The steps for every target that a request means.

    Raises:
        RequestError: see `check` and `wanted`.
    """
    check(request, catalog)
    options: dict[str, Any] = {}
    for name, given in request.options:
        options |= _options(catalog, name, given)
    found = wanted(request, catalog, source.variant, host, versions, signature)
    reference = infer(source, source.reference, source.model, request.batch, options, True)
    running = {target.format for target, _, why in found if why is None}
    made = []
    for target, way, why in found:
        if way is None or (why and not (why.builds and _to_build(request, target, running))):
            made.append(Route(target, why))
            continue
        route = _route(request, catalog, source, target, way, options, reference)
        made.append(route if why is None else Route(target, why, route.builds))
    return tuple(made)


def _to_build(request: Request, target: Target, running: set[str]) -> bool:
    """Whether a target that can't run here is to be built: where no more than that was asked, or
    where it was named; by its format only if that one runs nowhere here."""
    return bool(
        request.until in ("export", "convert")
        or request.targets
        or request.devices
        or request.runners
        or (request.formats and target.format not in running)
    )


def infer(
    source: Source,
    target: Target,
    model: Step | Given,
    batch: int,
    options: dict[str, Any],
    reference: bool = False,
) -> Step:
    """The step that runs a target over the samples."""
    return Step(
        "infer",
        target,
        InferOptions(batch=batch, reference=reference),
        (("model", model), ("samples", source.samples)),
        uses=(target.runner,),
        run_options=options.get(f"runner {target.runner}"),
        label=f"{'reference' if reference else 'infer'} {target}",
    )


def builds(catalog: Catalog, source: Source, way: Way, options: dict[str, Any]) -> tuple[Step, ...]:
    """The steps along a way, each building from the one before. ``options``: by action name."""
    model: Step | Given = source.model
    made: list[Step] = []
    for edge, variant in way.edges:
        model = _build(catalog, source, edge, variant, model, options)
        made.append(model)
    return tuple(made)


def _build(
    catalog: Catalog,
    source: Source,
    edge: Edge,
    variant: Variant,
    model: Step | Given,
    options: dict[str, Any],
) -> Step:
    """The step of one edge, after those whose products it reads."""
    given = options.get(edge.action.name, options_of(edge.action.options, None))
    known = options_known(edge.action.options)
    own = tuple((name, value) for name, value in variant.settings if name in known)
    given = with_settings(given, own)
    inputs: tuple[tuple[str, Step | Given], ...] = (("model", model), ("samples", source.samples))
    reads = []
    for one in edge.reads:
        if not one.when(given):
            continue
        asked = options_of(catalog.actions[one.action].options, one.options(given))
        about = replace(variant, settings=())
        read = Step(one.action, about, asked, inputs, label=f"{one.action} {about}")
        reads.append((one.name, read))
    return Step(edge.action.name, variant, given, (*inputs, *reads), label=f"build {variant}")


def _route(
    request: Request,
    catalog: Catalog,
    source: Source,
    target: Target,
    way: Way,
    options: dict[str, Any],
    reference: Step,
) -> Route:
    built = builds(catalog, source, way, options)
    model = built[-1] if built else source.model
    inputs = (("model", model), ("samples", source.samples))
    run_options = options.get(f"runner {target.runner}")
    answers = infer(source, target, model, request.batch, options)
    compare = Step(
        "compare",
        target,
        inputs=(("candidate", answers), ("reference", reference), ("samples", source.samples)),
        label=f"compare {target}",
    )
    stages = {"infer": answers, "correctness": compare}
    # Who gives no comparable answer is not timed; who gives a wrong one is, and is shown as such.
    stages["profile"] = Step(
        "profile",
        target,
        request.load,
        inputs,
        uses=(target.runner,),
        run_options=run_options,
        gates=(Gate(compare),),
        label=f"profile {target}",
    )
    if source.metric is not None:
        stages["verify"] = Step(
            "verify",
            target,
            options.get("verify", VerifyOptions()),
            (*inputs, ("candidate", answers), ("reference", reference), ("metric", source.metric)),
            uses=(target.runner,),
            run_options=run_options,
            gates=(Gate(compare),),
            label=f"verify {target}",
        )
    return Route(target, None, built, stages)
