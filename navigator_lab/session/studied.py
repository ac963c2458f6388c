"""What a session can be asked beyond running targets: why one loses precision, what it could reach."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from ..catalog import Catalog
from ..plan import Route
from ..types.request import Request
from . import graphs, mixing, rooflines
from .live import Live


class Studied(Live):
    """The part of a `Session` that looks into models. What it needs and isn't there is run first."""

    @property
    @abstractmethod
    def catalog(self) -> Catalog:
        """See `Session.catalog`."""

    @abstractmethod
    def _plan(self, given: dict[str, Any], keep: bool = True) -> tuple[Request, tuple[Route, ...]]:
        """The steps that `run` with the same arguments would settle."""

    @abstractmethod
    def _save(self) -> None: ...

    @abstractmethod
    def run(self, **wanted: Any) -> Any:
        """See `Session.run`."""

    def mix(self, target: Any, keep: Iterable[int] = mixing.KEEP, **wanted: Any) -> Any:
        """The precision mixer: a target with so many of its most sensitive nodes in fp32, each number
        a target of its own; error, latency and size of each beside the others.

        The nodes are ranked once, by what the precision does to them on the samples.

        Args:
            target: its text form, as ``"onnx:int8@ort-cpu"``.
            keep: numbers of nodes.
            wanted: as for `run`.

        Raises:
            RequestError: it can't be built so; before any work.
        """
        return mixing.mix(self, target, keep, wanted)

    def sensitivity(self, target: Any) -> Any:
        """What a mix goes by: the nodes of a target, ``"onnx:int8@ort-cpu"``, from the worst to the
        best by what its precision does to each of them on the samples."""
        return mixing.sensitivity(self, target)

    def roofline(self, device: str = "") -> Any:
        """How near each target comes to what its device can do: see `navigator_lab.views.roofline`.

        Measures the device's peaks (once; they are cached) and counts the model's work, on its ONNX
        graph, at the batch sizes that were profiled.

        Args:
            device: ``"cpu"``, ``"cuda:0"``; by default every one that targets were profiled on.

        Raises:
            RequestError: nothing was profiled there.
            PackageError: the peaks can't be measured, or the model has no ONNX graph.
        """
        return rooflines.roofline(self, device)

    def graph(
        self, target: Any, against: Any = None, *, batch: int = 1, depth: int | None = None
    ) -> Any:
        """The graph of a target by blocks: operators, bytes, FLOPs; `nav.views.graph.draw` draws it.
        What isn't built yet is built first.

        Args:
            target: its text form, as ``"onnx:fp16@ort-cpu"``.
            against: another target of the same model: what differs is told.
            batch: the batch size that bytes and FLOPs are of.
            depth: so many levels of the model's modules are told apart.
        """
        other = None if against is None else str(against)
        self._built(str(target), other)
        return graphs.graph(self.engine, self.run_data, str(target), other, batch, depth)

    def drift(self, target: Any, against: Any = None, *, samples: int = 4) -> Any:
        """The error of a target's graph layer by layer, and where it starts; `nav.views.drift.draw`
        draws it. What isn't built yet is built first.

        Args:
            target: its text form, as ``"onnx:int8@ort-cpu"``.
            against: the graph that is held to be right; by default the same in fp32.
            samples: so many of the samples are run.
        """
        right = graphs.reference_of(str(target)) if against is None else str(against)
        self._built(str(target), right)
        return graphs.drift(self.engine, self.run_data, str(target), right, samples)

    def _built(self, *targets: str | None) -> None:
        missing = [t for t in targets if t is not None and not graphs.built(self.run_data, t)]
        if missing:
            self.run(targets=missing, until="convert")
