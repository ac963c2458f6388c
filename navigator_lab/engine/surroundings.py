"""Where a step would run, what is installed there, and so what its result depends on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..catalog import Catalog
from ..types.outcome import Product, Skipped
from ..types.plugin import Action, Host
from ..types.step import Step
from . import keys


class Surroundings:
    """The plug-ins, the machine and its interpreters. ``version_in`` is asked for the version of
    a distribution in an interpreter; ``environments`` are interpreters by what is to run there."""

    def __init__(
        self,
        catalog: Catalog,
        host: Host,
        version_in: Callable[[str, str], str | None],
        codes: keys.Codes,
        environments: Mapping[str, str],
    ) -> None:
        self.catalog, self.host, self.environments = catalog, host, dict(environments)
        self._version_in, self._codes = version_in, codes

    def actions(self, step: Step) -> list[Action] | None:
        """The step's action and those of the runners it uses; None if one isn't declared."""
        names = (step.action, *(f"runner {name}" for name in step.uses))
        found = [self.catalog.actions.get(name) for name in names]
        return None if None in found else [a for a in found if a is not None]

    def facts(self, step: Step, inputs: Mapping[str, Product]) -> dict[str, Any] | None:
        """All that its result depends on; None if it can't run here."""
        actions, python = self.actions(step), self.python(step)
        if actions is None:
            return None

        def versions(name: str, action: Action | None = None) -> str | None:
            return self._version_in(python, name)

        for action in actions:
            if self.catalog.unavailable(action, self.host, versions):
                return None
        digests = {n: p.digest for n, p in inputs.items()}
        return keys.facts(step, actions, digests, self.host, versions, self._codes)

    def version(self, name: str, action: Action) -> str | None:
        """The version of a distribution where an action would run; None if it isn't there."""
        return self._version_in(self._in_environment(self.catalog.aliases(action)), name)

    def _in_environment(self, names: Iterable[str]) -> str:
        return next((self.environments[n] for n in names if n in self.environments), sys.executable)

    def unavailable(self, step: Step) -> Skipped:
        """Why a step can't run here."""
        python = self.python(step)
        for action in self.actions(step) or ():
            why = self.catalog.unavailable(
                action, self.host, lambda name, _: self._version_in(python, name)
            )
            if why:
                return Skipped(why.reason, why.remedy)
        return Skipped(f"no plug-in declares {step.action!r}", "install the plug-in that did")

    def python(self, step: Step) -> str:
        """The interpreter that it runs in."""
        names = [step.action, *step.uses]
        if step.about is not None:
            names.append(step.about.format)
        names += [a.environment for a in self.actions(step) or () if a.environment]
        return self._in_environment(names)
