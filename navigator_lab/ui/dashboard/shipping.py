"""Export from the panel: the package is built and put into the repository off the kernel's thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import NavigatorError, RequestError
from ..panels import choose

if TYPE_CHECKING:
    from .dashboard import Dashboard

_CONFIG = "config.pbtxt"


def start(panel: Dashboard, target: str, repository: str) -> None:
    """Export with the configuration as the form has it."""
    lab = panel._lab()
    if not target:
        raise RequestError("there is no target to export", "run some, then choose one")
    if panel.running:
        raise RequestError("a run is under way", "cancel it, or let it end")
    if panel.exported.get("state") == "working":
        raise RequestError("an export is under way", "wait until it is done")
    words = f"Building the package of {target} and rehearsing it."
    panel.exported = {"state": "working", "target": target, "words": words}

    def go() -> None:
        try:
            panel.exported = _made(panel, lab, target, repository)
        except Exception as error:  # noqa: BLE001 -- a thread has no caller: the panel says it
            known = isinstance(error, NavigatorError)
            panel.exported = {
                "state": "failed",
                "target": target,
                "words": error.message if known else f"{type(error).__name__}: {error}",  # type: ignore[attr-defined]
                "remedy": error.remedy if known else "",  # type: ignore[attr-defined]
            }

    threading.Thread(target=go, name="navigator-export", daemon=True).start()


def _made(panel: Dashboard, lab: Any, target: str, repository: str) -> dict[str, Any]:
    options = panel._configuring.options(lab, target)
    folder = lab.package(target, repository, overwrite=True, **options)
    return {
        "state": "done",
        "target": target,
        "config": _text(lab, target, folder, options),
        "words": f"Exported to {folder}",
        "serve": choose.serve(repository, str(folder).rpartition("/")[2]),
    }


def _text(lab: Any, target: str, folder: Path | str, options: dict[str, Any]) -> str:
    """The configuration that was written; of a repository elsewhere, as it was made."""
    if isinstance(folder, Path):
        return (folder / _CONFIG).read_text()
    return str(lab.config(target, **options).text)
