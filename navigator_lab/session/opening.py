"""`explore`: a model and samples become a session; what can't be captured is refused here."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..catalog import Catalog
from ..engine.engine import Engine
from ..engine.floor import Limits
from ..engine.host import host, version_in
from ..engine.store import Store
from ..environments import interpreters
from ..errors import ModelError, NavigatorError, RequestError, SamplesError, WorkspaceError
from ..plan import Source
from ..sources import Captured, capture
from ..sources.samples import take
from ..types.outcome import Done, Failed
from ..types.run import Run
from ..types.signature import Signature
from ..types.step import Given, Step
from ..types.target import CPU, Target, Variant
from .session import Session

WORKSPACE = "navigator_workspace"  # in the current folder, unless another is named


def explore(
    model: Any,
    samples: Any = None,
    *,
    name: str | None = None,
    workspace: str | Path | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    batch_axis: Any = "auto",
    axes: Mapping[str, Any] | None = None,
    trust: bool = False,
    signature: str | None = None,
    plugins: Sequence[str | Path] = (),
    environments: Mapping[str, str] | Sequence[str] | None = None,
    slots: int | None = None,
    memory_limit_bytes: int | None = None,
) -> Session:
    """Take in a model and samples, run the model on them once, and give a session.

    Args:
        model: a torch module, a Keras model, a ``tf.function`` or ``tf.Module``; a TorchScript,
            ``.pt2``, ONNX, ``.keras``, TFLite or frozen graph's file, a SavedModel folder, or a
            loaded one of these; a jitted JAX function; a python callable; or
            ``"package.module:function"`` that makes one.
        samples: a tensor, array, tuple (several inputs), dict (named inputs), a list, iterator or
            DataLoader of those, or the path of an ``.npz``. The leading axis is the batch.
        name: of the model; by default from what it is.
        workspace: the folder that keeps all results; ``./navigator_workspace`` by default.
        input_names, output_names: to be used instead of what is found.
        batch_axis: ``"auto"``, an axis, None (the model has none), or a dict by input name.
        axes: other dynamic axes and their ranges: see `navigator_lab.sources.samples.take`.
        trust: allow opening pickled files, which can run any code.
        signature: of a SavedModel or ``tf.Module`` that has several, its default otherwise; of a
            frozen graph its ends, ``"image -> scores"``.
        plugins: files or modules that declare further formats, runners and stages.
        environments: where formats, runners or actions run, by their names: the path of a python,
            or the name of an environment that is registered (`navigator_lab.environment`), as
            ``{"jit": "torch-2-13"}`` or ``["jit=torch-2-13"]``.
        slots: builds at once; by default one a core, at most 4.
        memory_limit_bytes: of one worker; by default nine tenths of the machine's memory.

    Raises:
        ModelError, SamplesError, TrustError: what was given can't be used; the remedy says why.
        WorkspaceError: the workspace is read-only, full, damaged or from a newer version.
        RequestError: an environment or plug-in that isn't one.
    """
    catalog = Catalog.installed([_plugin(p) for p in plugins])
    for plugin in plugins:
        if (why := catalog.broken.get(_plugin(plugin))) is not None:
            raise RequestError(f"the plug-in {plugin} could not be loaded: {why}")
    if samples is None:
        raise SamplesError(
            "there are no samples: None was given",
            "give real inputs of the model: an array, a dict by input name, a list, a DataLoader, "
            "or the path of an .npz",
        )
    root = Path(workspace or WORKSPACE).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise WorkspaceError(f"the workspace {root} is a file", "name a folder as workspace")
    store = Store(root)
    try:
        captured = capture(model, trust=trust, hashes=store, signature=signature)
        reference = _reference(catalog, captured.variant)
        taken = take(
            samples,
            captured,
            input_names=input_names,
            output_names=output_names,
            batch_axis=batch_axis,
            axes=axes,
        )
        known = host()
        limits = Limits(
            slots=slots or max(1, min(known.cores, 4)),
            memory_bytes=memory_limit_bytes or int(known.memory_bytes * 0.9),
        )
        engine = Engine(
            catalog,
            store,
            known,
            version_in,
            limits=limits,
            environments=interpreters(environments or {}),
        )
        given = _given(store, captured.fingerprint, "the model", captured.write, None)
        raw = _given(store, taken.fingerprint, "the samples", taken.write, taken.value)
    except BaseException:
        store.close()
        raise
    probe = Step(
        "probe",
        reference,
        None,
        (("model", given), ("raw", raw)),
        uses=(reference.runner,),
        label=f"probe {captured.name} {captured.fingerprint[:8]}",
    )
    try:
        _check_reference(engine, reference)
        product = _probed(engine, probe)
    except BaseException:
        engine.close()
        store.close()
        raise
    found = product.read(Signature)
    run = Run(
        name=_name(name or captured.name),
        created=time.time(),
        version=_version(),
        host=known,
        model=_words(captured),
        signature=found,
        reference=str(reference),
        model_digest=given.digest,
        samples_digest=product.digest,
        notes=(*captured.notes, *found.notes),
    )
    source = Source(captured.variant, given, probe, reference)

    def metric(function: Any) -> Given:
        return _metric(store, function)

    return Session(run, engine, source, root, metric)


def _probed(engine: Engine, probe: Step) -> Any:
    outcome = engine.run((probe,))[probe]
    if isinstance(outcome, Failed) and outcome.recalled:
        # Refused input is said anew each time; a moment's work shows whether it still is.
        outcome = engine.run((probe,), retry_failed=True)[probe]
    if isinstance(outcome, Done):
        return outcome.product
    if isinstance(outcome, Failed):
        failure = outcome.failure
        kind = ModelError if failure.kind == "ModelError" else SamplesError
        error = kind(failure.message, failure.remedy or "see the trace for where it went wrong")
        if failure.trace:
            error.add_note(failure.trace)
        raise error
    raise ModelError(outcome.reason, outcome.remedy)


def _reference(catalog: Catalog, variant: Variant) -> Target:
    for runner in catalog.runners.values():
        if runner.reference and variant.format in runner.formats:
            return Target(variant.format, variant.precision, runner.name, CPU)
    raise ModelError(
        f"no runner can say what is right for a model of format {variant.format}",
        "give the model that it was made from",
    )


def _check_reference(engine: Engine, reference: Target) -> None:
    """Raises ModelError if the source itself can't be run here."""
    action = engine.catalog.runners[reference.runner].action
    why = engine.catalog.unavailable(action, engine.host, engine.version)
    if why is not None:
        raise ModelError(
            f"a model of format {reference.format} can't be run here, so nothing can be compared "
            f"with it: {why.reason}",
            f"{why.remedy}, or name an interpreter that has it: "
            f"environments={{{reference.runner!r}: PYTHON}}",
        )


def _given(store: Store, digest: str, name: str, write: Any, value: Any) -> Given:
    if store.product(digest) is None:
        folder = store.scratch()
        try:
            write(folder)
        except NavigatorError:
            raise
        except OSError as error:
            raise WorkspaceError(
                f"{name} could not be written to the workspace: {error}",
                "free some disk space, or use another workspace",
            ) from error
        store.keep(folder, value, identity=digest)
    return Given(name, digest)


def _metric(store: Store, function: Any) -> Given:
    from ..sources.fingerprint import of_callable
    from ..stages.verify import write_metric

    if not callable(function):
        raise RequestError(
            f"verify={function!r} is no function",
            "give (outputs, reference) -> bool, float or dict, or (predict, dataset)",
        )
    return _given(
        store,
        of_callable(function),
        getattr(function, "__name__", "metric"),
        lambda folder: write_metric(folder, function),
        None,
    )


def _plugin(plugin: str | Path) -> str:
    text = str(plugin)
    return str(Path(text).expanduser().absolute()) if text.endswith(".py") else text


def _name(text: str) -> str:
    from ..sources.captured import safe_name

    if not isinstance(text, str) or not text.strip():
        raise RequestError(f"name={text!r} is no name", "give a few letters or digits")
    return safe_name(text)


def _words(captured: Captured) -> str:
    return f"{captured.variant.format} model in {captured.variant.precision}"


def _version() -> str:
    return version_in(sys.executable, "navigator-lab") or "0"
