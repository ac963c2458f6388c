"""The configuration as it will be exported: edited in the form, its text at once.

A package is built once a target and largest batch, off the kernel's thread; what is edited is tried
on its configuration, by the same rules as an export, in the pump's thread and in milliseconds.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ...errors import NavigatorError, RequestError
from ..panels import configure

if TYPE_CHECKING:
    from .dashboard import Dashboard


class Configuring:
    """The packages that the form of one panel stands on. `drawn` says what is shown of them."""

    def __init__(self, panel: Dashboard) -> None:
        self._panel = panel
        self.target = ""
        self._of: Any = None  # the target's run that the packages are of
        self._made: dict[tuple[Any, Any], Any] = {}  # (largest batch, limit) -> package or error
        self._making = False

    def show(self, target: str) -> None:
        """Show a target's configuration from now on.

        Raises:
            RequestError: there is no target, or a run is under way.
        """
        if not target:
            raise RequestError("there is no target to export", "run some, then choose one")
        if self._panel.running:
            raise RequestError("a run is under way", "cancel it, or let it end")
        self.target, self._of = target, None
        self._panel._pump.mark("config")

    def options(self, lab: Any, target: str) -> dict[str, Any]:
        """What `Session.package` is given beside the target, as the form stands now.

        Raises:
            NavigatorError: a field that can't be; it is named.
        """
        how = self._how(target)
        if not configure.typed(self._panel.configuration):
            return how
        wanted: dict[str, Any] = {}
        default = lab.config(target, **how).config
        for name, found in configure.asked(self._panel.configuration, default):
            if isinstance(found, NavigatorError):
                raise type(found)(f"{name}: {found.message}", found.remedy)
            wanted = configure.merged(wanted, found)
        return {**how, "config": wanted}

    def drawn(self) -> dict[str, Any]:
        """What the form shows."""
        panel, target = self._panel, self.target
        lab = panel.session
        if lab is None or not target:
            return {}
        of = next((one for one in lab.run_data.targets if str(one.target) == target), None)
        if self._of is None:
            self._of, self._made = of, {}
        elif of is not self._of:  # it was built anew: what is shown would be of another model
            self.target = ""
            return {}
        shown = {"target": target, "state": "ready", "words": "", "remedy": "", "errors": {}}
        default = self._package(lab, None)
        if default is None:
            return {**shown, "state": "working",
                    "words": f"Building the package of {target} and rehearsing it."}  # fmt: skip
        if isinstance(default, NavigatorError):
            return {**shown, "state": "failed", "words": default.message, "remedy": default.remedy}
        shown["defaults"] = configure.defaults(default.config, default.reasons)
        asked = list(configure.asked(panel.configuration, default.config))
        sizes = [found["max_batch_size"] for _, found in asked
                 if isinstance(found, dict) and "max_batch_size" in found]  # fmt: skip
        base = self._package(lab, sizes[-1]) if sizes else default
        if base is None:
            return {
                **panel.configured,
                **shown,
                "state": "working",
                "words": "Sizes are worked out.",
            }
        errors: dict[str, list[str]] = {}
        if isinstance(base, NavigatorError):
            which = next(
                n for n, f in reversed(asked) if isinstance(f, dict) and "max_batch_size" in f
            )
            errors[which] = [base.message, base.remedy]
            base = default
        wanted: dict[str, Any] = {}
        made = base.config
        for name, found in asked:
            try:
                if isinstance(found, NavigatorError):
                    raise found
                if name in errors:
                    continue
                more = configure.merged(wanted, found)
                made = base.tried(more)
                wanted = more
            except NavigatorError as error:
                errors[name] = [error.message, error.remedy]
        return {**shown, "text": made.text, "errors": errors, "asked": wanted,
                "notes": list(base.notes)}  # fmt: skip

    def _how(self, target: str) -> dict[str, Any]:
        """A limit that the best was chosen by decides its sizes, too."""
        panel = self._panel
        limit = panel.limits.get("p99_ms")
        return {"p99_ms": limit} if limit and not panel.chosen and target == panel.target else {}

    def _package(self, lab: Any, size: int | None) -> Any:
        """The package, the error instead of it, or None: it is being made."""
        how = self._how(self.target)
        key = (size, how.get("p99_ms"))
        if key in self._made:
            return self._made[key]
        if self._making or self._panel.running:
            return None
        self._making = True
        made, target = self._made, self.target
        more = {} if size is None else {"config": {"max_batch_size": size}}

        def make() -> None:
            try:
                made[key] = lab.config(target, **how, **more)
            except Exception as error:  # noqa: BLE001 -- a thread has no caller: the form says it
                known = isinstance(error, NavigatorError)
                made[key] = error if known else RequestError(f"{type(error).__name__}: {error}")
            finally:
                self._making = False
                self._panel._pump.mark("config")

        threading.Thread(target=make, name="navigator-config", daemon=True).start()
        return None
