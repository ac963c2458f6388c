"""A Triton that runs already, at a URL: models are lent to it over its control API, and taken back.

A model that the server serves is asked as it is. One that lies in its repository unloaded is
loaded, and unloaded again. One that it doesn't know is sent over, files and all, and unloaded again;
nothing is written to the server's repository. If we are killed meanwhile, a model that was lent stays
until somebody unloads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import NavigatorError
from .repository import CONFIG, read
from .server import Server
from .wire import Http

MOST_BYTES = 1 << 30  # of a model's files that are sent over in one request


@contextlib.contextmanager
def attach(
    url: str,
    repository: Path | None = None,
    models: Iterable[str] = (),
    *,
    grpc: str | None = None,
) -> Iterator[Server]:
    """The server at ``url`` (its HTTP address), with ``models`` ready to be asked.

    ``repository``: where models lie that the server doesn't have. ``grpc``: its gRPC address; by
    default the port after the HTTP one.

    Raises:
        NavigatorError: it can't be reached, has not the model, or refuses it.
    """
    wire = Http(url)
    said = wire.metadata()
    words = f"{said.get('name', 'a server')} {said.get('version', '')} at {wire.address}"
    server = Server(url, grpc or f"{wire.host}:{wire.port + 1}", words)
    lent: list[str] = []
    try:
        states = {one["name"]: one.get("state", "") for one in wire.index()}
        for name in models:
            if states.get(name) == "READY":
                server.notes.append(f"{name!r} was served there already: it is asked as it is")
                continue
            if name in states:
                lent.append(name)
                server.load(name)
                server.notes.append(f"{name!r} was loaded from that server's own repository")
                continue
            if repository is None or not (repository / name / CONFIG).is_file():
                known = ", ".join(states) or "none"
                raise NavigatorError(f"the server has no model {name!r}; it has {known}")
            lent.append(name)
            _send(wire, repository / name)
            server.notes.append(f"{name!r} was sent to that server for as long as it is asked")
        yield server
    finally:
        for name in server.changed - set(lent):
            with contextlib.suppress(NavigatorError):  # the server may be gone
                server.restore(name)
        for name in lent:
            with contextlib.suppress(NavigatorError):
                wire.unload(name)


def _send(wire: Http, folder: Path) -> None:
    """Load a model from its files here."""
    from google.protobuf import json_format

    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and p != folder / CONFIG]
    size = sum(p.stat().st_size for p in paths)
    if size > MOST_BYTES:
        raise NavigatorError(
            f"the files of {folder.name!r} are {size} bytes, too many to be sent in one request",
            "put the model into that server's repository",
        )
    config = json_format.MessageToDict(read(folder), preserving_proto_field_name=True)
    files = {str(p.relative_to(folder)): p.read_bytes() for p in paths}
    try:
        wire.load(folder.name, {"name": folder.name, **config}, files)
    except NavigatorError as error:
        raise NavigatorError(
            f"the server at {wire.address} does not load {folder.name!r}: {error.message}",
            error.remedy or "it must be started with --model-control-mode=explicit",
        ) from error
