"""An ensemble by itself: its steps, its maps, and whether data flows from inputs to outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .finding import Finding, refused


@dataclass(slots=True)
class Edge:
    """One ensemble tensor. ``made_from``: the tensors that the step that writes it reads."""

    written: bool = False
    read: bool = False
    made_from: list[str] = field(default_factory=list)


def ensemble(config: Any) -> Iterator[Finding]:
    """All that the core asks of ``ensemble_scheduling`` before it looks at other models."""
    name = config.name
    if not config.HasField("ensemble_scheduling"):
        if config.platform == "ensemble":
            yield refused(
                f"ensemble scheduling must be set for ensemble {name} whose platform is ensemble",
                "give ensemble_scheduling with its steps, or another platform",
            )
        return
    if config.platform != "ensemble":
        yield refused(
            f"ensemble scheduling cannot be set for model '{name}' whose platform is not ensemble",
            'write platform: "ensemble"',
        )
        return
    for given, message in (
        (config.instance_group, f"instance group should not be specified for ensemble '{name}'"),
        (
            config.HasField("optimization"),
            f"optimization should not be specified for ensemble '{name}'",
        ),
        (config.model_warmup, f"model_warmup can not be specified for ensemble '{name}'"),
    ):
        if given:
            yield refused(message, "give it in the models of its steps")
    if not config.ensemble_scheduling.step:
        yield refused(f"must specify 'step' for ensemble '{name}'", "give at least one step")
        return
    found = list(_steps(config))
    yield from found
    if not found:
        yield from _flow(config)


def _steps(config: Any) -> Iterator[Finding]:
    written: set[str] = set()
    for i, step in enumerate(config.ensemble_scheduling.step):
        for part in ("model_name", "input_map", "output_map"):
            if not getattr(step, part):
                yield refused(
                    f"must specify '{part}' in step {i} of ensemble '{config.name}'",
                    "a step has the model's name, and its inputs and outputs as key, with the "
                    "ensemble's tensors as value",
                )
        for tensor in step.output_map.values():
            if tensor in written:
                yield refused(
                    f"ensemble tensor '{tensor}' can appear in an output map only once for "
                    f"ensemble '{config.name}' step {i}",
                    "write each output to a tensor of its own",
                )
            written.add(tensor)


def edges(config: Any) -> dict[str, Edge]:
    """The ensemble's tensors by name, as its steps connect them."""
    made: dict[str, Edge] = {}
    for step in config.ensemble_scheduling.step:
        for tensor in step.output_map.values():
            edge = made.setdefault(tensor, Edge())
            edge.written = True
            edge.made_from += step.input_map.values()
        for tensor in step.input_map.values():
            made.setdefault(tensor, Edge()).read = True
    return made


def _flow(config: Any) -> Iterator[Finding]:
    name, tensors = config.name, edges(config)
    for io in config.input:
        if io.name not in tensors:
            yield refused(
                # The quote that isn't opened is Triton's.
                f"ensemble input '{io.name}' for ensemble {name}' is not used",
                "let a step read it, or remove it",
            )
    ready = {io.name for io in config.input}
    while True:
        more = {
            tensor
            for tensor, edge in tensors.items()
            if tensor not in ready and edge.made_from and ready.issuperset(edge.made_from)
        }
        if not more:
            break
        ready |= more
    outputs = set()
    for io in config.output:
        if io.name not in tensors:
            yield refused(
                f"ensemble output '{io.name}' for ensemble {name}' is not used",
                "let a step write it, or remove it",
            )
        elif io.name not in ready:
            yield refused(_unwritten(io.name, name, tensors, ready), "connect it to an input")
        outputs.add(io.name)
    for tensor, edge in sorted(tensors.items()):
        if tensor not in outputs and (tensor not in ready or not edge.read):
            yield refused(
                f"ensemble tensor '{tensor}' is unused in ensemble '{name}'",
                "let a step read it, or make it an output"
                if tensor in ready
                else "its step reads a tensor that never comes: look for a circle"
                if edge.written
                else "nothing writes it: it is neither an input nor a step's output",
            )


def _unwritten(output: str, name: str, tensors: dict[str, Edge], ready: set[str]) -> str:
    said = f"output '{output}' for ensemble '{name}' is not written"
    last, seen = output, set()
    while True:
        waiting = [t for t in tensors[last].made_from if t not in ready and t not in seen]
        if not waiting:
            break
        last = waiting[0]
        seen.add(last)
    if last != output:
        said += f": at least one of its depending tensors, '{last}', is not connected"
    return said
