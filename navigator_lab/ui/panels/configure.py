"""Section 5, the configuration: what is typed as fields of `ModelConfig`, and what is shown of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import NavigatorError, RequestError, unknown

# The form's fields, and the lines of the configuration that each is about.
FIELDS = {
    "max_batch_size": "max_batch_size",
    "preferred_batch_sizes": "dynamic_batching.preferred_batch_size",
    "max_queue_delay_us": "dynamic_batching.max_queue_delay_microseconds",
    "instance_count": "instance_group",
    "instance_kind": "instance_group",
    "response_cache": "response_cache",
    "lines": "",
}
NONE = "none"  # of preferred sizes: leave the default's out


def typed(said: Mapping[str, Any]) -> dict[str, Any]:
    """What of it isn't empty: an empty field is the default.

    Raises:
        RequestError: a field that the form hasn't.
    """
    for name in said:
        if name not in FIELDS:
            raise unknown("field of the configuration", name, FIELDS)
    return {name: said[name] for name in FIELDS if said.get(name) not in (None, "", False, [], ())}


def fields(name: str, value: Any, default: Any) -> dict[str, Any]:
    """One field of the form as fields of `ModelConfig`; ``default`` is the configuration without.

    Raises:
        RequestError: it is no number, or no size.
        PackageError: lines that are no configuration; line and column are named.
    """
    if name == "lines":
        return dict(type(default)(str(value)).to_dict())
    if name == "max_batch_size":
        return {name: _whole(name, value, 0)}
    if name == "preferred_batch_sizes":
        parts = value.replace(",", " ").split() if isinstance(value, str) else list(_many(value))
        sizes = None if parts == [NONE] else [_whole(name, one, 1) for one in parts]
        return {"dynamic_batching": {"preferred_batch_size": sizes}}
    if name == "max_queue_delay_us":
        delay = _whole(name, value, 0)
        return {"dynamic_batching": {"max_queue_delay_microseconds": delay}}
    if name == "response_cache":
        return {"response_cache": {"enable": True}}
    group = dict((default.instance_group or [{}])[0])
    if name == "instance_count":
        group["count"] = _whole(name, value, 1)
    else:
        group["kind"] = str(value)
        if group["kind"] != "KIND_GPU":
            group.pop("gpus", None)
    return {"instance_group": [group]}


def merged(one: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where both speak of a field ``more`` wins, within a block too. Lists are taken whole."""
    made = dict(one)
    for key, value in more.items():
        had = made.get(key)
        if isinstance(had, Mapping) and isinstance(value, Mapping):
            made[key] = merged(had, value)
        else:
            made[key] = value
    return made


def asked(
    said: Mapping[str, Any], default: Any
) -> Iterator[tuple[str, dict[str, Any] | NavigatorError]]:
    """By field of the form what it asks for, or what is wrong with it."""
    base = default
    for name, value in typed(said).items():
        try:
            found = fields(name, value, base)
            base = base.edit(**{k: v for k, v in found.items() if k == "instance_group"})
        except NavigatorError as error:
            yield name, error
        else:
            yield name, found


def defaults(config: Any, reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """By field of the form its default and where that comes from."""
    batching = config.dynamic_batching
    group = (config.instance_group or [{}])[0]
    sizes = (batching or {}).get("preferred_batch_size", [])
    off = f"nothing is gathered at a largest batch of {config.max_batch_size}"
    none = "no measured size is better than the largest" if batching is not None else off
    values = {
        "max_batch_size": (str(config.max_batch_size), ""),
        "preferred_batch_sizes": (", ".join(map(str, sizes)) or NONE, none),
        "max_queue_delay_us": (
            str((batching or {}).get("max_queue_delay_microseconds", 0)),
            "nothing waits" if batching is not None else off,
        ),
        "instance_count": (str(group.get("count", 1)), ""),
        "instance_kind": (str(group.get("kind", "KIND_AUTO")), ""),
        "response_cache": (
            "off",
            "off: only a server that was started with a cache can answer from it",
        ),
    }
    return {
        name: [value, reasons.get(FIELDS[name]) or other] for name, (value, other) in values.items()
    }


def _many(value: Any) -> Iterable[Any]:
    return value if isinstance(value, Iterable) else [value]


def _whole(name: str, value: Any, least: int) -> int:
    try:
        number = int(str(value).strip())
    except ValueError:
        number = least - 1
    if number < least:
        raise RequestError(f"{value!r} is no size" if "batch" in name else f"{value!r} can't be",
                           f"give a whole number of {least} or more")  # fmt: skip
    return number
