"""Opening a model from the panel: off the kernel's own thread, what is wrong said in the section."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError, NavigatorError, RequestError, SamplesError
from ..panels import pick

if TYPE_CHECKING:
    from .dashboard import Dashboard

WORKSPACE = "navigator_workspace"


def start_picked(panel: Dashboard) -> None:
    """Open what the two lists say."""
    picked = panel.picked
    if picked.get("model") == pick.DIGITS:
        _go(panel, lambda: _digits(panel), "Training the small CNN, or recalling it.")
        return
    model, model_code = _one(panel, picked, "model", ModelError)
    samples, samples_code = _one(panel, picked, "samples", SamplesError)
    name = _name(picked.get("model", ""))
    code = _code(model_code, samples_code, name)
    _go(panel, lambda: (*_explore(panel, model, samples, name), code), "Running the model once on the samples.")  # fmt: skip


def start(panel: Dashboard, model: Any, samples: Any, more: Mapping[str, Any]) -> None:
    """Open a model that Python gave."""
    code = "import navigator_lab as nav\n\nlab = nav.explore(model, samples)"
    _go(
        panel, lambda: (*_explore(panel, model, samples, None, **more), code),
        "Running the model once on the samples.",
    )  # fmt: skip


def _go(panel: Dashboard, work: Any, words: str) -> None:
    if panel._opening["state"] == "opening":
        raise RequestError("a model is being opened", "wait until it is there")
    if panel.running:
        raise RequestError("a run is under way", "cancel it, or let it end")
    panel._opening = {"state": "opening", "words": words, "error": "", "remedy": ""}
    panel._pump.mark("pick")

    def go() -> None:
        try:
            lab, metric, code = work()
        except Exception as error:  # noqa: BLE001 -- a thread has no caller: the panel says it
            known = isinstance(error, NavigatorError)
            panel._opening = {
                "state": "failed",
                "words": "",
                "error": error.message if known else f"{type(error).__name__}: {error}",  # type: ignore[attr-defined]
                "remedy": error.remedy if known else "",  # type: ignore[attr-defined]
            }
            panel._pump.mark("pick")
            return
        panel._opening = {"state": "", "words": "", "error": "", "remedy": ""}
        panel._opened_as = code
        if metric is not None:
            panel.verify = metric
        panel.matrix = {}
        panel.session = lab
        _bind(panel, lab)

    threading.Thread(target=go, name="navigator-open", daemon=True).start()


def _explore(
    panel: Dashboard, model: Any, samples: Any, name: str | None, **more: Any
) -> tuple[Any, Any]:
    from ...session import explore

    more.setdefault("workspace", panel._workspace)
    more.setdefault("plugins", panel._plugins)
    return explore(model, samples, name=more.pop("name", name), **more), None


def _digits(panel: Dashboard) -> tuple[Any, Any, str]:
    from ...demo import digits

    folder = Path(panel._workspace or WORKSPACE)
    made = digits(folder)
    lab, _ = _explore(
        panel, made.model, made.images, "digits", input_names=["image"], output_names=["logits"]
    )
    code = (
        "from pathlib import Path\n\nimport navigator_lab as nav\nfrom navigator_lab.demo import digits\n\n"
        f"made = digits(Path({str(folder)!r}))\n"
        "lab = nav.explore(made.model, made.images, name='digits', input_names=['image'], output_names=['logits'])"
    )
    return lab, made.metric(), code


def _one(
    panel: Dashboard, picked: Mapping[str, str], which: str, wrong: type[NavigatorError]
) -> tuple[Any, str]:
    """The picked thing itself, and how Python says it."""
    kind, _, name = picked.get(which, "").partition(":")
    if kind == "var":
        if name not in panel._namespace:
            raise wrong(f"the variable {name} is no longer there", "pick another")
        return panel._namespace[name], name
    if kind == "file":
        return name, repr(name)
    path = picked.get(f"{which}_path", "").strip()
    if kind == pick.PATH and path:
        return path, repr(path)
    raise wrong(f"no {which} was picked", "pick a variable or a file, or type a path")


def _name(picked: str) -> str | None:
    kind, _, name = picked.partition(":")
    return name if kind == "var" else None


def _code(model: str, samples: str, name: str | None) -> str:
    named = f", name={name!r}" if name else ""
    return f"import navigator_lab as nav\n\nlab = nav.explore({model}, {samples}{named})"


def _bind(panel: Dashboard, lab: Any) -> None:
    """As `lab` in the notebook, so that copied code runs; another thing of that name stays."""
    from ...session import Explored

    if isinstance(panel._namespace.get("lab", lab), Explored):
        panel._namespace["lab"] = lab
