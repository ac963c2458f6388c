"""One more step on a target that is built: its Triton package, its largest batch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.engine import Engine
from ..errors import PackageError, RequestError, unknown
from ..stages.find_batch import FindBatchOptions
from ..stages.package import Package, PackageOptions
from ..triton.environment import stamped
from ..triton.objectstore import Objects, is_url, local
from ..triton.repository import checked_name, checked_version, publish
from ..types.measure import BatchLimit
from ..types.outcome import Done, Failed, Product
from ..types.plugin import options_of
from ..types.run import Run, TargetRun
from ..types.step import Given, Step


def package(
    engine: Engine,
    run: Run,
    target: str,
    repository: str | Path,
    options: Mapping[str, Any],
    run_options: Any = None,
) -> Path | str:
    """Build the package of a target, and put it into a repository. The folder of the model.

    ``repository``: a folder, or an fsspec URL; then the model's URL is given back.

    Raises:
        PackageError: the target has no model, or the repository refuses it.
        RequestError: an unknown target or option.
    """
    options = dict(options)
    overwrite = bool(options.pop("overwrite", False))
    product = packaged(engine, run, target, options, run_options)
    folder = product.path / product.read(Package).name
    if is_url(repository):
        return Objects(str(repository)).publish(folder, overwrite=overwrite)
    return publish(folder, local(repository), overwrite=overwrite)


def packaged(
    engine: Engine, run: Run, target: str, options: Mapping[str, Any], run_options: Any = None
) -> Product:
    """The package of a target in the store; it is put nowhere.

    Raises:
        PackageError: the target has no model.
        RequestError: an unknown target or option.
    """
    options = {"name": run.name, **options}
    try:
        wanted = options_of(PackageOptions, options)
    except (ValueError, TypeError) as error:
        raise RequestError(str(error)) from error
    checked_name(wanted.name)
    checked_version(wanted.version)
    one = _target(run, target)
    if wanted.environment:
        # What is installed there is part of what is asked, and so of the step's key.
        here = engine.around.environments.get(one.target.runner, sys.executable)
        python = here if wanted.environment == "true" else wanted.environment
        wanted = replace(wanted, environment=stamped(python))
    inputs = [("model", _model(run, one)), ("samples", Given("samples", run.samples_digest))]
    timing = one.outcome("profile")
    if isinstance(timing, Done):
        inputs.append(("timing", Given("timing", timing.product.digest)))
    step = Step(
        "package",
        one.target,
        wanted,
        tuple(inputs),
        uses=(one.target.runner,),
        run_options=run_options,
        label=f"package {target}",
    )
    return settled(engine, step)


def find_batch(
    engine: Engine, run: Run, target: str, options: Any, run_options: Any = None
) -> BatchLimit:
    """The largest batch of a target that runs, and the largest that still gains throughput.

    Raises:
        PackageError: the target has no model, or does not run.
        RequestError: an unknown target or option.
    """
    one = _target(run, target)
    try:
        wanted = options_of(FindBatchOptions, options)
    except (ValueError, TypeError) as error:
        raise RequestError(str(error)) from error
    step = Step(
        "find_batch",
        one.target,
        wanted,
        (("model", _model(run, one)), ("samples", Given("samples", run.samples_digest))),
        uses=(one.target.runner,),
        run_options=run_options,
        label=f"find_batch {target}",
    )
    return settled(engine, step).read(BatchLimit)


def settled(engine: Engine, step: Step) -> Product:
    """What a step makes, from the store or now.

    Raises:
        PackageError: it fails.
    """
    outcome = engine.run((step,), retry_failed=True)[step]
    if isinstance(outcome, Failed):
        raise PackageError(outcome.failure.message, outcome.failure.remedy)
    if not isinstance(outcome, Done):
        raise PackageError(outcome.reason, outcome.remedy)
    return outcome.product


def model_of(run: Run, target: str) -> Given:
    """What a target runs, as its run built it.

    Raises:
        RequestError: an unknown target.
        PackageError: it was not built.
    """
    return _model(run, _target(run, target))


def _target(run: Run, target: str) -> TargetRun:
    for one in run.targets:
        if str(one.target) == target:
            return one
    raise unknown("target of this run", target, [str(t.target) for t in run.targets])


def _model(run: Run, one: TargetRun) -> Given:
    built = [s for s in one.steps if s.stage in ("export", "convert")]
    if one.unavailable is not None and not built:
        remedy = one.unavailable.remedy
        if one.unavailable.builds:
            remedy = f"lab.run(targets=[{str(one.target)!r}], until='convert') builds it for there"
        raise PackageError(f"{one.target}: {one.unavailable.reason}", remedy)
    if not built:
        return Given("model", run.model_digest)
    outcome = built[-1].outcome
    if not isinstance(outcome, Done):
        raise PackageError(
            f"{one.target} was not built: {outcome.reason}", "lab.run(targets=[…]) builds it"
        )
    return Given("model", outcome.product.digest)
