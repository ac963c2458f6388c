"""What this machine can do, what is missing, and the line that would add it. Runs no model."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from typing import Any

from .catalog import Catalog
from .engine.host import host, version_here
from .types.codec import encode


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
        names = need.split("|")
        found = next((f"{v}" for n in names if (v := version_here(n))), None)
        needs.append(Need(names[0], found, tuple(sorted(uses)), f"pip install {names[0]}"))
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
        formats.append((name, why))
    python = f"{platform.python_version()} at {sys.executable}"
    return Diagnosis(known, python, tuple(needs), tuple(formats), tuple(catalog.broken.items()))
