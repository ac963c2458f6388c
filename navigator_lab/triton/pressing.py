# ruff: noqa: T201  (standard output is how it talks to who started it)
"""The load itself, inside a sender's process: when requests leave, and when their answers come.

Closed loop: so many requests are always under way. Open loop: requests leave at times that were
fixed beforehand, whatever the server does, and latency counts from those times; so a server that
falls behind shows it. Nothing is averaged here: every request's times are kept.
"""

from __future__ import annotations

import asyncio
import gc
import json
import selectors
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

METHOD = "/inference.GRPCInferenceService/ModelInfer"
CHANNELS = 4  # a process' connections
SHUT_S = 1.0  # nothing but errors for so long: the server is gone
PAUSE_S = 0.005  # after an error, so that a server that refuses isn't flooded
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
)


class _Press:
    """One load under way."""

    def __init__(self, job: dict[str, Any], requests: list[bytes], channels: list[Any]) -> None:
        self.calls = [
            channel.unary_unary(METHOD, request_serializer=None, response_deserializer=None)
            for channel in channels
        ]
        self.requests = requests
        self.timeout = job["timeout_s"]
        self.rows: list[tuple[int, int, int, bool]] = []  # intended, sent, done, ok
        self.errors: Counter[str] = Counter()
        self.good = 0.0  # when an answer came last
        self.over = ""
        self.sent = job.get("first", 0)

    async def one(self, intended: int) -> bool:
        import grpc

        self.sent += 1
        number = self.sent
        call = self.calls[number % len(self.calls)]
        sent = time.perf_counter_ns()
        try:
            await call(self.requests[number % len(self.requests)], timeout=self.timeout)
            ok = True
            self.good = time.monotonic()
        except grpc.aio.AioRpcError as error:
            ok = False
            self.errors[
                f"{error.code().name}: {' '.join((error.details() or '').split())[:200]}"
            ] += 1
        self.rows.append((intended, sent, time.perf_counter_ns(), ok))
        if not ok and time.monotonic() - self.good > SHUT_S:
            self.over = f"nothing but errors for {SHUT_S:g} s"
        return ok

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


async def _press(job: dict[str, Any], requests: list[bytes]) -> dict[str, Any]:
    import grpc

    closed = job["loop"] == "closed"
    many = min(CHANNELS, job["concurrency"]) if closed else CHANNELS
    channels = [grpc.aio.insecure_channel(job["grpc"], options=OPTIONS) for _ in range(many)]
    try:
        for channel in channels:
            await asyncio.wait_for(channel.channel_ready(), 30)
    except TimeoutError:
        return {"problem": f"no gRPC connection to {job['grpc']} within 30 s"}
    press = _Press(job, requests, channels)
    print(json.dumps({"said": "ready"}), flush=True)
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    start = float(line)  # of CLOCK_MONOTONIC, which all processes of a machine share
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection in the middle would be somebody's latency
    await asyncio.sleep(max(0.0, start - time.monotonic()))
    press.good = time.monotonic()
    busy, began, clock = time.process_time(), time.perf_counter_ns(), time.monotonic()
    if closed:
        await press.closed(job["concurrency"], start + job["seconds"], job.get("count"))
    else:
        await press.open(job["schedule"], job["most"], began - int((clock - start) * 1e9))
    wall = time.monotonic() - clock
    busy = time.process_time() - busy
    for channel in channels:
        await channel.close()
    return {
        "rows": press.rows,
        "errors": dict(press.errors),
        "over": press.over,
        "began": began - int((clock - start) * 1e9),
        "busy": busy / wall if wall > 0 else 0.0,
        "wall": wall,
        "problem": "",
    }


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def press(job: dict[str, Any], requests: list[bytes], folder: Path) -> None:
    """Do a load; ``load.npz`` has a row a request, ``load.json`` the rest."""
    import numpy as np

    # epoll's timers are of whole milliseconds, and so would be the times at which requests leave.
    with asyncio.Runner(loop_factory=_loop) as runner:
        made = runner.run(_press(job, requests))
    rows = np.array(made.pop("rows", []), np.int64).reshape(-1, 4)
    np.savez(folder / "load.npz", rows=rows)
    (folder / "load.json").write_text(json.dumps(made), encoding="utf-8")
