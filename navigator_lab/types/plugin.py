"""What a plug-in file declares. Nothing registers itself: a catalog collects module-level values.

A plug-in for a format holds a `Format` and its edges; one for a runtime a `Runner`; one for a
stage an `Action`. From what they declare follow planning, caching, isolation, a row with its
reason, a form in the dashboard and the contract tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .options import option, options_known, options_of, with_settings
from .outcome import Product
from .signature import Signature
from .target import CPU, Device, Precision, Target, Variant

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why something can't be had here, and what would bring it. ``builds``: it can be built all the
    same, and be packaged for where it runs."""

    reason: str
    remedy: str = ""
    builds: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA device, as its driver names it."""

    index: int
    name: str
    memory_bytes: int
    compute_capability: str  # "9.0"
    driver: str


@dataclass(frozen=True, slots=True)
class Host:
    """The machine, as far as anything may depend on it."""

    cpu: str
    cores: int
    memory_bytes: int
    cpu_flags: tuple[str, ...] = ()  # of those that matter: avx2, avx512_bf16, amx_bf16, …
    gpus: tuple[Gpu, ...] = ()
    system: str = "Linux"


Check = Callable[[Host], "Unavailable | None"]
Explain = Callable[[BaseException], str]


@dataclass(frozen=True, slots=True)
class Action:
    """A function that runs in a worker: ``fn(at, **inputs) -> value``.

    ``at`` is an `At`; ``inputs`` are `Product` objects by name; files go under ``at.out``; the
    value is a dataclass of plain fields, or None. Content only: no durations unless that is what
    the action measures.

    Attributes:
        needs: distributions that it imports; their versions enter the key. ``"a|b"`` is either,
            ``"a<2.18"`` an older one.
        options: a frozen dataclass whose defaults are the defaults of the product. Each field
            is made by `option`, so that it carries its help.
        hardware: the machine's facts enter the key.
        measures: it times something, so nothing else may run meanwhile.
        fresh: it gets a child process of its own.
        environment: the name of one that it runs in, where that is registered.
        apart: it shares worker processes only with actions of the same word. For libraries that
            crash each other: two copies of LLVM in one process do.
        timeout_s: after so long the child is killed; a request may say otherwise.
        check: a further reason why it can't work on a machine.
        explain: the remedy for the foreign errors that this file knows, or "".
    """

    name: str
    fn: Callable[..., Any]
    needs: tuple[str, ...] = ()
    options: type | None = None
    hardware: bool = False
    measures: bool = False
    fresh: bool = False
    apart: str = ""
    environment: str = ""
    timeout_s: float | None = None
    check: Check | None = None
    explain: Explain | None = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class TritonBackend:
    """How Triton serves a format as it lies: backend, and the name of the file it looks for."""

    backend: str
    filename: str


@dataclass(frozen=True, slots=True)
class Format:
    """What a model can be saved as. A product of it is a folder that holds ``filename``.

    ``triton`` is None for what no Triton backend opens: it is then served by a Python backend.
    """

    name: str
    filename: str
    help: str = ""
    triton: TritonBackend | None = None
    family: str = ""  # of plots and lists: "PyTorch", "ONNX", …
    unserved: str = (
        ""  # why no Triton backend opens it, and what else there is; "" for the plain reason
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """What an edge must know of its model before it builds: the product of another action.

    That action is called as the edge is, about the variant without its settings, with the same
    model and samples; ``options`` takes the edge's options to its own. So variants that differ in
    their settings share one step.
    """

    name: str  # of the edge's keyword
    action: str
    when: Callable[[Any], bool] = lambda options: True  # of the edge's options
    options: Callable[[Any], Any] = lambda options: None


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from one variant to another: for each pair, the action builds the second.

    The action is called as ``fn(at, model=Product, samples=Product)``, and with the products of
    its ``reads``; ``at.about`` is the variant to be built, ``samples.read(Signature)`` the
    signature (see `navigator_lab.types.samples`). ``asks`` are settings that what it builds from
    must have, by precision: that is then a variant of its own.
    """

    pairs: tuple[tuple[Variant, Variant], ...]
    action: Action
    cost: float = 1.0  # of two ways, the cheaper sum is taken
    reads: tuple[Reading, ...] = ()
    asks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Proposal:
    """Options of a runner that are worth a target of their own, and for which models."""

    settings: Mapping[str, Any]
    devices: tuple[str, ...]
    fits: Callable[[Signature], bool] = lambda signature: True


@dataclass(frozen=True, slots=True)
class Runner:
    """What executes some formats: ``open(model: Product, opening) -> context manager of Running``.

    Also a plain function ``(feeds) -> outputs`` may be yielded. Bringing everything down again
    is the context manager's other half.

    ``refuses(precision, device)`` gives the reason why a pair can't exist, or "". ``device_needs``
    are distributions that only one kind of device needs: ``{"cuda": ("onnxruntime-gpu",)}``.
    """

    name: str
    formats: tuple[str, ...]
    action: Action  # fn is ``open``
    devices: tuple[str, ...] = ("cpu",)
    precisions: tuple[Precision, ...] = tuple(Precision)
    refuses: Callable[[Precision, Device], str] | None = None
    reference: bool = False  # it may say what the right answer is, for these formats
    family: str = ""
    device_needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    proposes: tuple[Proposal, ...] = ()


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


def alternatives(need: str) -> list[tuple[str, str]]:
    """What a need names: distributions, each with the version that it must be below, or ""."""
    return [(name, below) for name, _, below in (one.partition("<") for one in need.split("|"))]


def old_enough(version: str | None, below: str) -> bool:
    """Is a version there, and below a bound (of numbers and dots; "" is no bound)?"""
    if version is None or not below:
        return version is not None
    parts = re.findall(r"\d+", version)
    return [int(p) for p in parts[:3]] < [int(p) for p in below.split(".")]


def action(name: str, **facts: Any) -> Callable[[Callable[..., Any]], Action]:
    """Declare an `Action`; the first line of the function's docstring is its help."""
    return lambda fn: Action(name, fn, help=_first_line(fn), **facts)


def edge(
    source: str,
    target: str,
    *precisions: str | tuple[str, str],
    cost: float = 1.0,
    name: str = "",
    reads: tuple[Reading, ...] = (),
    asks: Mapping[str, Mapping[str, Any]] | None = None,
    **facts: Any,
) -> Callable[[Callable[..., Any]], Edge]:
    """Declare an `Edge` between two formats.

    ``precisions`` are those that pass through (``"fp32"``) or change (``("fp32", "int8")``). The
    action is named ``<target><-<source>``; edges that change the precision within one format add
    it, as they would otherwise share a name.
    """
    pairs = []
    for one in precisions:
        before, after = (one, one) if isinstance(one, str) else one
        pairs.append((Variant(source, Precision(before)), Variant(target, Precision(after))))
    label = name or f"{target}<-{source}"

    def wrap(fn: Callable[..., Any]) -> Edge:
        made = Action(label, fn, help=_first_line(fn), **facts)
        return Edge(tuple(pairs), made, cost, reads, asks or {})

    return wrap


def runner(
    name: str,
    *formats: str,
    devices: tuple[str, ...] = ("cpu",),
    precisions: tuple[str, ...] = tuple(Precision),
    refuses: Callable[[Precision, Device], str] | None = None,
    reference: bool = False,
    family: str = "",
    device_needs: Mapping[str, tuple[str, ...]] | None = None,
    proposes: tuple[Proposal, ...] = (),
    **facts: Any,
) -> Callable[[Callable[..., AbstractContextManager[Any]]], Runner]:
    """Declare a `Runner` from a context manager ``(model, opening)``."""

    def wrap(fn: Callable[..., AbstractContextManager[Any]]) -> Runner:
        made = Action(f"runner {name}", fn, help=_first_line(fn), hardware=True, **facts)
        wanted = tuple(Precision(p) for p in precisions)
        needs = dict(device_needs or {})
        return Runner(
            name, formats, made, devices, wanted, refuses, reference, family, needs, proposes
        )

    return wrap


def _first_line(fn: Callable[..., Any]) -> str:
    return (fn.__doc__ or "").strip().split("\n")[0]


__all__ = [
    "CPU",
    "Action",
    "At",
    "Device",
    "Edge",
    "Format",
    "Gpu",
    "Host",
    "Opening",
    "Plain",
    "Precision",
    "Proposal",
    "Reading",
    "Runner",
    "Running",
    "Target",
    "TritonBackend",
    "Unavailable",
    "Variant",
    "action",
    "alternatives",
    "edge",
    "old_enough",
    "option",
    "options_known",
    "options_of",
    "runner",
    "with_settings",
]
