"""Sequence batching: controls, strategies, states and what they begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import messages, type_text
from .datafile import data_file
from .finding import Finding, refused
from .schedule import preferred_sizes

INITIAL = "initial_state"
_VALUES = ("int32_false_true", "fp32_false_true", "bool_false_true")
_BOOLEAN = ("CONTROL_SEQUENCE_START", "CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_READY")
_ID = "CONTROL_SEQUENCE_CORRID"
_ID_TYPES = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")


def sequences(config: Any, folder: Path, on_disk: bool) -> Iterator[Finding]:
    """All about ``sequence_batching``; with the files that it names where ``on_disk``."""
    if not config.HasField("sequence_batching"):
        return
    name, batcher = config.name, config.sequence_batching
    yield from _controls(batcher, name)
    strategy = batcher.WhichOneof("strategy_choice")
    if strategy == "oldest":
        sizes = batcher.oldest.preferred_batch_size
        yield from preferred_sizes(sizes, "sequence batching preferred batch size", config)
    elif strategy == "direct" and (
        batcher.direct.minimum_slot_utilization < 0 or batcher.direct.minimum_slot_utilization > 1
    ):  # NaN passes, there as here
        yield refused(
            "sequence batching minimum slot utilization must be in range (0.0, 1.0] for " + name,
            f"it is {batcher.direct.minimum_slot_utilization:g}",
        )
    yield from _states(config, folder, on_disk)


def _controls(batcher: Any, name: str) -> Iterator[Finding]:
    kinds = messages().ModelSequenceBatching.Control.Kind
    seen_tensors: set[str] = set()
    seen: set[str] = set()
    for tensor in batcher.control_input:
        if not tensor.name:
            yield refused(
                f"sequence batching control tensor must have a name for {name}", "give 'name'"
            )
        elif tensor.name in seen_tensors:
            yield refused(
                f"sequence batching control tensor '{tensor.name}' is specified for multiple "
                f"control kinds for {name}",
                "give each control a tensor of its own",
            )
        seen_tensors.add(tensor.name)
        for control in tensor.control:
            kind = kinds.Name(control.kind)
            if kind in seen:
                yield refused(
                    f"sequence batching specifies multiple {kind} tensors for {name}",
                    "keep one of them",
                )
            seen.add(kind)
            yield from _control(control, kind, name)


def _control(control: Any, kind: str, name: str) -> Iterator[Finding]:
    given = [field for field in _VALUES if getattr(control, field)]
    if kind == _ID:
        if given:
            yield refused(
                "sequence batching must not specify either 'int32_false_true', 'fp32_false_true' "
                f"or 'bool_false_true' for {kind} for {name}",
                f"remove {given[0]}; give data_type",
            )
        if type_text(control.data_type) not in _ID_TYPES:
            yield refused(
                f"unexpected data type for control {kind} for {name}. Allowed data types are "
                "TYPE_UINT64, TYPE_INT64, TYPE_UINT32, TYPE_INT32 and TYPE_STRING",
                f"it is {type_text(control.data_type)}",
            )
        return
    if not given:
        yield refused(
            "sequence batching must specify either 'int32_false_true', 'fp32_false_true' or "
            f"'bool_false_true' for {kind} for {name}",
            "as int32_false_true: [0, 1]",
        )
    elif len(given) > 1:
        yield refused(
            "sequence batching specifies more than one from 'int32_false_true', 'fp32_false_true' "
            f"and 'bool_false_true' for {kind} for {name}",
            f"keep {given[0]}",
        )
    elif len(getattr(control, given[0])) != 2:
        yield refused(
            f"sequence batching control '{given[0]}' must have exactly 2 entries for {kind} for "
            f"{name}",
            "as [0, 1]: what it is when false, and when true",
        )


def _states(config: Any, folder: Path, on_disk: bool) -> Iterator[Finding]:
    seen: set[str] = set()
    for state in config.sequence_batching.state:
        who = state.input_name
        if len(state.initial_state) > 1:
            yield refused(
                f"initial_state field for state input '{who}' must contain exactly one or zero "
                f"element. Found '{len(state.initial_state)}' elements.",
                "keep one",
            )
        if len(state.initial_state) != 1:
            continue
        begin = state.initial_state[0]
        if begin.data_type != state.data_type:
            yield refused(
                f"The data type used for 'initial_state' field of state '{who}' does not match the "
                "state data type.",
                f"{type_text(begin.data_type)} is not {type_text(state.data_type)}",
            )
        if not begin.name:
            yield refused(
                f"Field 'name' must be set when using initial_state for state input '{who}'.",
                "give any name",
            )
        if who in seen:
            yield refused(
                f"State input name '{who}' specified more than once.", "keep one of the states"
            )
        seen.add(who)
        yield from _beginning(state, begin, folder, on_disk)


def _beginning(state: Any, begin: Any, folder: Path, on_disk: bool) -> Iterator[Finding]:
    who = state.input_name
    if len(begin.dims) != len(state.dims):
        yield refused(
            "Number of dimensions in 'initial_state' doesn't match the size of 'state' dimensions "
            f"for state input '{who}'. {len(begin.dims)} != {len(state.dims)}",
            "both are without the batch axis",
        )
        return
    for one, other in zip(begin.dims, state.dims, strict=True):
        if one == -1:
            yield refused(
                f"'initial_state' field for state input name '{who}' contains variable dimensions.",
                "say how large the first state is",
            )
            return
        if other not in (-1, one):
            yield refused(
                f"'initial_state' dim for input name '{who}' doesn't match 'state' dim "
                f"description. {one} != {other}",
                "make them the same",
            )
            return
    kind = begin.WhichOneof("state_data")
    if kind is None:
        yield refused(
            f"initial_state setting expects state'{who}' to have state_data set",
            "give zero_data: true, or data_file",
        )
    elif kind == "data_file" and on_disk:
        yield from data_file(
            folder / INITIAL / begin.data_file, begin.data_file, begin, "initial_state setting",
            "write the whole state, without a batch axis", end=".",
        )  # fmt: skip
