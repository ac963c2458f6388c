"""From the keyword arguments of `Session.run` to what the plan and the engine take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..engine.floor import Limits
from ..errors import RequestError, unknown
from ..types.request import Load, Request

_LOAD = {f.name for f in dataclasses.fields(Load)}


def request_of(given: Mapping[str, Any]) -> Request:
    """A request from keyword arguments.

    Raises:
        RequestError: an argument that there isn't, or a value of the wrong kind.
    """
    given = dict(given)
    load = {name: given.pop(name) for name in list(given) if name in _LOAD}
    known = {f.name for f in dataclasses.fields(Request)} - {"load"}
    for name in given:
        if name not in known:
            more = ("tolerance", "verify", "retry_failed", "timeout_s", "memory_limit_bytes")
            raise unknown("argument", name, sorted({*known, *_LOAD, *more}))
    for name in ("formats", "precisions", "runners", "devices", "targets"):
        value = given.get(name)
        if value is None:
            given.pop(name, None)
            continue
        value = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
        given[name] = tuple(str(v) for v in value)
        if not value:
            raise RequestError(f"{name} is empty", "leave it out to mean all")
    if options := given.get("options"):
        given["options"] = tuple(dict(options).items())
    if "batches" in load:
        try:
            load["batches"] = tuple(sorted({int(b) for b in load["batches"]}))
        except (TypeError, ValueError) as error:
            raise RequestError(f"batches={load['batches']!r} are no batch sizes") from error
    return Request(**given, load=Load(**load))


def limits_of(limits: Limits, wanted: dict[str, Any]) -> Limits:
    """Limits with what the keyword arguments say of them, which is taken out of these.

    Raises:
        RequestError: a limit that can't be.
    """
    if (seconds := wanted.pop("timeout_s", None)) is not None:
        if not seconds > 0:
            raise RequestError(f"timeout_s={seconds!r} can't be", "give seconds above 0")
        limits = dataclasses.replace(limits, timeout_s=float(seconds))
    if (memory := wanted.pop("memory_limit_bytes", None)) is not None:
        if not memory > 0:
            raise RequestError(f"memory_limit_bytes={memory!r} can't be", "give bytes above 0")
        limits = dataclasses.replace(limits, memory_bytes=int(memory))
    return limits
