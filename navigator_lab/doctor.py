"""What this machine can do, what is missing, and the line that would add it. Runs no model."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from typing import Any

from .catalog import Catalog
from .engine.host import host, version_here
from .environments import Environment, registered
from .errors import NavigatorError
from .types.codec import encode
from .types.plugin import alternatives, old_enough


@dataclass(frozen=True, slots=True)
class Need:
    """One package or tool: its version here, what it is for, and how it would be had."""

    name: str
    version: str | None
    serves: tuple[str, ...]
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The machine and its interpreter."""

    host: Any
    python: str
    needs: tuple[Need, ...]
    formats: tuple[tuple[str, str], ...]  # (format, why no runner can run it here, or "")
    broken: tuple[tuple[str, str], ...]
    environments: tuple[tuple[str, str, str], ...] = ()  # (name, python, what it has or lacks)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``--json`` prints it."""
        return {
            "host": {k: v for k, v in encode(self.host).items() if k != "is"},
            "python": self.python,
            "packages": [
                {"name": n.name, "version": n.version, "serves": list(n.serves), "remedy": n.remedy}
                for n in self.needs
            ],
            "formats": [
                {"format": name, "available": not why, "reason": why} for name, why in self.formats
            ],
            "environments": [
                {"name": name, "python": python, "state": said}
                for name, python, said in self.environments
            ],
            "broken": [{"plugin": name, "reason": why} for name, why in self.broken],
        }

    def __str__(self) -> str:
        known = self.host
        gpus = ", ".join(
            f"{g.name} ({g.memory_bytes / 2**30:.0f} GiB, sm_{g.compute_capability}, "
            f"driver {g.driver})"
            for g in known.gpus
        )
        lines = [
            f"cpu     {known.cpu}, {known.cores} cores, {known.memory_bytes / 2**30:.0f} GiB",
            f"        {' '.join(known.cpu_flags) or 'none of the flags that matter'}",
            f"gpu     {gpus or 'none: CUDA targets are shown with that reason'}",
            f"python  {self.python}",
            "",
        ]
        width = max(len(n.name) for n in self.needs)
        for need in self.needs:
            mark = "✓" if need.version else "–"
            said = need.version or f"missing: {need.remedy}"
            lines.append(f"{mark} {need.name:<{width}}  {said:<14} for {', '.join(need.serves)}")
        lines.append("")
        for name, why in self.formats:
            lines.append(f"{'–' if why else '✓'} format {name:<20} {why}".rstrip())
        lines += [
            f"  environment {n:<15} {said}  ({python})" for n, python, said in self.environments
        ]
        lines += [f"✗ plug-in {name}: {why}" for name, why in self.broken]
        return "\n".join(lines)


def diagnose(plugins: tuple[str, ...] = ()) -> Diagnosis:
    """Look at this machine, with its plug-ins."""
    catalog = Catalog.installed(plugins)
    known = host()
    serves: dict[str, set[str]] = {}
    for edge in catalog.edges:
        for need in edge.action.needs:
            serves.setdefault(need, set()).add(edge.pairs[0][1].format)
    for runner in catalog.runners.values():
        for need in runner.action.needs:
            serves.setdefault(need, set()).update(runner.formats)
    for action in catalog.actions.values():
        for need in action.needs:
            serves.setdefault(need, {action.name})
    needs = []
    for need, uses in sorted(serves.items()):
        (name, below), *others = alternatives(need)
        every = [(n, version_here(n), b) for n, b in ((name, below), *others)]
        found = next((v for _, v, bound in every if old_enough(v, bound)), None)
        shown = f"{name}<{below}" if below else name
        apart = {a.environment for a in catalog.actions.values() if need in a.needs}
        remedy = f"pip install '{shown}'"
        if apart and all(apart):  # it can't live beside the rest
            remedy = f"navigator-lab env create {min(apart)}"
        needs.append(Need(shown, found, tuple(sorted(uses)), remedy))
    compiler = shutil.which("g++") or shutil.which("clang++")
    tool = Need("g++", compiler, ("aoti", "torch.compile"), "apt-get install g++")
    needs.append(tool)
    formats = []
    for name in catalog.formats:
        whys = [
            catalog.unavailable(r.action, known, lambda name, _: version_here(name))
            for r in catalog.runners.values()
            if name in r.formats
        ]
        why = ""
        if not whys:
            why = "no runner runs it"
        elif all(whys):
            first = whys[0]
            assert first is not None
            why = f"{first.reason} → {first.remedy}"
        elif not known.gpus and not any(
            "cpu" in r.devices for r in catalog.runners.values() if name in r.formats
        ):
            why = "no GPU here to run it on"
            if any(
                catalog.unavailable(e.action, known, lambda name, _: version_here(name)) is None
                for e in catalog.edges
                if e.pairs[0][1].format == name
            ):
                why += "; it can be built, and packaged for where one is"
        formats.append((name, why))
    environments = []
    for one in registered().values():
        environments.append((one.name, one.python, _state(one, catalog)))
    python = f"{platform.python_version()} at {sys.executable}"
    return Diagnosis(
        known,
        python,
        tuple(needs),
        tuple(formats),
        tuple(catalog.broken.items()),
        tuple(environments),
    )


def _state(one: Environment, catalog: Catalog) -> str:
    """What works there of the actions that want it; of any runner, where none does."""
    try:
        versions = one.versions
    except NavigatorError as error:
        return str(error.message)
    wanted = [a for a in catalog.actions.values() if a.environment == one.name]
    if not wanted:
        wanted = [runner.action for runner in catalog.runners.values() if runner.action.needs]
    known = host()
    can, lacks = [], set()
    for action in sorted(wanted, key=lambda a: a.name):
        why = catalog.unavailable(action, known, lambda name, _: versions.get(name))
        if why is None:
            needs = (name for need in action.needs for name, _ in alternatives(need))
            have = ", ".join(f"{n} {versions[n]}" for n in needs if n in versions)
            can.append(f"{action.name} ({have})")
        elif action.environment == one.name:
            lacks.add(why.reason)
    if lacks or not can:
        return "; ".join(sorted(lacks)) or "has no runtime"
    try:
        problem = one.problem()
    except NavigatorError as error:
        problem = str(error.message)
    return f"can't do {', '.join(can)} yet: {problem}" if problem else f"can do {', '.join(can)}"
