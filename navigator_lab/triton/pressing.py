# ruff: noqa: T201  (standard output is how it talks to who started it)
"""The load itself, inside a sender's process: when requests leave, and when their answers come.

Closed loop: so many requests are always under way. Open loop: requests leave at times that were
fixed beforehand, whatever the server does, and latency counts from those times; so a server that
falls behind shows it. Where a model takes sequences, what is under way, or leaves at its time, is a
sequence: its requests follow each other. Nothing is averaged here: every request's times are kept.
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
from collections.abc import Iterator
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
        # intended, sent, done, ok, and which of its sequence it was
        self.rows: list[tuple[int, int, int, bool, int]] = []
        self.errors: list[str] = []
        self.good = 0.0  # when an answer came last
        self.over = ""
        self.sent = job.get("first", 0)
        self.sequence: dict[str, Any] | None = job.get("sequence")

    def turn(self) -> Iterator[tuple[Any, bytes]]:
        """What leaves next, one after the other: a request, or all of a sequence, on a connection."""
        self.sent += 1
        number = self.sent
        call = self.calls[number % len(self.calls)]
        if self.sequence is None:
            yield call, self.requests[number % len(self.requests)]
            return
        length = self.sequence["length"]
        who = self.sequence["base"] + number * self.sequence["stride"]
        for step in range(length):
            request = self.requests[(number * length + step) % len(self.requests)]
            yield call, request + _of_sequence(who, step, length, self.sequence["text"])

    def done(self, intended: int, sent: int, step: int, error: Any = None) -> None:
        """Keep the times of a request that was answered, or was not."""
        self.rows.append((intended, sent, time.perf_counter_ns(), error is None, step))
        if error is None:
            self.good = time.monotonic()
            return
        said = " ".join((error.details() or "").split())[:200]
        self.errors.append(f"{error.code().name}: {said}")
        if time.monotonic() - self.good > SHUT_S:
            self.over = f"nothing but errors for {SHUT_S:g} s"

    async def one(self, intended: int) -> bool:
        """A request, or a sequence: its next request is meant to leave when the last is answered."""
        import grpc

        for step, (call, request) in enumerate(self.turn()):
            sent = time.perf_counter_ns()
            try:
                await call(request, timeout=self.timeout)
            except grpc.aio.AioRpcError as error:
                self.done(intended, sent, step, error)
                return False
            self.done(intended, sent, step)
            intended = time.perf_counter_ns()
        return True

    def threads(self, concurrency: int, until: float, count: int | None) -> None:
        """A closed loop of a few, a thread each: an event loop would cost a tenth of a short call."""
        import grpc

        tickets = itertools.count()
        most = sys.maxsize if count is None else count

        def slot() -> None:
            while time.monotonic() < until and not self.over and next(tickets) < most:
                for step, (call, request) in enumerate(self.turn()):
                    sent = time.perf_counter_ns()
                    try:
                        call(request, timeout=self.timeout)
                    except grpc.RpcError as error:
                        self.done(sent, sent, step, error)
                        time.sleep(PAUSE_S)
                        break
                    self.done(sent, sent, step)

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


def text_id(number: int) -> str:
    """A sequence's id as text, as long as a server lets it be.

    It puts zeros behind a shorter one, and then its Python backend counts more than one text.
    """
    return f"{number:0128d}"


def _of_sequence(who: int, step: int, length: int, text: bool) -> bytes:
    """What makes a request one of a sequence; put behind its bytes, gRPC reads it as part of it."""
    from tritonclient.grpc import service_pb2

    said = service_pb2.ModelInferRequest()
    if text:
        said.parameters["sequence_id"].string_param = text_id(who)
    else:
        said.parameters["sequence_id"].int64_param = who
    said.parameters["sequence_start"].bool_param = step == 0
    said.parameters["sequence_end"].bool_param = step == length - 1
    return bytes(said.SerializeToString())


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
    rows = np.array(made.pop("rows", []), np.int64).reshape(-1, 5)
    np.savez(folder / "load.npz", rows=rows)
    (folder / "load.json").write_text(json.dumps(made), encoding="utf-8")
