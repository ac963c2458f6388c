# ruff: noqa: T201  (standard output is how it talks to who started it)
"""The load itself, inside a sender's process: when requests leave, and when their answers come.

Closed loop: so many requests are always under way. Open loop: requests leave at times that were
fixed beforehand, whatever the server does, and latency counts from those times; so a server that
falls behind shows it. Nothing is averaged here: every request's times are kept.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import selectors
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

METHOD = "/inference.GRPCInferenceService/ModelInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"
CHANNELS = 4  # a process' connections
FEW = 4  # under way in a closed loop: up to here a thread each, beyond it an event loop
CONNECT_S = 30.0
SHUT_S = 1.0  # nothing but errors for so long: the server is gone
PAUSE_S = 0.005  # after an error, so that a server that refuses isn't flooded
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
)


class _Press:
    """One load under way: what leaves next, and what came of it."""

    def __init__(self, job: dict[str, Any], requests: list[bytes], channels: list[Any]) -> None:
        self.calls = [
            channel.unary_unary(METHOD, request_serializer=None, response_deserializer=None)
            for channel in channels
        ]
        self.requests = requests
        self.timeout = job["timeout_s"]
        self.rows: list[tuple[int, int, int, bool]] = []  # intended, sent, done, ok
        self.errors: list[str] = []
        self.good = 0.0  # when an answer came last
        self.over = ""
        self.sent = job.get("first", 0)

    def next(self) -> tuple[Any, bytes]:
        """A connection and a request for it, each in turn."""
        self.sent += 1
        number = self.sent
        return self.calls[number % len(self.calls)], self.requests[number % len(self.requests)]

    def done(self, intended: int, sent: int, error: Any = None) -> None:
        """Keep the times of a request that was answered, or was not."""
        self.rows.append((intended, sent, time.perf_counter_ns(), error is None))
        if error is None:
            self.good = time.monotonic()
            return
        said = " ".join((error.details() or "").split())[:200]
        self.errors.append(f"{error.code().name}: {said}")
        if time.monotonic() - self.good > SHUT_S:
            self.over = f"nothing but errors for {SHUT_S:g} s"

    async def one(self, intended: int) -> bool:
        import grpc

        call, request = self.next()
        sent = time.perf_counter_ns()
        try:
            await call(request, timeout=self.timeout)
        except grpc.aio.AioRpcError as error:
            self.done(intended, sent, error)
            return False
        self.done(intended, sent)
        return True

    def threads(self, concurrency: int, until: float, count: int | None) -> None:
        """A closed loop of a few, a thread each: an event loop would cost a tenth of a short call."""
        import grpc

        tickets = itertools.count()
        most = sys.maxsize if count is None else count

        def slot() -> None:
            while time.monotonic() < until and not self.over and next(tickets) < most:
                call, request = self.next()
                sent = time.perf_counter_ns()
                try:
                    call(request, timeout=self.timeout)
                except grpc.RpcError as error:
                    self.done(sent, sent, error)
                    time.sleep(PAUSE_S)
                else:
                    self.done(sent, sent)

        slots = [threading.Thread(target=slot) for _ in range(concurrency - 1)]
        for one in slots:
            one.start()
        slot()
        for one in slots:
            one.join()

    async def closed(self, concurrency: int, until: float, count: int | None) -> None:
        left = [sys.maxsize if count is None else count]

        async def slot() -> None:
            while left[0] > 0 and time.monotonic() < until and not self.over:
                left[0] -= 1
                if not await self.one(time.perf_counter_ns()):
                    await asyncio.sleep(PAUSE_S)

        await asyncio.gather(*(slot() for _ in range(concurrency)))

    async def open(self, schedule: list[float], most: int, began: int) -> None:
        under_way: set[asyncio.Task[bool]] = set()
        for at in schedule:
            intended = began + int(at * 1e9)
            while (wait := intended - time.perf_counter_ns()) > 0 and not self.over:
                await asyncio.sleep(wait / 1e9)
            while len(under_way) >= most and not self.over:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            if self.over:
                break
            task = asyncio.create_task(self.one(intended))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way)


class _Measured:
    """The time between the start that all senders share, and the end."""

    def __init__(self, start: float) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in the middle would be somebody's latency
        self.start = start

    def begin(self, press: _Press) -> None:
        press.good = time.monotonic()
        self.busy, self.began, self.clock = (
            time.process_time(), time.perf_counter_ns(), time.monotonic(),
        )  # fmt: skip
        self.zero = self.began - int((self.clock - self.start) * 1e9)

    def end(self, press: _Press) -> dict[str, Any]:
        wall = time.monotonic() - self.clock
        busy = time.process_time() - self.busy
        return {
            "rows": press.rows,
            "errors": dict(Counter(press.errors)),
            "over": press.over,
            "began": self.zero,
            "busy": busy / wall if wall > 0 else 0.0,
            "wall": wall,
            "problem": "",
        }


def _unconnected(job: dict[str, Any]) -> dict[str, Any]:
    return {"problem": f"no gRPC connection to {job['grpc']} within {CONNECT_S:g} s"}


def _few(job: dict[str, Any], requests: list[bytes]) -> dict[str, Any]:
    import grpc

    many = job["concurrency"]
    channels = [grpc.insecure_channel(job["grpc"], options=OPTIONS) for _ in range(many)]
    try:
        for channel in channels:
            live = channel.unary_unary(LIVE, request_serializer=None, response_deserializer=None)
            live(b"", timeout=CONNECT_S, wait_for_ready=True)
    except grpc.RpcError:
        return _unconnected(job)
    press = _Press(job, requests, channels)
    print(json.dumps({"said": "ready"}), flush=True)
    measured = _Measured(float(sys.stdin.readline()))
    time.sleep(max(0.0, measured.start - time.monotonic()))
    measured.begin(press)
    press.threads(many, measured.start + job["seconds"], job.get("count"))
    made = measured.end(press)
    for channel in channels:
        channel.close()
    return made


async def _many(job: dict[str, Any], requests: list[bytes]) -> dict[str, Any]:
    import grpc

    closed = job["loop"] == "closed"
    many = min(CHANNELS, job["concurrency"]) if closed else CHANNELS
    channels = [grpc.aio.insecure_channel(job["grpc"], options=OPTIONS) for _ in range(many)]
    try:
        for channel in channels:
            await asyncio.wait_for(channel.channel_ready(), CONNECT_S)
    except TimeoutError:
        return _unconnected(job)
    press = _Press(job, requests, channels)
    print(json.dumps({"said": "ready"}), flush=True)
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    measured = _Measured(float(line))
    await asyncio.sleep(max(0.0, measured.start - time.monotonic()))
    measured.begin(press)
    if closed:
        await press.closed(job["concurrency"], measured.start + job["seconds"], job.get("count"))
    else:
        await press.open(job["schedule"], job["most"], measured.zero)
    made = measured.end(press)
    for channel in channels:
        await channel.close()
    return made


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def press(job: dict[str, Any], requests: list[bytes], folder: Path) -> None:
    """Do a load; ``load.npz`` has a row a request, ``load.json`` the rest."""
    import numpy as np

    if job["loop"] == "closed" and job["concurrency"] <= FEW:
        made = _few(job, requests)
    else:
        # epoll's timers are of whole milliseconds, and so would be the times when requests leave.
        with asyncio.Runner(loop_factory=_loop) as runner:
            made = runner.run(_many(job, requests))
    rows = np.array(made.pop("rows", []), np.int64).reshape(-1, 4)
    np.savez(folder / "load.npz", rows=rows)
    (folder / "load.json").write_text(json.dumps(made), encoding="utf-8")
