"""Warm-up samples: the server makes real requests of them, and refuses the model if it can't."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import type_text
from ..repository import WARMUP
from .datafile import data_file
from .finding import Finding, noted, refused

_REQUEST = "[request id: <id_unknown>] "  # the server's, before all that it says of a request
_PROTOCOL = {"TYPE_STRING": "BYTES"}


def warmup(config: Any, folder: Path) -> Iterator[Finding]:
    """What the server would say of the samples before and while it runs them."""
    inputs = {io.name: io for io in config.input}
    for setting in config.model_warmup:
        if setting.batch_size == 0:
            continue  # the server skips it
        found = []
        for name, one in sorted(setting.inputs.items()):
            found += list(_sample(name, one, folder))
        yield from found
        if found or not inputs:
            continue
        yield from _request(config, setting, inputs)
        for name, one in sorted(setting.inputs.items()):
            if name in inputs:
                yield from _agrees(config, name, one, inputs[name], folder)
            else:
                yield noted(
                    f"warm-up {setting.name!r} sends '{name}', which is no input of the model",
                    f"inputs are {', '.join(inputs)}; controls may be sent too",
                )


def _sample(name: str, one: Any, folder: Path) -> Iterator[Finding]:
    if any(d < 0 for d in one.dims):
        yield refused(
            f"warmup setting expects all variable-size dimensions are specified for input '{name}'",
            f"its dims are {list(one.dims)}: give the sample's own",
        )
        return
    kind = one.WhichOneof("input_data_type")
    if kind is None:
        yield refused(
            f"{_REQUEST}warmup setting expects input '{name}' to have input_data_type set",
            "give zero_data, random_data or input_data_file",
        )
    elif kind == "input_data_file":
        yield from data_file(
            folder / WARMUP / one.input_data_file, one.input_data_file, one, "warmup setting",
            f"input '{name}': write one sample without a batch axis", start=_REQUEST,
        )  # fmt: skip


def _request(config: Any, setting: Any, inputs: dict[str, Any]) -> Iterator[Finding]:
    largest = config.max_batch_size
    if 0 < largest < setting.batch_size:
        groups = config.instance_group
        group = (groups[0].name or f"{config.name}_0") if groups else config.name
        yield refused(
            f"failed to run warmup sample '{setting.name}': batch size {setting.batch_size} for "
            f"'{group}_0', max allowed is {largest}",
            f"lower the warm-up's batch_size to {largest}",
        )
    sent = sorted(set(setting.inputs) & set(inputs))
    # One that is there twice counts twice, and can't be sent twice.
    required = sorted(io.name for io in config.input if not io.optional)
    missing = sorted({name for name in required if name not in sent})
    if missing or len(required) > len(set(required)):
        listed = f"[{_quoted(missing)}]" if missing else "]"
        span = f"{len(required)} inputs"
        if len(required) < len(config.input):
            span = f"number of inputs between {len(required)} and {len(config.input)}"
        yield refused(
            f"{_REQUEST}expected {span} but got {len(sent)} inputs for model "
            f"'{config.name}'. Got input(s) [{_quoted(sent)}], but missing required input(s) "
            f"{listed}. Please provide all required input(s).",
            f"add them to warm-up {setting.name!r}" if missing else "name each input once",
        )


def _agrees(config: Any, name: str, one: Any, io: Any, folder: Path) -> Iterator[Finding]:
    if one.data_type != io.data_type:
        yield refused(
            f"{_REQUEST}inference input '{name}' data-type is '{_type(one)}', but model "
            f"'{config.name}' expects '{_type(io)}'",
            f"write data_type: {type_text(io.data_type)} in the warm-up",
        )
        return
    fits = len(one.dims) == len(io.dims) and all(
        asked in (-1, given) for given, asked in zip(one.dims, io.dims, strict=True)
    )
    if not fits:
        batched = config.max_batch_size > 0
        expected = [*([-1] if batched else []), *io.dims]
        got = [*([1] if batched else []), *one.dims]
        yield refused(
            f"{_REQUEST}unexpected shape for input '{name}' for model '{config.name}'. Expected "
            f"[{_listed(expected)}], got [{_listed(got)}]. ",
            "write the sample's dims as the input has them, without a batch axis",
        )
    elif type_text(one.data_type) == "TYPE_STRING" and one.input_data_file:
        yield from _text(config, name, one, (folder / WARMUP / one.input_data_file).read_bytes())


def _text(config: Any, name: str, one: Any, data: bytes) -> Iterator[Finding]:
    """Texts lie one after the other, each behind its length in four bytes."""
    at = count = 0
    while at < len(data):
        if at + 4 > len(data):
            yield refused(
                f"{_REQUEST}incomplete string length indicator for inference input '{name}' for "
                f"model '{config.name}', expecting 4 bytes but only {len(data) - at} bytes "
                "available. ",
                "write each text as its length (4 bytes, little end first), then its bytes",
            )
            return
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4 + size
        count += 1
    wanted = math.prod(one.dims)
    if at > len(data):
        yield refused(
            f"{_REQUEST}incomplete string data for inference input '{name}' for model "
            f"'{config.name}'",
            "write each text as its length (4 bytes, little end first), then its bytes",
        )
    elif count != wanted:
        # The server stops counting at the first that is too many.
        said = min(count, wanted + 1)
        yield refused(
            f"{_REQUEST}unexpected number of string elements {said} for inference input '{name}' "
            f"for model '{config.name}', expecting {wanted}",
            "write as many texts as dims say",
        )


def _type(io: Any) -> str:
    text = type_text(io.data_type)
    return _PROTOCOL.get(text, text.removeprefix("TYPE_"))


def _quoted(names: list[str]) -> str:
    return ",".join(f"'{name}'" for name in names)


def _listed(dims: list[int]) -> str:
    return ",".join(map(str, dims))
