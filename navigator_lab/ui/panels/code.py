"""Every click has its line of Python: the text that "Copy as Python" gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OBJECTIVES = ("throughput", "latency", "memory", "size")


def lines(
    opened: str,
    wanted: Sequence[str],
    until: str,
    settings: Mapping[str, Any],
    selection: Sequence[str],
    tolerance: Mapping[str, float] | None,
    limits: Mapping[str, float],
    objective: str,
    axis: str,
    chosen: str,
    repository: str,
    run: str = "",
    fresh: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    mixed: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, str]:
    """Runnable text by section. ``lab`` is the session; the first line of all makes it.

    ``config`` are fields of the package's configuration, ``mixed`` the mixer's numbers by target. ``fresh`` are the targets that still hold where some are stale; None where all do.
    """
    of = "lab" if fresh is None else f"lab.results.only({list(fresh)!r})"
    only = "" if fresh is None else f", targets={list(fresh)!r}"
    bounds = "".join(f", {key}={value!r}" for key, value in limits.items())
    load = "".join(f", {key}={value!r}" for key, value in settings.items())
    more = f", config={dict(config)!r}" if config else ""
    pair = ""
    if tolerance is not None:
        pair = ", ".join(f"{key}={value!r}" for key, value in tolerance.items())
    made = {
        "open": opened,
        "run": f"lab.run(targets={list(wanted)!r}, until={until!r}{load})" if wanted else "",
        "table": f"{of if fresh is not None else 'lab.results'}.to_frame()",
        "pareto": f"import navigator_lab as nav\n\nview = nav.views.pareto\n"
        f"view.draw(view.info({of}, {axis!r}, limits={dict(limits)!r}))",
        "tolerance": "import navigator_lab as nav\n\n"
        f"lab.tolerance = {f'nav.Tolerance({pair})' if tolerance is not None else 'None'}\nlab.results",
        "selection": f"lab[{selection[0]!r}]" if selection else "",
        "attach": f"import navigator_lab as nav\n\nlab = nav.attach({run!r})" if run else "",
        "parallel": "import navigator_lab as nav\n\nview = nav.views.parallel\n"
        f"view.draw(view.info({of}))",
        "compare": "\n".join(f"lab[{name!r}].row" for name in selection[:4]),
        "choose": f"best = lab.choose({objective!r}{bounds}{only})\nbest.package({repository!r}{more})",
    }
    if mixed:
        made["mixer"] = "\n".join(f"lab.mix({of!r}, keep={list(n)!r})" for of, n in mixed.items())
    if chosen:
        made["choose"] = f"lab.package({chosen!r}, {repository!r}{more})"
    return made
