"""What a graph holds, node by node, and where two of them drift apart: plain data, from no framework."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One node. ``block`` is its place in the model's modules, as ``features/block1/conv``.

    ``flops`` are of convolutions and matrix products only, two for each multiplication and
    addition. ``activation_bytes`` is None where the shape of what it gives is not known before it
    runs. A weight that several nodes read is the first one's.
    """

    name: str
    operator: str
    output: str
    block: str
    dtype: str  # of what it gives, numpy's name
    shape: tuple[int, ...] | None = None
    parameter_bytes: int = 0
    activation_bytes: int | None = None
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    """A graph as it lies in a file, with shapes at one batch size."""

    batch: int
    nodes: tuple[Node, ...]
    opset: int = 0


@dataclass(frozen=True, slots=True)
class LayerError:
    """One value of the reference beside the candidate's, over all samples.

    ``sqnr_db`` is the signal (what differs from its mean) over the error; ``inputs_db`` the least of
    what the node takes, None where that is exact or unknown.
    """

    node: str
    operator: str
    output: str
    block: str
    dtype: str  # of the candidate's
    sqnr_db: float
    inputs_db: float | None
    worst: float  # |Δ|
    largest: float  # |reference|

    @property
    def lost_db(self) -> float:
        """What this node loses of the signal that it takes."""
        exact = EXACT_DB if self.inputs_db is None else self.inputs_db
        return max(exact - self.sqnr_db, 0.0)


EXACT_DB = 150.0  # more than fp32 holds


@dataclass(frozen=True, slots=True)
class Drift:
    """Layer by layer, in the order in which they run. ``start`` indexes the first whose error is
    already as large as that of the worst output (within 6 dB); None where there is no error.

    ``unmatched`` are values of the reference that the candidate has not, as where nodes were fused.
    """

    samples: int
    layers: tuple[LayerError, ...]
    outputs: dict[str, float]  # sqnr_db of the graph's outputs
    start: int | None
    unmatched: tuple[str, ...] = ()
