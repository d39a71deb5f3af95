"""A server that does the least, in a process of its own: it answers at once, and counts.

A task is settled by its nth question, so that every client needs the same number of them, whatever the clock says.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

from rh_async.emulator.http.payloads import Json, submit_payload, task_payload, usage_payload

_OUTPUT = {"url": "https://cdn.example/output.mp4", "outputType": "mp4", "nodeId": "1", "text": None}
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nServer: bare\r\n\r\n"


@define(eq=False)
class Bare:
    """What it knows.

    :param patience: how many questions settle a task.
    """

    patience: int
    asked: Counter[str] = field(factory=Counter)  #: by task
    calls: Counter[str] = field(factory=Counter)  #: by kind

    def answer(self, path: str, body: bytes) -> Json:
        """Answer a call."""
        kind = path.rpartition("/")[2]
        if kind == "counts":
            return dict(self.calls)
        if path.endswith("queue/status"):
            self.calls["hint"] += 1
            return task_payload(code="1014")
        self.calls["query" if kind == "query" else "submit"] += 1
        return self._progress(json.loads(body)["taskId"]) if kind == "query" else self._accept()

    def _accept(self) -> Json:
        return submit_payload(str(1_900_000_000_000_000_000 + self.calls["submit"]), "RUNNING")

    def _progress(self, task: str) -> Json:
        self.asked[task] += 1
        if self.asked[task] < self.patience:
            return task_payload(task, "RUNNING")
        return task_payload(task, "SUCCESS", results=[_OUTPUT], usage=usage_payload("1.2"))


@define(eq=False)
class _Wire(asyncio.Protocol):
    bare: Bare
    transport: asyncio.WriteTransport = field(init=False)
    _read: bytes = field(default=b"", init=False)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._read = b""  # nobody here pipelines
        answer = json.dumps(self.bare.answer(head.split(b" ", 2)[1].decode(), body)).encode()
        self.transport.write(_HEAD.format(len(answer)).encode() + answer)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0] or 0)


def counts(url: str) -> Counter[str]:
    """How many calls have arrived, by kind."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", "/counts")
        return Counter(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


@contextmanager
def bare_process(patience: int) -> Iterator[str]:
    """Run one elsewhere; its url."""
    with elsewhere(_listening, patience) as url:
        yield url


@asynccontextmanager
async def _listening(patience: int) -> AsyncIterator[str]:
    bare = Bare(patience)
    server = await asyncio.get_running_loop().create_server(lambda: _Wire(bare), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# --- in another process ----------------------------------------------------------------------------------------------

Held = Callable[..., AbstractAsyncContextManager[Any]]


@contextmanager
def elsewhere(held: Held, *options: Any) -> Iterator[Any]:
    """Hold something open in another process; what it gives."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_hold, args=(there, held, options), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


def _hold(pipe: Connection, held: Held, options: tuple[Any, ...]) -> None:
    asyncio.run(_until_told(pipe, held, options))


async def _until_told(pipe: Connection, held: Held, options: tuple[Any, ...]) -> None:
    async with held(*options) as given:
        pipe.send(given)
        await asyncio.to_thread(pipe.recv)
