"""What a user points at in a run: set and observed from cells, and the same in every screen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import RequestError, unknown
from ..views.pareto.data import LIMITS

NAMES = ("selection", "chosen", "limits", "tolerance")
Watcher = Callable[[dict[str, Any]], Any]


class Observed:
    """``lab.observe(handler, "selection")`` calls ``handler({"name", "old", "new", "owner"})``, as
    a widget's traits do."""

    def __init__(self) -> None:
        self._pointed: dict[str, Any] = {"selection": [], "chosen": "", "limits": {}}
        self._watchers: list[tuple[Watcher, frozenset[str]]] = []

    def observe(self, handler: Watcher, names: str | Iterable[str] = NAMES) -> None:
        """Call ``handler`` whenever one of these is set to another value.

        Raises:
            RequestError: a name that can't be observed.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            if name not in NAMES:
                raise unknown("name to observe", name, NAMES)
        self._watchers.append((handler, frozenset(wanted)))

    def unobserve(self, handler: Watcher) -> None:
        """No more calls of it."""
        self._watchers = [one for one in self._watchers if one[0] != handler]

    @property
    def selection(self) -> list[str]:
        """The targets that are pointed at, the first one first."""
        return list(self._pointed["selection"])

    @selection.setter
    def selection(self, targets: Iterable[str]) -> None:
        if isinstance(targets, str):
            raise RequestError(f"selection is a list of targets, not {targets!r}", f"[{targets!r}]")
        self._point("selection", [str(target) for target in targets])

    @property
    def chosen(self) -> str:
        """The target that was taken instead of the best one; "" for the best."""
        return str(self._pointed["chosen"])

    @chosen.setter
    def chosen(self, target: Any) -> None:
        self._point("chosen", "" if target is None else str(target))

    @property
    def limits(self) -> dict[str, float]:
        """Bounds by name, as `Explored.choose` takes them: ``{"p99_ms": 5, "memory_bytes": 2e9}``."""
        return dict(self._pointed["limits"])

    @limits.setter
    def limits(self, bounds: Mapping[str, float]) -> None:
        for name, bound in bounds.items():
            if name not in LIMITS:
                raise unknown("limit", name, LIMITS)
            if not isinstance(bound, int | float) or not bound >= 0:
                raise RequestError(f"the limit {name}={bound!r} must be a number of 0 or more")
        self._point("limits", dict(bounds))

    def _point(self, name: str, new: Any) -> None:
        old, self._pointed[name] = self._pointed[name], new
        self._tell(name, old, new)

    def _tell(self, name: str, old: Any, new: Any) -> None:
        if old == new:
            return
        for handler, names in tuple(self._watchers):
            if name in names:
                handler({"name": name, "old": old, "new": new, "owner": self, "type": "change"})
