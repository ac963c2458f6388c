"""The commands that start a server: ``replay`` and ``load-test``."""

from __future__ import annotations

import argparse
from typing import Any

from ...errors import RequestError
from ...views import load
from ..drawn import Drawn
from .current import Current


def add(command: Any) -> None:
    """Their place in the tree of arguments; ``command(name, help)`` makes one."""
    one = command("replay", "serve a target with a real Triton server, send it the samples over "
                  "HTTP and gRPC, compare the answers, and stop it")  # fmt: skip
    _which(one)
    one = command("load-test", "load on a served target: latency, throughput, queue and batches")
    _which(one)
    one.add_argument("--concurrency", type=_numbers, metavar="1,8", help="closed loop: under way")
    one.add_argument("--rate", type=_numbers, metavar="50,100", help="open loop: requests a second")
    one.add_argument("--p99-ms", type=float, metavar="N", help="search the rate that keeps it")
    one.add_argument("--request-batch", type=int, default=1, metavar="N", help="samples in each")
    one.add_argument("--sequence-length", type=int, default=8, metavar="N", help="requests of a "
                     "sequence, where the model takes sequences")  # fmt: skip
    one.add_argument("--seconds", type=float, default=3.0, help="of each load")
    one.add_argument("--dark", action="store_true", help="for a dark notebook")


def _which(one: argparse.ArgumentParser) -> None:
    one.add_argument("target", nargs="?", help="default: what was chosen last, else the best")
    one.add_argument("--repository", metavar="DIR", help="where it was exported to; default: anew")
    one.add_argument("--name", help="of the model on the server")
    one.add_argument("--url", metavar="HOST:PORT", help="a Triton that runs already, HTTP address")
    one.add_argument("--grpc", metavar="HOST:PORT", help="its gRPC address")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers; as 1,8,32") from None


class Serving:
    """What they do."""

    current: Current
    dark: bool

    def _served(self, asked: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
        target = asked.target
        if target is None:
            if self.current.best is None:
                self.current.best = self.current.get().choose()
            target = self.current.best.target
        how = {n: v for n in ("name", "url", "grpc") if (v := getattr(asked, n)) is not None}
        return target, {**how, "repository": asked.repository}

    def do_replay(self, asked: argparse.Namespace) -> Any:
        session = self.current.live()
        target, how = self._served(asked)
        with said() as say:
            return session.replay(target, say=say, **how)

    def do_load_test(self, asked: argparse.Namespace) -> Drawn:
        session = self.current.live()
        target, how = self._served(asked)
        if sum(v is not None for v in (asked.concurrency, asked.rate, asked.p99_ms)) > 1:
            raise RequestError("--concurrency, --rate and --p99-ms are three tests", "give one")
        with said() as say:
            made = session.load_test(
                target, concurrency=asked.concurrency, rate=asked.rate, p99_ms=asked.p99_ms,
                request_batch=asked.request_batch, sequence_length=asked.sequence_length,
                seconds=asked.seconds, say=say, **how,
            )  # fmt: skip
        return Drawn(load, load.info(made), str(made), dark=self.dark)


class said:  # noqa: N801 -- reads as a function
    """Where it is now, on one line of the cell that goes away when it is done."""

    def __init__(self) -> None:
        self._shown: Any = None

    def __enter__(self) -> Any:
        from IPython.display import display

        self._shown = display({"text/plain": ""}, raw=True, display_id=True)
        return lambda text: self._update(text)

    def __exit__(self, *_: object) -> None:
        self._update("")

    def _update(self, text: str) -> None:
        if self._shown is not None:
            self._shown.update({"text/plain": text}, raw=True)
