"""Commands on a Triton model repository: check, replay, load-test."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestError
from .words import as_json, command, listed, numbers

if TYPE_CHECKING:
    from .words import Commands


def declare(commands: Commands) -> None:
    """The commands check, replay and load-test, with their arguments."""
    one = command(
        commands, "check", _check, "what a Triton server would refuse in a model repository"
    )
    one.add_argument("repository", metavar="REPO", help="a folder, or an fsspec URL")
    one.add_argument("--gpus", type=int, metavar="N", help="how many the server has")
    one.add_argument("--triton", metavar="VERSION", help="the server's version, as 2.51")
    one = command(commands, "replay", _replay, "serve a model repository with a real Triton server, send it "
                  "samples over HTTP and gRPC, compare the answers, and stop it")  # fmt: skip
    _served(one)
    one.add_argument("--expected", metavar="FILE", help="an .npz of the right answers by output")
    one.add_argument("--relative", type=float, help="tolerance: share of the reference's value")
    one.add_argument("--absolute", type=float, help="tolerance: in the output's own unit")
    one.add_argument("--protocols", type=listed, default=["http", "grpc"], metavar="A,B")
    one = command(commands, "load-test", _load_test, "load on a model of a repository: latency, throughput, "
                  "queue and batches")  # fmt: skip
    _served(one)
    one.add_argument("--concurrency", type=listed, metavar="1,8", help="closed loop: under way")
    one.add_argument("--rate", type=listed, metavar="50,100", help="open loop: requests a second")
    one.add_argument("--arrivals", choices=("poisson", "constant"), default="poisson")
    one.add_argument("--trace", type=Path, metavar="FILE", help="open loop: seconds, one a line")
    one.add_argument("--p99-ms", type=float, help="search the highest rate that keeps it")
    one.add_argument("--sweep", type=listed, nargs="+", metavar="NAME=1,2", help="settings to try: "
                     "max_batch_size, max_queue_delay_us, instance_count")  # fmt: skip
    one.add_argument("--request-batch", type=int, default=1, metavar="N", help="samples in each")
    one.add_argument("--sequence-length", type=int, default=8, metavar="N", help="requests of a "
                     "sequence, where the model takes sequences")  # fmt: skip
    one.add_argument("--seconds", type=float, default=3.0, help="of each load")
    one.add_argument("--count", type=int, help="requests of each load, instead of seconds")
    one.add_argument("--processes", type=int, help="that send; more as needed by default")
    one.add_argument("--plot", type=Path, metavar="FILE.html", help="write the plots there")


def _served(one: argparse.ArgumentParser) -> None:
    """Arguments that say which model, on which server, and what it is sent."""
    one.add_argument("repository", type=Path, metavar="REPO")
    one.add_argument("--model", metavar="NAME", help="of the repository; may be left out if alone")
    one.add_argument("--samples", metavar="FILE", help="an .npz of inputs by name "
                     "(default: what the model is warmed up with)")  # fmt: skip
    one.add_argument("--url", metavar="HOST:PORT", help="a Triton that runs already, HTTP address")
    one.add_argument("--grpc", metavar="HOST:PORT", help="its gRPC address (default: next port)")
    one.add_argument("--server", choices=("auto", "path", "wheel"), default="auto",
                     help="the tritonserver on PATH, or the wheel's (default: the first there is)")  # fmt: skip


def _check(asked: argparse.Namespace) -> int:
    from ..triton import check

    more = {"triton": asked.triton} if asked.triton else {}
    found = check(asked.repository, gpus=asked.gpus, **more)
    refused = any(one.error for one in found)
    if asked.json:
        as_json({
            "refused": refused,
            "findings": [
                {"model": one.model, "error": one.error, "finding": one.message,
                 "remedy": one.remedy} for one in found
            ],
        })  # fmt: skip
    else:
        for one in found:
            print(f"{one.model}: {'refused' if one.error else 'note'}: {one.message}")
            if one.remedy:
                print(f"    {one.remedy}")
        print("a server would refuse this" if refused else "a server would take this")
    return 1 if refused else 0


def _serving(asked: argparse.Namespace) -> dict[str, Any]:
    def say(text: str) -> None:
        if sys.stderr.isatty() and not asked.json:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    return {
        "samples": asked.samples, "url": asked.url, "grpc": asked.grpc, "which": asked.server,
        "say": say,
    }  # fmt: skip


def _replay(asked: argparse.Namespace) -> int:
    from ..session.repository import replay_repository
    from ..types.measure import Tolerance

    limit = None
    if asked.relative is not None or asked.absolute is not None:
        limit = Tolerance(asked.relative or 0.0, asked.absolute or 0.0)
    how = _serving(asked)
    found = replay_repository(
        asked.repository, asked.model, expected=asked.expected, tolerance=limit,
        protocols=asked.protocols, **how,
    )  # fmt: skip
    how["say"]("")
    if asked.json:
        as_json({"replays": [one.to_dict() for one in found]})
    else:
        print("\n\n".join(map(str, found)))
    return 1 if any(one.passed is False for one in found) else 0


def _load_test(asked: argparse.Namespace) -> int:
    from ..session.loading import load_test
    from ..session.repository import serve_repository

    how = _serving(asked)
    wanted: dict[str, Any] = {
        "concurrency": numbers(asked.concurrency, int), "rate": numbers(asked.rate, float),
        "trace": numbers(asked.trace.read_text().split(), float) if asked.trace else None,
        "arrivals": asked.arrivals, "p99_ms": asked.p99_ms, "request_batch": asked.request_batch,
        "sequence_length": asked.sequence_length,
        "seconds": asked.seconds, "count": asked.count, "processes": asked.processes,
    }  # fmt: skip
    if asked.sweep:
        wanted["sweep"] = _settings(asked.sweep)
    with serve_repository(asked.repository, asked.model, send=False, **how) as served:
        found = load_test(served, say=how["say"], **wanted)
    how["say"]("")
    if asked.plot:
        from ..views import load

        asked.plot.write_text(load.page(found), encoding="utf-8")
    if asked.json:
        as_json(found.to_dict())
    else:
        print(found)
    stopped = any(point.ended for point in found.points)
    return 1 if stopped or (found.limit_ms is not None and found.best is None) else 0


def _settings(parts: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """``max_batch_size=4,8 instance_count=1,2`` as a dict."""
    made: dict[str, list[int]] = {}
    for part in parts:
        name, mark, first = part[0].partition("=")
        if not mark:
            raise RequestError(f"{part[0]!r} is no setting", "as max_batch_size=4,8")
        made[name] = numbers([first, *part[1:]], int) or []
    return made
