"""Triton's HTTP protocol in the standard library alone: health, control, statistics, requests.

For use inside a user's own process: ``tritonclient.http`` brings gevent, which has no place in a
notebook's kernel (after it, an interrupt can take the interpreter down). Tensors travel in Triton's
binary extension. Replays and loads go out from processes of their own: `navigator_lab.triton.sender`.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ..errors import NavigatorError

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

_NAMES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bfloat16": "BF16",
    "object": "BYTES",
    **{f"{k}int{n}": f"{k.upper()}INT{n}" for k in ("", "u") for n in (8, 16, 32, 64)},
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


def encode(array: np.ndarray) -> tuple[str, list[int], bytes]:
    """An array as (Triton's type, shape, raw bytes).

    Raises:
        NavigatorError: Triton has no such type.
    """
    import numpy as np

    if array.dtype.kind in "USO":
        parts = []
        for value in array.ravel():
            data = value if isinstance(value, bytes) else str(value).encode()
            parts.append(len(data).to_bytes(4, "little") + data)
        return "BYTES", list(array.shape), b"".join(parts)
    name = _NAMES.get(array.dtype.name)
    if name is None:
        raise NavigatorError(
            f"Triton has no data type for {array.dtype}", f"cast it to one of {', '.join(_NAMES)}"
        )
    little = np.ascontiguousarray(array)
    if little.dtype.byteorder == ">":
        little = little.astype(little.dtype.newbyteorder("<"))
    return name, list(array.shape), little.tobytes()


def decode(datatype: str, shape: list[int], data: bytes) -> np.ndarray:
    """The inverse of `encode`; text comes as bytes in an object array."""
    import numpy as np

    if datatype == "BYTES":
        found, at = [], 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "little")
            found.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        made = np.empty(len(found), object)
        made[:] = found
        return made.reshape(shape)
    if datatype == "BF16":
        import ml_dtypes

        return np.frombuffer(data, ml_dtypes.bfloat16).reshape(shape).copy()
    return np.frombuffer(data, np.dtype(_DTYPES[datatype]).newbyteorder("<")).reshape(shape).copy()


class Http:
    """One server's HTTP address."""

    def __init__(self, url: str, timeout_s: float = 600.0) -> None:
        parts = urlsplit(url if "//" in url else f"//{url}")
        if not parts.hostname or parts.scheme not in ("", "http", "https"):
            raise NavigatorError(f"{url!r} is no address of a server", "as localhost:8000")
        self.secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if self.secure else 8000)
        self.path = parts.path.rstrip("/")
        self.timeout_s = timeout_s

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """One exchange.

        Raises:
            NavigatorError: the server can't be reached, or says no; its own words are in it.
        """
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        # A connection an exchange: none is left open, and none goes stale while a cell waits.
        with contextlib.closing(kind(self.host, self.port, timeout=self.timeout_s)) as connection:
            try:
                connection.request(method, self.path + path, body, dict(headers or {}))
                answer = connection.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise NavigatorError(
                    f"the server at {self.address} does not answer: {error or type(error).__name__}",
                    "is it running, and is this its HTTP address?",
                ) from error
        if answer.status >= 400:
            raise NavigatorError(_words(data) or f"{answer.status} {answer.reason}")
        return dict(answer.headers.items()), data

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """One exchange of JSON; None where nothing comes back."""
        sent = b"" if body is None else json.dumps(body).encode()
        _, data = self.ask(method, path, sent, {"Content-Type": "application/json"})
        return json.loads(data) if data.strip() else None

    def ready(self) -> bool:
        """Whether the server says that it and its models are ready."""
        try:
            self.ask("GET", "/v2/health/ready")
        except NavigatorError:
            return False
        return True

    def metadata(self) -> dict[str, Any]:
        """The server's name, version and extensions."""
        found: dict[str, Any] = self.json("GET", "/v2")
        return found

    def index(self) -> list[dict[str, Any]]:
        """Every model of the server's repository, with its state and the reason."""
        found: list[dict[str, Any]] = self.json("POST", "/v2/repository/index", {}) or []
        return found

    def load(
        self,
        name: str,
        config: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Load a model, or load it again; ``config`` and ``files`` in place of what lies there."""
        said: dict[str, str] = {}
        if config is not None:
            said["config"] = json.dumps(config)
        for path, data in (files or {}).items():
            said[f"file:{path}"] = base64.b64encode(data).decode()
        self.json("POST", f"/v2/repository/models/{quote(name, safe='')}/load",
                  {"parameters": said} if said else {})  # fmt: skip

    def unload(self, name: str) -> None:
        """Take a model out of service."""
        self.json("POST", f"/v2/repository/models/{quote(name, safe='')}/unload", {})

    def model_ready(self, name: str) -> bool:
        """Whether a model can be asked."""
        try:
            self.ask("GET", f"/v2/models/{quote(name, safe='')}/ready")
        except NavigatorError:
            return False
        return True

    def config(self, name: str) -> dict[str, Any]:
        """The configuration as the server completed it."""
        found: dict[str, Any] = self.json("GET", f"/v2/models/{quote(name, safe='')}/config")
        return found

    def statistics(self, name: str) -> dict[str, Any]:
        """The server's own counts and times of one model, since it was loaded."""
        said = self.json("GET", f"/v2/models/{quote(name, safe='')}/stats")
        found: dict[str, Any] = said["model_stats"][0]
        return found

    def infer(self, name: str, feeds: Mapping[str, np.ndarray], version: int = 0) -> Arrays:
        """One request; the outputs by name.

        Raises:
            NavigatorError: the server refuses it, in the server's words.
        """
        inputs, blobs = [], []
        for given, array in feeds.items():
            datatype, shape, data = encode(array)
            inputs.append({"name": given, "shape": shape, "datatype": datatype,
                           "parameters": {"binary_data_size": len(data)}})  # fmt: skip
            blobs.append(data)
        head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        path = f"/v2/models/{quote(name, safe='')}"
        path += f"/versions/{version}/infer" if version else "/infer"
        length = "Inference-Header-Content-Length"
        try:
            headers, data = self.ask(
                "POST", path, b"".join([head, *blobs]),
                {length: str(len(head)), "Content-Type": "application/octet-stream"},
            )  # fmt: skip
        except NavigatorError as error:
            raise NavigatorError(
                f"the server refuses the request to {name!r}: {error.message}", error.remedy
            ) from error
        told = {name.lower(): value for name, value in headers.items()}
        size = int(told.get(length.lower()) or len(data))
        at, made = size, {}
        for one in json.loads(data[:size])["outputs"]:
            count = one.get("parameters", {}).get("binary_data_size")
            if count is None:
                made[one["name"]] = _listed(one)
                continue
            made[one["name"]] = decode(one["datatype"], one["shape"], data[at : at + count])
            at += count
        return made


def _listed(one: dict[str, Any]) -> np.ndarray:
    """An output that came as JSON."""
    import numpy as np

    if one["datatype"] == "BYTES":
        made = np.empty(math.prod(one["shape"]), object)
        made[:] = [str(value).encode() for value in one["data"]]
        return made.reshape(one["shape"])
    return np.array(one["data"], _DTYPES[one["datatype"]]).reshape(one["shape"])


def _words(data: bytes) -> str:
    try:
        said = json.loads(data)
    except ValueError:
        return " ".join(data.decode(errors="replace").split())[:300]
    return str(said.get("error", said)) if isinstance(said, dict) else str(said)
