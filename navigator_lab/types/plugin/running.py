"""What an action and a runner are given when they run, and what a runner gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..options import options_of, with_settings
from ..outcome import Product
from ..signature import Signature
from ..target import Target
from .declared import Format, Runner

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]


class Running(Protocol):
    """An opened model: transfers and compute apart, so that they can be timed apart."""

    def put(self, feeds: Arrays) -> Any:
        """Bring numpy arrays to the device, in the runtime's own form."""

    def run(self, bound: Any) -> Any:
        """Compute, and return only when the device is done."""

    def get(self, raw: Any) -> Arrays:
        """Bring what came out back as numpy arrays by output name."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A `Running` for a runtime that takes and gives numpy arrays in one call."""

    call: Callable[[Arrays], Arrays]

    def put(self, feeds: Arrays) -> Any:
        return feeds

    def run(self, bound: Any) -> Any:
        return self.call(bound)

    def get(self, raw: Any) -> Arrays:
        made: Arrays = raw
        return made


@dataclass(frozen=True, slots=True)
class Opening:
    """What a runner is told when it opens a model."""

    target: Target
    signature: Signature  # its outputs are empty while they are being found
    options: Any = None  # of the runner's options class, or None for its defaults
    reference: bool = False  # as exact as it goes: no optimisation, no TF32, no autocast
    threads: int | None = None  # None: the runtime's default
    calls: tuple[dict[str, tuple[int, ...]], ...] = ()  # shapes to come, in order, where known


@dataclass
class At:
    """What an action is given besides its inputs."""

    out: Path  # an empty folder for its files
    about: Any  # the Variant or Target that the step is about
    options: Any
    formats: Mapping[str, Format]
    runners: Mapping[str, Runner]
    python: str = ""
    run_options: Any = None  # of the runner, as the step has them
    threads: int | None = None  # its share of the cores; None: all of them
    _say: Callable[[str, float | None], None] = lambda text, share: None
    _turn: Callable[[], None] = lambda: None

    def say(self, text: str, share: float | None = None) -> None:
        """Tell how far it is: a short text, and the share done (0 to 1) if it can be known."""
        self._say(text, share)

    def turn(self) -> None:
        """Let the others that measure have their turn; returns when the machine is ours alone.

        An action that measures asks for it before it times anything: until then it shares the
        machine with others. While it waits its process is stopped, so its idle threads disturb
        nobody.
        """
        self._turn()

    def opened_with(self, target: Target, options: Any = None) -> Any:
        """The options of the target's runner: those given, else the step's; the target's own
        settings come on top."""
        cls = self.runners[target.runner].action.options
        options = self.run_options if options is None else options
        if cls is None:
            return options
        return with_settings(options_of(cls, options), target.run_settings)

    @contextmanager
    def open(
        self,
        model: Product,
        target: Target,
        signature: Signature,
        *,
        options: Any = None,
        reference: bool = False,
        threads: int | None = None,
        calls: Sequence[dict[str, tuple[int, ...]]] = (),
    ) -> Iterator[Running]:
        """The target's runner, with ``model`` opened in it.

        ``calls``: the shapes by input that it will be called with, in order, for a runtime that
        can get ready for them.
        """
        opened = self.runners[target.runner].action
        options = self.opened_with(target, options)
        if threads is None:
            threads = self.threads
        opening = Opening(target, signature, options, reference, threads, tuple(calls))
        with opened.fn(model, opening) as running:
            yield Plain(running) if not hasattr(running, "run") else running
