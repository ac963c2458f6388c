"""What would be written for a target: its ``config.pbtxt``, and where each value comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..stages.package import Package, PackageOptions
from ..triton.defaults import override
from ..triton.modelconfig import ModelConfig
from ..types.plugin import options_of

if TYPE_CHECKING:
    from .explored import Explored


class Configured:
    """A package that was made and put nowhere yet. Shown as its text, with reasons as comments."""

    def __init__(
        self, explored: Explored, target: str, made: Package, options: dict[str, Any]
    ) -> None:
        self._explored = explored
        self.target = target
        self.options = options
        self.made = made

    @property
    def config(self) -> ModelConfig:
        """The configuration, in Python."""
        return ModelConfig(self.made.config)

    @property
    def reasons(self) -> dict[str, str]:
        """Where the values come from, by field."""
        return dict(self.made.reasons)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the package besides."""
        return self.made.notes

    @property
    def text(self) -> str:
        """``config.pbtxt`` as it will be written."""
        return self.made.config

    def tried(self, fields: Mapping[str, Any]) -> ModelConfig:
        """The configuration with these fields changed, as `edit` would make it; nothing is built.

        ``max_batch_size`` decides more than its own line: `edit` that one first.

        Raises:
            RequestError, PackageError: it can't be, or a server would refuse it, in its words.
        """
        before = ModelConfig(self.options.get("config") or {}).to_dict()
        named = {"name": self.made.name, **self.options, "config": {**before, **fields}}
        options_of(PackageOptions, named)
        made = self.config
        override(made.message, dict(fields), {})
        return made

    def edit(self, **fields: Any) -> Configured:
        """The same with some fields of the configuration changed; nothing is written."""
        before = self.options.get("config") or {}
        asked = ModelConfig(before).edit(**fields).to_dict()
        made: Configured = self._explored.config(self.target, **{**self.options, "config": asked})
        return made

    def package(self, repository: str | Path, **more: Any) -> Path | str:
        """Put it into a repository: see `Session.package`."""
        return self._explored.package(self.target, repository, **{**self.options, **more})

    def __repr__(self) -> str:
        lines = [f"# {self.target} as {self.made.name!r}, backend {self.made.backend}"]
        waiting = dict(self.made.reasons)
        for line in self.text.splitlines():
            field = re.match(r"[a-z_]+", line)
            for name in [n for n in waiting if field and field[0] in re.split(r"[., ]+", n)[:2]]:
                where = f"{name}: " if name != (field and field[0]) else ""
                lines.append(f"# {where}{waiting.pop(name)}")
            lines.append(line)
        lines += [f"# note: {note}" for note in self.notes if note not in self.reasons.values()]
        return "\n".join(lines)
