"""Collects what plug-in files declare, and answers what is reachable from a model and what is not.

It imports plug-in modules (which import nothing heavy) and looks at their module-level values; it
runs none of their code.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ..errors import RequestError
from ..types.plugin import (
    Action,
    Edge,
    Format,
    Host,
    Runner,
    Unavailable,
    alternatives,
    old_enough,
    options_known,
    options_of,
    with_settings,
)
from ..types.signature import Signature
from ..types.target import CPU, Device, Precision, Settings, Target, Variant, settings
from .discovery import discovered, load_plugin, named

T = TypeVar("T")
# (distribution, action) -> its version where that action would run; None if it isn't installed
Versions = Callable[[str, Action], "str | None"]


@dataclass(frozen=True, slots=True)
class Way:
    """How a variant is reached: the edges from the source, and why they can't be gone, if so."""

    edges: tuple[tuple[Edge, Variant], ...]
    cost: float
    unavailable: Unavailable | None = None


@dataclass(frozen=True)
class Catalog:
    """All formats, edges, runners and actions, by name.

    ``broken`` are plug-ins that could not be imported, with the reason.
    """

    formats: Mapping[str, Format]
    edges: tuple[Edge, ...]
    runners: Mapping[str, Runner]
    actions: Mapping[str, Action]
    plugins: tuple[str, ...] = ()  # the foreign ones, as a worker must load them
    broken: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        modules: Iterable[ModuleType],
        plugins: tuple[str, ...] = (),
        broken: Mapping[str, str] | None = None,
    ) -> Catalog:
        """What these modules declare at module level.

        Raises:
            RequestError: two of them give one name to different things.
        """
        formats: dict[str, Format] = {}
        runners: dict[str, Runner] = {}
        actions: dict[str, Action] = {}
        edges: dict[int, Edge] = {}
        for module in modules:
            for value in vars(module).values():
                if isinstance(value, Format):
                    _add(formats, value.name, value, module)
                elif isinstance(value, Runner):
                    _add(runners, value.name, value, module)
                    _add(actions, value.action.name, value.action, module)
                elif isinstance(value, Edge):
                    edges[id(value)] = value
                    _add(actions, value.action.name, value.action, module)
                elif isinstance(value, Action):
                    _add(actions, value.name, value, module)
        return cls(formats, tuple(edges.values()), runners, actions, plugins, broken or {})

    @classmethod
    def installed(cls, plugins: Sequence[str | Path] = ()) -> Catalog:
        """Ours, those of entry points in group ``navigator_lab``, those named by the environment
        variable ``NAVIGATOR_LAB_PLUGINS``, and ``plugins`` (files or module names)."""
        return _installed(named(plugins))

    def unavailable(self, action: Action, host: Host, versions: Versions) -> Unavailable | None:
        """Why an action can't work here, or None."""
        for need in action.needs:
            every = alternatives(need)
            have = [(name, versions(name, action), below) for name, below in every]
            if any(old_enough(version, below) for _, version, below in have):
                continue
            name, below = every[0]
            newer = [f"{n} {version}" for n, version, _ in have if version]
            wanted = " or ".join(name for name, _ in every)
            reason = (
                f"it needs {name} below {below}, and {newer[0]} is installed"
                if newer
                else (f"{wanted}{f' below {below}' if below else ''} is not installed")
            )
            remedy = f"pip install {name if not below else repr(f'{name}<{below}')}"
            if action.environment:
                remedy = f"navigator-lab env create {action.environment}"
            return Unavailable(reason, remedy)
        return action.check(host) if action.check else None

    def aliases(self, action: Action) -> tuple[str, ...]:
        """The names by which a user may mean where an action runs: its own, its runner's, its
        format's."""
        for one in self.runners.values():
            if one.action is action:
                return (action.name, one.name, *one.formats, action.environment)
        for edge in self.edges:
            if edge.action is action:
                return (action.name, edge.pairs[0][1].format, action.environment)
        return (action.name,)

    def ways(self, source: Variant, host: Host, versions: Versions) -> dict[Variant, Way]:
        """The cheapest way from ``source`` to every variant that an edge leads to.

        Where only a way over unavailable edges exists, it comes with the reason of its first.
        """
        barred = {id(e): self.unavailable(e.action, host, versions) for e in self.edges}
        open_ways = self._search(source, [e for e in self.edges if barred[id(e)] is None])
        all_ways = self._search(source, self.edges)
        for variant, way in all_ways.items():
            if variant not in open_ways:
                reason = next(r for e, _ in way.edges if (r := barred[id(e)]))
                open_ways[variant] = Way(way.edges, way.cost, reason)
        return {variant: _as_asked(way) for variant, way in open_ways.items()}

    def _search(self, source: Variant, edges: Iterable[Edge]) -> dict[Variant, Way]:
        leaving: dict[Variant, list[tuple[Edge, Variant]]] = {}
        for one in edges:
            for before, after in one.pairs:
                leaving.setdefault(before, []).append((one, after))
        found: dict[Variant, Way] = {}
        count = itertools.count()  # ties are broken by the order of declaration
        queue = [(0.0, next(count), source, Way((), 0.0))]
        while queue:
            cost, _, here, way = heapq.heappop(queue)
            if here in found:
                continue
            found[here] = way
            for one, after in leaving.get(here, ()):
                total = cost + one.cost
                further = Way((*way.edges, (one, after)), total)
                heapq.heappush(queue, (total, next(count), after, further))
        return found

    def targets(
        self,
        source: Variant,
        host: Host,
        versions: Versions,
        signature: Signature | None = None,
    ) -> list[tuple[Target, Way | None, Unavailable | None]]:
        """Every (format, precision, runner, device) there could be: the way to it, and why it
        can't be had here, or None where it can. What runners propose for a signature comes after
        the plain ones."""
        ways = self.ways(source, host, versions)
        plain = [
            (target, ways.get(target.variant), self._why_not(target, source, ways, host, versions))
            for target in self._combinations(source, host)
        ]
        return plain + [
            (replace(target, run_settings=settings(proposal.settings)), way, why)
            for target, way, why in plain
            for proposal in self.runners[target.runner].proposes
            if target.device.kind in proposal.devices and signature and proposal.fits(signature)
        ]

    def with_settings(
        self, target: Target, way: Way | None, why: Unavailable | None, wanted: Target
    ) -> tuple[Target, Way | None, Unavailable | None]:
        """A target of the catalog as one of its own, with the settings of ``wanted``.

        Each setting of the variant goes to the last edge of its way that has such an option; what
        is built from there on is a variant of its own. Values are checked, and written one way.

        Raises:
            RequestError: a setting that is no option, or a value that it can't have.
        """
        runner = self.runners[target.runner].action
        opened = _settings(wanted, runner.name, runner.options, wanted.run_settings)
        if way is None:
            return replace(target, settings=wanted.settings, run_settings=opened), None, why
        left = dict(wanted.settings)
        own: list[Settings] = []
        for edge, _ in reversed(way.edges):
            names = [n for n in options_known(edge.action.options) if n in left]
            given = settings({name: left.pop(name) for name in names})
            own.append(_settings(wanted, edge.action.name, edge.action.options, given))
        if left:
            known = sorted({n for e, _ in way.edges for n in options_known(e.action.options)})
            raise RequestError(
                f"{wanted}: {', '.join(left)} is no option of what builds {target.variant}",
                f"its options are {', '.join(known)}"
                if known
                else "nothing that builds it has any",
            )
        built: Settings = ()
        edges = []
        for (edge, variant), more in zip(way.edges, reversed(own), strict=True):
            built = tuple(sorted((*built, *more)))
            # What a later edge asks of it stands, but where the user says otherwise.
            whole = tuple(sorted((dict(variant.settings) | dict(built)).items()))
            edges.append((edge, replace(variant, settings=whole)))
        target = replace(target, settings=built, run_settings=opened)
        return target, replace(way, edges=tuple(edges)), why

    def _combinations(self, source: Variant, host: Host) -> list[Target]:
        made = []
        near = sorted(self.formats, key=lambda name: name != source.format)  # itself first
        for format in near:
            # What may be the reference comes first: it is what the others are measured against.
            for runner in sorted(self.runners.values(), key=lambda one: not one.reference):
                if format not in runner.formats:
                    continue
                for kind in runner.devices:
                    for device in _devices(kind, host):
                        for precision in Precision:
                            if precision in runner.precisions:
                                made.append(Target(format, precision, runner.name, device))
        return made

    def _why_not(
        self,
        target: Target,
        source: Variant,
        ways: Mapping[Variant, Way],
        host: Host,
        versions: Versions,
    ) -> Unavailable | None:
        runner = self.runners[target.runner]
        if runner.refuses and (reason := runner.refuses(target.precision, target.device)):
            return Unavailable(reason)
        way = ways.get(target.variant)
        if way is None:
            return Unavailable(
                f"no edge leads from {source} to {target.variant}", self._hint(target, ways)
            )
        unbuilt = way.unavailable
        if target.device.kind == "cuda" and target.device.index not in {g.index for g in host.gpus}:
            there = "run on a machine with an NVIDIA GPU and driver; "
            return Unavailable(
                f"no CUDA device {target.device.index} on this machine",
                f"{there}what is built here is reused there"
                if unbuilt is None
                else f"{there}nor can it be built here: {unbuilt.reason} → {unbuilt.remedy}",
                builds=unbuilt is None,
            )
        for name in runner.device_needs.get(target.device.kind, ()):
            if versions(name, runner.action) is None:
                return Unavailable(f"{name} is not installed", f"pip install {name}")
        return unbuilt or self.unavailable(runner.action, host, versions)

    def _hint(self, target: Target, ways: Mapping[Variant, Way]) -> str:
        same = [str(v.precision) for v in ways if v.format == target.format]
        if same:
            return f"{target.format} can be built in {', '.join(sorted(same))}"
        reach = sorted({v.format for v in ways})
        return f"formats that can be reached from this model: {', '.join(reach)}"


def _as_asked(way: Way) -> Way:
    """A way on which every variant has the settings that the next edge asks of it."""
    edges = list(way.edges)
    for i, (edge, variant) in enumerate(edges[1:]):
        if asked := edge.asks.get(variant.precision):
            before, built = edges[i]
            edges[i] = (before, replace(built, settings=settings(asked)))
    return replace(way, edges=tuple(edges))


def _settings(wanted: Target, holder: str, options: type | None, given: Settings) -> Settings:
    """Settings of one action, checked and as their values print."""
    if not given:
        return ()
    try:
        made = with_settings(options_of(options, None), given)
    except ValueError as error:
        raise RequestError(f"{wanted}: {holder}: {error}") from error
    return settings({name: getattr(made, name) for name, _ in given})


def _devices(kind: str, host: Host) -> list[Device]:
    if kind == "cpu":
        return [CPU]
    return [Device(kind, gpu.index) for gpu in host.gpus] or [Device(kind, 0)]


def _add(table: dict[str, T], name: str, value: T, module: ModuleType) -> None:
    if table.setdefault(name, value) is not value:
        raise RequestError(
            f"the plug-in {module.__name__} declares {name!r}, which another one has declared",
            "give it another name",
        )


@lru_cache(maxsize=8)
def _installed(plugins: tuple[str, ...]) -> Catalog:
    modules, broken = discovered(plugins)
    return Catalog.of(modules, plugins, broken)


__all__ = ["Catalog", "Versions", "Way", "load_plugin"]
