"""What a plug-in declares, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..signature import Signature
from ..target import Device, Precision, Variant
from .machine import Host, Unavailable

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
