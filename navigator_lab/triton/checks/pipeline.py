"""An ensemble among the models of its repository: names, tensors, types, shapes, batches, cycles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import type_text
from .finding import Finding, noted, refused


@dataclass(slots=True)
class Member:
    """A model of the repository as the core would know it once it is loaded.

    ``whole``: inputs and outputs are known; a backend may find them only when it loads.
    """

    config: Any
    versions: tuple[int, ...]  # those that would be served
    errors: list[str] = field(default_factory=list)
    whole: bool = True


@dataclass(slots=True)
class _Tensor:
    model: str
    data_type: int
    dims: list[int]
    full: list[int]


def pipeline(member: Member, models: Mapping[str, Member]) -> Iterator[Finding]:
    """What is wrong between an ensemble and the models of its steps."""
    config = member.config
    name = config.name
    wanted: dict[str, set[int]] = {}
    for step in config.ensemble_scheduling.step:
        wanted.setdefault(step.model_name, set()).add(step.model_version)
    missing = [one for one in wanted if one not in models]  # in the order of the steps
    if missing:
        others = f"so is {_some(missing[1:])}; " if missing[1:] else ""
        yield refused(
            f"ensemble {name} contains models that are not available or ambiguous: {missing[0]}",
            f"{others}the repository holds "
            + (_some(sorted(set(models) - {name})) or "no other model"),
        )
        return
    circle = _circle(name, models)
    if circle:
        yield refused(
            f"circular dependency between ensembles: {name} -> ... -> {circle} -> {name}",
            "an ensemble can't be a step of itself, nor of one of its steps",
        )
        return
    broken = False
    for one, versions in sorted(wanted.items()):
        for finding in _usable(name, one, versions, models[one]):
            broken = True
            yield finding
    if not broken:
        yield from _tensors(config, models)


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _circle(name: str, models: Mapping[str, Member]) -> str:
    """The last model before the way through steps comes back to ``name``, or ""."""
    todo, seen = [name], set()
    while todo:
        one = todo.pop()
        for step in models[one].config.ensemble_scheduling.step if one in models else ():
            if step.model_name == name:
                return one
            if step.model_name not in seen:
                seen.add(step.model_name)
                todo.append(step.model_name)
    return ""


def _usable(name: str, one: str, versions: set[int], member: Member) -> Iterator[Finding]:
    if member.errors:
        why = "is not valid. Model '{}' failed with error"
        if not member.config.HasField("ensemble_scheduling"):
            why = "has no loaded version. Model '{}' loading failed with error"
        yield refused(
            f"ensemble '{name}' depends on '{one}' which {why.format(one)}: {member.errors[0]}",
            f"correct {one!r}",
        )
        return
    for version in sorted(versions - {-1}):
        if version not in member.versions:
            yield refused(
                f"ensemble '{name}' depends on '{one}' whose required version {version} is not "
                "loaded.",
                f"its versions are {', '.join(map(str, member.versions))}; -1 takes the newest",
            )


def _tensors(config: Any, models: Mapping[str, Member]) -> Iterator[Finding]:
    name, batched = config.name, config.max_batch_size > 0
    known: dict[str, _Tensor] = {}
    for io in (*config.input, *config.output):
        dims = io.reshape.shape if io.HasField("reshape") else io.dims
        known.setdefault(io.name, _tensor(name, io.data_type, dims, batched))
    for step in config.ensemble_scheduling.step:
        member = models[step.model_name]
        if not member.whole:
            yield noted(
                f"in ensemble {name}, the tensors of model {step.model_name} are known only to its "
                "backend and were not compared",
                "write its inputs and outputs into its config.pbtxt",
            )
            continue
        model = member.config
        if 0 < model.max_batch_size < config.max_batch_size:
            yield refused(
                f"ensemble {name} allows maximum batch size {config.max_batch_size}, but it "
                f"contains model {step.model_name} which only allows maximum batch size to be "
                f"{model.max_batch_size}",
                f"lower the ensemble's max_batch_size to {model.max_batch_size}",
            )
        yield from _edges(name, step, model, "input", known)
        yield from _edges(name, step, model, "output", known)
    yield from _decoupled(config, models)


def _tensor(model: str, data_type: int, dims: Any, batched: bool) -> _Tensor:
    return _Tensor(model, data_type, list(dims), [*([-1] if batched else []), *dims])


def _edges(
    name: str, step: Any, model: Any, kind: str, known: dict[str, _Tensor]
) -> Iterator[Finding]:
    """What goes into a model (``kind`` "input"), or comes out of it, is there and agrees."""
    there = {io.name: io for io in getattr(model, kind)}
    mapped = getattr(step, f"{kind}_map")
    way = "is mapping to" if kind == "input" else "is mapped from"
    for io, tensor in sorted(mapped.items()):
        if io not in there:
            yield refused(
                f"in ensemble {name}, ensemble tensor {tensor} {way} non-existing {kind} {io} "
                f"in model {step.model_name}",
                f"its {kind}s are {', '.join(there) or 'none'}",
            )
            continue
        yield from _agree(name, tensor, there[io], step, model, known)
    for io, spec in there.items() if kind == "input" else ():
        if io not in mapped and not spec.optional:
            yield refused(
                f"in ensemble {name}, input {io} in model {step.model_name} is not mapped to any "
                "ensemble tensors",
                "map it, or mark it optional in the model",
            )


def _agree(
    name: str, tensor: str, io: Any, step: Any, model: Any, known: dict[str, _Tensor]
) -> Iterator[Finding]:
    """The type and the shape of a tensor, against who named it first."""
    here = _tensor(step.model_name, io.data_type, io.dims, model.max_batch_size > 0)
    first = known.setdefault(tensor, here)
    if first.data_type != here.data_type:
        yield refused(
            f"in ensemble {name}, ensemble tensor {tensor}: inconsistent data type: "
            f"{type_text(first.data_type)} is inferred from model {first.model} while "
            f"{type_text(here.data_type)} is inferred from model {here.model}",
            "cast it in one of the models, or in one between them",
        )
    elif not (_same(first.dims, here.dims) or _same(first.full, here.full)):
        yield refused(
            f"in ensemble {name}, ensemble tensor {tensor}: inconsistent shape: "
            f"{_shape(first.full)} is inferred from model {first.model} while "
            f"{_shape(here.full)} is inferred from model {here.model}",
            "change the dims of one of them",
        )


def _same(one: list[int], other: list[int]) -> bool:
    return len(one) == len(other) and all(
        a == b or -1 in (a, b) for a, b in zip(one, other, strict=True)
    )


def _shape(dims: list[int]) -> str:
    return "[" + ",".join(map(str, dims)) + "]"


def _decoupled(config: Any, models: Mapping[str, Member]) -> Iterator[Finding]:
    """No step, and no answer, may be made of two streams: nothing says what belongs together.

    An ensemble that streams is decoupled itself; that is written into ``config``, as the core does.
    """
    streams: dict[str, str] = {io.name: "" for io in config.input}
    steps = list(config.ensemble_scheduling.step)
    while ready := [s for s in steps if all(t in streams for t in s.input_map.values())]:
        for step in ready:
            steps.remove(step)
            merged = {streams[t] for t in step.input_map.values()}
            if len(merged) > 1:
                yield _mixed(config.name, step.model_name)
            own = models[step.model_name].config.model_transaction_policy.decoupled
            stream = f"{step.model_name} {len(steps)}" if own else min(merged, default="")
            for tensor in step.output_map.values():
                streams.setdefault(tensor, stream)
    if len({streams.get(io.name, "") for io in config.output}) > 1:
        yield _mixed(config.name, config.name)
    config.model_transaction_policy.decoupled = any(streams.values())


def _mixed(name: str, model: str) -> Finding:
    return refused(
        f"in ensemble {name}, step of model '{model}' receives inputs originated from different "
        "decoupled models",
        "join them inside one model",
    )
