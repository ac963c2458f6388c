"""Do a live server's answers equal the reference's? Recorded samples, held against recorded answers.

What is sent and what comes back is turned into what `navigator_lab.stages.infer` would have stored,
so that `compare` and the session's judge say what is right: there is no second rule here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError
from ..triton import sending
from ..triton.server import Server
from ..types import samples as stored
from ..types.codec import encode
from ..types.measure import Accuracy, Outputs, Verdict
from ..types.outcome import Product
from ..types.plugin import At
from ..types.samples import Case
from ..types.served import Exchange, Executed, Replay, ServerStatistics
from ..types.signature import Signature, TensorSpec
from ..types.target import Target
from .calls import Refused, checked
from .compare import compare
from .infer import FILENAME

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

# What Python stand-ins can't show, by backend; of Triton's own Python backend nothing stands in.
_STOOD_IN = (
    "a Python stand-in served in place of Triton's C++ {backend} backend: its speed, its memory, its "
    "use of GPUs, and what only its C++ code refuses are not shown by this server"
)
_CPU_ONLY = "this server has no GPU support: nothing of the model on a GPU is shown"


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests of a replay: in the server's names and shapes, and the cases they answer."""

    requests: tuple[Arrays, ...]
    parts: tuple[tuple[int, ...], ...]  # of each case: its requests
    notes: tuple[str, ...] = ()


def plan(
    samples: Sequence[Arrays],
    signature: Signature,
    cases: Sequence[Case],
    config: Mapping[str, Any],
) -> Plan:
    """Each case as one request, or as several where the server takes no batch of that size.

    Raises:
        NavigatorError: the served model has other inputs than the signature.
    """
    largest = int(config.get("max_batch_size", 0))
    if largest and sequences_of(config):
        largest = 1  # the server gathers sequences; a request is one step of one of them
    made: list[Arrays] = []
    parts: list[tuple[int, ...]] = []
    for case in cases:
        step = largest if largest > 0 else case.batch
        mine = []
        for start in range(0, case.batch, step):
            chosen = [samples[i] for i in case.indices[start : start + step]]
            mine.append(len(made))
            made.append(request(stored.together(chosen, signature), signature, config))
        parts.append(tuple(mine))
    asked = max(case.batch for case in cases)
    notes = []
    if 0 < largest < asked:
        why = "it takes sequences" if sequences_of(config) else f"max_batch_size is {largest}"
        notes.append(f"batches of {asked} went as several requests: {why}")
    return Plan(tuple(made), tuple(parts), tuple(notes))


def request(feeds: Arrays, signature: Signature, config: Mapping[str, Any]) -> Arrays:
    """Feeds by the signature's names, as the server wants them."""
    batched = int(config.get("max_batch_size", 0)) > 0
    made = {}
    for spec, said in _paired(signature.inputs, config.get("input", []), "inputs"):
        array = feeds[spec.name]
        if array.ndim == len(said["dims"]) + batched - 1:
            array = array.reshape(*array.shape, 1)  # Triton has no tensors without axes
        made[said["name"]] = array
    return made


def _paired(
    specs: Sequence[TensorSpec], said: Sequence[Mapping[str, Any]], kind: str
) -> list[tuple[TensorSpec, Mapping[str, Any]]]:
    """Each tensor with what the configuration says of it: by name; else, as the package lists them in
    the signature's order and some names are not servable as they are, by position.

    Raises:
        NavigatorError: the served model has others.
    """
    by_name = {one["name"]: one for one in said}
    if all(spec.name in by_name for spec in specs):
        return [(spec, by_name[spec.name]) for spec in specs]
    if len(specs) != len(said):
        raise NavigatorError(
            f"the served model has the {kind} {', '.join(by_name) or '(none)'}, and the samples are "
            f"of {', '.join(spec.name for spec in specs)}",
            "is this the package of this model?",
        )
    return list(zip(specs, said, strict=True))


def answers(
    answered: Sequence[Arrays],
    parts: Sequence[Sequence[int]],
    cases: Sequence[Case],
    signature: Signature,
    config: Mapping[str, Any],
    folder: Path,
) -> Product:
    """Answers as a product of ``infer``, in the signature's names and shapes.

    Raises:
        NavigatorError: the server gave other outputs.
    """
    import numpy as np

    names = [spec.name for spec in signature.outputs]
    flat: Arrays = {}
    dtypes: dict[str, str] = {}
    for index, mine in enumerate(parts):
        pieces = [_named(answered[i], signature, config) for i in mine]
        whole = pieces[0]
        if len(pieces) > 1:
            whole = {
                spec.name: np.concatenate([p[spec.name] for p in pieces], spec.batch_axis or 0)
                for spec in signature.outputs
            }
        try:
            arrays, found = checked(whole, names)
        except Refused as error:
            raise NavigatorError(f"the server's {error.message}", error.remedy) from error
        for name, array in arrays.items():
            flat[f"{index}/{name}"] = array
            dtypes.setdefault(name, found[name])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / FILENAME, allow_pickle=False, **flat)
    return Product("", folder, encode(Outputs(tuple(cases), tuple(names), dtypes)))


def _named(answer: Arrays, signature: Signature, config: Mapping[str, Any]) -> Arrays:
    import numpy as np

    made = {}
    for spec, said in _paired(signature.outputs, config.get("output", []), "outputs"):
        if said["name"] not in answer:
            continue
        array = answer[said["name"]]
        if array.ndim == len(spec.shape) + 1 and array.shape[-1] == 1:
            array = array.reshape(array.shape[:-1])
        if array.dtype == object:
            texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
            array = np.array(texts, str).reshape(array.shape)
        made[spec.name] = array
    return made


def replay(
    server: Server,
    model: str,
    samples: Product,
    reference: Product | None,
    scratch: Path,
    judge: Callable[[Accuracy], Verdict],
    *,
    target: Target | None = None,
    version: int = 0,
    protocols: Sequence[str] = ("http", "grpc"),
    batch: int = 4,
    ready_s: float = 0.0,
    timeout_s: float = 120.0,
    say: Callable[[str], None] = lambda text: None,
) -> Replay:
    """Send the samples over each protocol, and compare with the reference's answers.

    ``samples`` is the session's product, ``reference`` that of its reference's ``infer``; None: the
    answers are only counted. ``scratch`` is an empty folder.
    """
    signature = samples.read(Signature)
    feeds = stored.read(samples.path)
    cases = list(reference.read(Outputs).cases) if reference else stored.cases(
        feeds, signature, batch
    )  # fmt: skip
    config = server.config(model)
    planned = plan(feeds, signature, cases, config)
    before = server.statistics(model)
    exchanges = []
    for sent in sending.replay(
        server.wire.address, server.grpc, model, planned.requests, version=version,
        protocols=protocols, sequence=sequences_of(config), secure=server.wire.secure,
        timeout_s=timeout_s, say=say,
    ):  # fmt: skip
        problem, accuracy = sent.problem, None
        if not problem and reference is not None:
            try:
                candidate = answers(sent.outputs, planned.parts, cases, signature, config,
                                    scratch / sent.protocol)  # fmt: skip
                at = At(scratch, target, None, {}, {})
                accuracy = compare.fn(at, candidate, reference, samples)
            except NavigatorError as error:
                problem = error.message
        verdict = None if accuracy is None else judge(accuracy)
        exchanges.append(
            Exchange(sent.protocol, len(sent.outputs), sent.seconds, accuracy, verdict, problem)
        )
    return Replay(
        model, server.words, str(config.get("backend", "")), tuple(exchanges),
        str(target or ""), over(before, server.statistics(model)), unproven(server, config),
        (*planned.notes, *server.notes), ready_s,
    )  # fmt: skip


def sequences_of(config: Mapping[str, Any]) -> str:
    """How a model is told which sequence a request is of: ``number`` or ``text``; "" if it isn't."""
    if "sequence_batching" not in config:
        return ""
    controls = [
        control
        for tensor in config["sequence_batching"].get("control_input", [])
        for control in tensor.get("control", [])
        if control.get("kind") == "CONTROL_SEQUENCE_CORRID"
    ]
    text = any(control.get("data_type") == "TYPE_STRING" for control in controls)
    return "text" if text else "number"


def unproven(server: Server, config: Mapping[str, Any]) -> tuple[str, ...]:
    """What an exchange with this server doesn't show."""
    if not server.standins:
        return ()
    backend = str(config.get("backend") or config.get("platform") or "")
    if backend in ("python", "ensemble", ""):
        return (_CPU_ONLY,)
    return (_STOOD_IN.format(backend=backend),)


def over(
    before: Mapping[str, Any], after: Mapping[str, Any], span_s: float = 0.0, instances: int = 1
) -> ServerStatistics:
    """What the server counted between two looks at its statistics."""

    def count(field: str, part: str) -> int:
        there = after.get("inference_stats", {}).get(field, {})
        here = before.get("inference_stats", {}).get(field, {})
        return int(there.get(part, 0)) - int(here.get(part, 0))

    def whole(name: str) -> int:
        return int(after.get(name, 0)) - int(before.get(name, 0))

    requests = count("success", "count")
    per = max(requests, 1) * 1e6
    old = {int(b["batch_size"]): b for b in before.get("batch_stats", [])}
    batches, spent = [], 0
    for one in after.get("batch_stats", []):
        size = int(one["batch_size"])
        was = old.get(size, {})
        kinds = ("compute_input", "compute_infer", "compute_output")
        many = _part(one, "compute_infer", "count") - _part(was, "compute_infer", "count")
        took = sum(_part(one, kind, "ns") - _part(was, kind, "ns") for kind in kinds)
        if many > 0:
            batches.append(Executed(size, many, took / many / 1e6))
            spent += took
    return ServerStatistics(
        requests, count("fail", "count"), whole("inference_count"), whole("execution_count"),
        count("queue", "ns") / per, count("compute_input", "ns") / per,
        count("compute_infer", "ns") / per, count("compute_output", "ns") / per,
        tuple(sorted(batches, key=lambda b: b.size)),
        spent / (span_s * 1e9 * max(instances, 1)) if span_s else None,
    )  # fmt: skip


def _part(one: Mapping[str, Any], kind: str, part: str) -> int:
    return int(one.get(kind, {}).get(part, 0))


def instances(config: Mapping[str, Any]) -> int:
    """How many instances of a model there are, on one device."""
    groups = config.get("instance_group") or [{"count": 1}]
    return sum(int(g.get("count", 1) or 1) * max(1, len(g.get("gpus", []))) for g in groups)
