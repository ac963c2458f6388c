"""A target on a live server: served as it was exported, replayed, and asked anything while it runs."""

from __future__ import annotations

import contextlib
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestError
from ..stages.replay import over, replay, unproven
from ..triton import server as servers
from ..triton.remote import attach
from ..types.measure import Accuracy, Verdict
from ..types.outcome import Product
from ..types.served import Replay, ServerStatistics
from ..types.signature import Signature
from ..types.target import Target

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

PROTOCOLS = ("http", "grpc")
Say = Callable[[str], None]


def _quiet(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which server is asked, and what it is sent at once.

    Args:
        url, grpc: a Triton that runs already: its HTTP and gRPC addresses.
        which: ``"path"``: the ``tritonserver`` on PATH; ``"wheel"``: that of the wheel; ``"auto"``.
        protocols: over which the samples are sent.
        send: False starts the server only.
        timeout_s: until the server must be ready.
        say: is told how far it is.
    """

    url: str | None = None
    grpc: str | None = None
    which: str = "auto"
    protocols: Sequence[str] = PROTOCOLS
    send: bool = True
    timeout_s: float = 180.0
    say: Say = _quiet

    @classmethod
    def taken(cls, how: dict[str, Any], **defaults: Any) -> Asked:
        """What of ``how`` is for the server; it is taken out of there. None is the default."""
        own = {one.name: how.pop(one.name) for one in fields(cls) if one.name in how}
        return cls(**defaults | {name: value for name, value in own.items() if value is not None})


class Served:
    """A model on a live server. Use it in ``with``, or call `close`; the server goes with it.

    ``server`` is the server, ``name`` the model's on it, ``replay`` what the recorded samples
    showed (None where none were sent).
    """

    def __init__(
        self,
        server: servers.Server,
        name: str,
        samples: Product,
        stack: contextlib.ExitStack,
        target: Target | None = None,
        ready_s: float = 0.0,
    ) -> None:
        self.server = server
        self.name = name
        self.target = target
        self.samples = samples
        self.replay: Replay | None = None
        self.ready_s = ready_s
        self._own: dict[str, Any] | None = None  # the configuration of the files
        self._close = weakref.finalize(self, stack.close)

    @property
    def signature(self) -> Signature:
        return self.samples.read(Signature)

    @property
    def unproven(self) -> tuple[str, ...]:
        """What this server can't show of the model."""
        return unproven(self.server, self.config)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as the server completed it."""
        return self.server.config(self.name)

    @property
    def statistics(self) -> ServerStatistics:
        """What the server counted since the model was loaded."""
        return over({}, self.server.statistics(self.name))

    @property
    def log(self) -> str:
        """All that the server has said."""
        return self.server.log()

    def infer(self, feeds: Mapping[str, Any]) -> Arrays:
        """One request over HTTP, by the server's names; the outputs by name.

        Raises:
            NavigatorError: the server refuses it, in the server's words.
        """
        import numpy as np

        return self.server.infer(self.name, {k: np.asarray(v) for k, v in feeds.items()})

    def what_if(self, **changes: Any) -> dict[str, Any]:
        """Load the model again, its configuration changed from that of its files, which stay as
        they are.

        Args:
            changes: fields of ``ModelConfig`` as JSON: ``max_batch_size=16``,
                ``dynamic_batching={"max_queue_delay_microseconds": 500}``, or ``instance_count=2``
                and ``max_queue_delay_us=500`` for short. None takes a field away; no change at all
                brings the files' own configuration back.

        Raises:
            NavigatorError: the server refuses it, in the server's words.
        """
        if not changes:
            self.server.restore(self.name)
        else:
            self._own = self._own or self.config
            self.server.load(self.name, changed(self._own, changes))
        return self.config

    def close(self) -> None:
        """End the server; one that was running before only gives the model back."""
        self._close()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self._close.alive:
            return f"{self.name}: no longer served\n{self.replay or ''}".rstrip()
        head = f"{self.name} at http {self.server.http}, grpc {self.server.grpc}"
        return f"{head}\n{self.replay}" if self.replay else head


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some fields changed: see `Served.what_if`."""
    from google.protobuf import json_format

    from ..triton.config import messages

    made = {**config}
    for name, value in changes.items():
        if name == "instance_count":
            groups = [dict(g) for g in made.get("instance_group", [{}])]
            for group in groups:
                group["count"] = value
            made["instance_group"] = groups
        elif name == "max_queue_delay_us":
            batching = dict(made.get("dynamic_batching", {}))
            made["dynamic_batching"] = {**batching, "max_queue_delay_microseconds": value}
        elif value is None:
            made.pop(name, None)
        else:
            made[name] = value
    largest = int(made.get("max_batch_size", 0))
    if "max_batch_size" in changes:
        # What belonged to the former size would be refused with the new one.
        made["model_warmup"] = [
            w for w in made.get("model_warmup", []) if int(w.get("batch_size", 0)) <= largest
        ]
        if "dynamic_batching" in made and "dynamic_batching" not in changes:
            kept = dict(made["dynamic_batching"])
            kept["preferred_batch_size"] = [
                s for s in kept.get("preferred_batch_size", []) if int(s) <= largest
            ]
            made["dynamic_batching"] = kept
    try:
        json_format.ParseDict(made, messages().ModelConfig())
    except json_format.ParseError as error:
        raise RequestError(
            f"that is no Triton model configuration: {error}",
            "give fields of ModelConfig, as max_batch_size or dynamic_batching",
        ) from None
    return made


def open_served(
    repository: Path,
    name: str,
    samples: Callable[[Path], Product],
    stack: contextlib.ExitStack,
    asked: Asked,
    target: Target | None = None,
) -> Served:
    """The model ``name`` of ``repository`` on a server that ``stack`` ends."""
    began = time.monotonic()
    if asked.url is None:
        server = stack.enter_context(
            servers.serve(
                repository, [name], timeout_s=asked.timeout_s, say=asked.say, which=asked.which
            )
        )
    else:
        server = stack.enter_context(attach(asked.url, repository, [name], grpc=asked.grpc))
    ready_s = time.monotonic() - began
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="navigator-lab-served-")))
    return Served(server, name, samples(scratch / "samples"), stack, target, ready_s)


def replayed(
    served: Served,
    reference: Product | None,
    judged: Callable[[Accuracy], Verdict],
    *,
    protocols: Sequence[str] = PROTOCOLS,
    batch: int = 4,
    timeout_s: float = 120.0,
    say: Say = lambda text: None,
) -> Replay:
    """Send a served model's samples, and keep what came of it."""
    for name in protocols:
        if name not in PROTOCOLS:
            raise RequestError(f"{name!r} is no protocol", "http or grpc")
    with tempfile.TemporaryDirectory(prefix="navigator-lab-replay-") as scratch:
        served.replay = replay(
            served.server, served.name, served.samples, reference, Path(scratch), judged,
            target=served.target, protocols=protocols, batch=batch, ready_s=served.ready_s,
            timeout_s=timeout_s, say=say,
        )  # fmt: skip
    return served.replay
