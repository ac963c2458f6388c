"""Decorators that make an action, an edge or a runner of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from ..target import Device, Precision, Variant
from .declared import Action, Edge, Proposal, Reading, Runner


def action(name: str, **facts: Any) -> Callable[[Callable[..., Any]], Action]:
    """Declare an `Action`; the first line of the function's docstring is its help."""
    return lambda fn: Action(name, fn, help=_first_line(fn), **facts)


def edge(
    source: str,
    target: str,
    *precisions: str | tuple[str, str],
    cost: float = 1.0,
    name: str = "",
    reads: tuple[Reading, ...] = (),
    asks: Mapping[str, Mapping[str, Any]] | None = None,
    **facts: Any,
) -> Callable[[Callable[..., Any]], Edge]:
    """Declare an `Edge` between two formats.

    ``precisions`` are those that pass through (``"fp32"``) or change (``("fp32", "int8")``). The
    action is named ``<target><-<source>``; edges that change the precision within one format add
    it, as they would otherwise share a name.
    """
    pairs = []
    for one in precisions:
        before, after = (one, one) if isinstance(one, str) else one
        pairs.append((Variant(source, Precision(before)), Variant(target, Precision(after))))
    label = name or f"{target}<-{source}"

    def wrap(fn: Callable[..., Any]) -> Edge:
        made = Action(label, fn, help=_first_line(fn), **facts)
        return Edge(tuple(pairs), made, cost, reads, asks or {})

    return wrap


def runner(
    name: str,
    *formats: str,
    devices: tuple[str, ...] = ("cpu",),
    precisions: tuple[str, ...] = tuple(Precision),
    refuses: Callable[[Precision, Device], str] | None = None,
    reference: bool = False,
    family: str = "",
    device_needs: Mapping[str, tuple[str, ...]] | None = None,
    proposes: tuple[Proposal, ...] = (),
    **facts: Any,
) -> Callable[[Callable[..., AbstractContextManager[Any]]], Runner]:
    """Declare a `Runner` from a context manager ``(model, opening)``."""

    def wrap(fn: Callable[..., AbstractContextManager[Any]]) -> Runner:
        made = Action(f"runner {name}", fn, help=_first_line(fn), hardware=True, **facts)
        wanted = tuple(Precision(p) for p in precisions)
        needs = dict(device_needs or {})
        return Runner(
            name, formats, made, devices, wanted, refuses, reference, family, needs, proposes
        )

    return wrap


def _first_line(fn: Callable[..., Any]) -> str:
    return (fn.__doc__ or "").strip().split("\n")[0]
