"""A target on a live server: served as it was exported, replayed, and asked anything while it runs."""

from __future__ import annotations

import contextlib
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PackageError, RequestError, SamplesError
from ..stages.judge import DEFAULTS, judge
from ..stages.replay import over, replay, unproven
from ..triton import samples as repository_samples
from ..triton import server as servers
from ..triton.remote import attach
from ..triton.repository import CONFIG, read
from ..types import samples as stored
from ..types.codec import encode
from ..types.measure import Accuracy, Outputs, Tolerance, Verdict
from ..types.outcome import Product
from ..types.served import Replay, ServerStatistics
from ..types.signature import Signature
from ..types.target import Precision, Target

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

PROTOCOLS = ("http", "grpc")
Say = Callable[[str], None]


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
    *,
    url: str | None = None,
    grpc: str | None = None,
    which: str = "auto",
    target: Target | None = None,
    timeout_s: float = 180.0,
    say: Say = lambda text: None,
) -> Served:
    """The model ``name`` of ``repository`` on a server that ``stack`` ends."""
    began = time.monotonic()
    if url is None:
        server = stack.enter_context(
            servers.serve(repository, [name], timeout_s=timeout_s, say=say, which=which)
        )
    else:
        server = stack.enter_context(attach(url, repository, [name], grpc=grpc))
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


# without a session


def serve_repository(
    repository: str | Path,
    model: str | None = None,
    *,
    samples: str | Path | None = None,
    expected: str | Path | None = None,
    tolerance: Tolerance | None = None,
    url: str | None = None,
    grpc: str | None = None,
    which: str = "auto",
    protocols: Sequence[str] = PROTOCOLS,
    send: bool = True,
    timeout_s: float = 180.0,
    say: Say = lambda text: None,
) -> Served:
    """A model of a repository on a live server, with what is known without a session.

    Args:
        repository: the folder; it is served as it lies.
        model: its name; may be left out where there is only one.
        samples: an ``.npz`` by input name; by default the requests that it is warmed up with.
        expected: an ``.npz`` by output name; without it answers are not compared.
        tolerance: of the comparison; by default that of fp32.
        url, grpc: a Triton that runs already, by its HTTP and gRPC address.
        send: replay the samples at once.

    Raises:
        PackageError: no such model, or the server refuses it.
        SamplesError: no samples, or some that don't fit.
    """
    root = Path(repository)
    name = model or _only(root)
    config = read(root / name)
    signature = repository_samples.signature(config)
    notes: list[str] = []
    if samples is not None:
        feeds = repository_samples.from_arrays(_npz(samples), signature.inputs, "samples")
    else:
        feeds = repository_samples.from_warmup(root / name, config)
        if not feeds:
            raise SamplesError(
                f"{name!r} has no warm-up data to send", "give --samples FILE.npz, by input name"
            )
        notes.append("the samples are those that the model is warmed up with")
    if expected is None and send:
        notes.append("the answers were not compared: give --expected FILE.npz, by output name")

    def product(folder: Path) -> Product:
        folder.mkdir(parents=True)
        stored.write(folder, [{k: _storable(v) for k, v in one.items()} for one in feeds])
        return Product("", folder, encode(signature))

    stack = contextlib.ExitStack()
    try:
        served = open_served(
            root, name, product, stack, url=url, grpc=grpc, which=which, timeout_s=timeout_s,
            say=say,
        )  # fmt: skip
        served.server.notes[:0] = notes
        if send:
            limit = tolerance or DEFAULTS[Precision.FP32]
            reference = None
            if expected is not None:
                scratch = served.samples.path.parent / "expected"
                reference = _expected(_npz(expected), len(feeds), signature, scratch)
            replayed(
                served, reference, lambda found: judge(found, limit), protocols=protocols,
                batch=1 if reference else 4, say=say,
            )  # fmt: skip
    except BaseException:  # an interrupt, too: no server is left behind
        stack.close()
        raise
    return served


def _storable(array: np.ndarray) -> np.ndarray:
    """Text as numpy stores it without pickles."""
    import numpy as np

    if array.dtype != object:
        return array
    texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
    return np.array(texts, str).reshape(array.shape)


def _expected(
    arrays: Mapping[str, np.ndarray], count: int, signature: Signature, folder: Path
) -> Product:
    """Expected answers as if a reference had given them."""
    import numpy as np

    rows = repository_samples.from_arrays(arrays, signature.outputs, "expected answers")
    if len(rows) != count:
        raise SamplesError(
            f"there are {len(rows)} expected answers for {count} samples", "give one for each"
        )
    folder.mkdir(parents=True)
    flat = {f"{i}/{n}": _storable(a) for i, one in enumerate(rows) for n, a in one.items()}
    np.savez(folder / "outputs.npz", allow_pickle=False, **flat)
    names = tuple(spec.name for spec in signature.outputs)
    cases = tuple(stored.Case((i,)) for i in range(count))
    dtypes = {spec.name: spec.dtype for spec in signature.outputs}
    return Product("", folder, encode(Outputs(cases, names, dtypes)))


def _only(root: Path) -> str:
    there = names_of(root)
    if len(there) > 1:
        raise RequestError(
            f"{root} holds several models: {', '.join(there)}", "say which: --model NAME"
        )
    return there[0]


def _npz(path: str | Path) -> dict[str, np.ndarray]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise SamplesError(f"{path} is no .npz file of plain arrays: {error}") from error


def replay_repository(repository: str | Path, model: str | None = None, **how: Any) -> list[Replay]:
    """Every model of a repository, or one, served and replayed: see `serve_repository`.

    Raises:
        SamplesError: none of them has samples.
    """
    root = Path(repository)
    names = [model] if model else names_of(root)
    if len(names) > 1 and (how.get("samples") or how.get("expected")):
        raise RequestError(
            f"{root} holds several models: {', '.join(names)}", "say whose samples: --model NAME"
        )
    made, lacking = [], []
    for name in names:
        try:
            with serve_repository(root, name, **how) as served:
                assert served.replay is not None
                made.append(served.replay)
        except SamplesError as error:
            if len(names) == 1:
                raise
            lacking.append(f"{name}: {error.message}")
    if not made:
        raise SamplesError("; ".join(lacking), "give --model NAME --samples FILE.npz")
    if lacking:
        made[-1] = replace(made[-1], notes=(*made[-1].notes, *(f"left out: {t}" for t in lacking)))
    return made


def names_of(root: Path) -> list[str]:
    """The models of a repository.

    Raises:
        PackageError: it holds none.
    """
    if not root.is_dir():
        raise PackageError(f"there is no model repository {root}", "package a target first")
    there = sorted(p.name for p in root.iterdir() if (p / CONFIG).is_file())
    if not there:
        raise PackageError(f"{root} holds no models", f"a model is a folder with a {CONFIG}")
    return there
