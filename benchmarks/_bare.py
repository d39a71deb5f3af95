"""A minimal server, in a process of its own: it responds at once, and counts requests.

A task is settled by its nth query, so that every client needs the same number of them, at whatever speed.
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
    """The state of the server.

    :param polls_per_task: how many queries settle a task.
    """

    polls_per_task: int
    polls: Counter[str] = field(factory=Counter)  #: by task
    calls: Counter[str] = field(factory=Counter)  #: by kind

    def answer(self, path: str, body: bytes) -> Json:
        """Return the response to a call."""
        kind = path.rpartition("/")[2]
        if kind == "counts":
            return dict(self.calls)
        if path.endswith("queue/status"):
            self.calls["queue_status"] += 1
            return task_payload(code="1014")
        self.calls["query" if kind == "query" else "submit"] += 1
        return self._progress(json.loads(body)["taskId"]) if kind == "query" else self._accept()

    def _accept(self) -> Json:
        return submit_payload(str(1_900_000_000_000_000_000 + self.calls["submit"]), "RUNNING")

    def _progress(self, task: str) -> Json:
        self.polls[task] += 1
        if self.polls[task] < self.polls_per_task:
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
        self._read = b""  # no client here pipelines
        answer = json.dumps(self.bare.answer(head.split(b" ", 2)[1].decode(), body)).encode()
        self.transport.write(_HEAD.format(len(answer)).encode() + answer)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0] or 0)


def counts(url: str) -> Counter[str]:
    """Ask the server how many calls have arrived, by kind."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", "/counts")
        return Counter(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


@contextmanager
def bare_process(polls_per_task: int) -> Iterator[str]:
    """Run the server in another process; yield its URL."""
    with in_process(_listening, polls_per_task) as url:
        yield url


@asynccontextmanager
async def _listening(polls_per_task: int) -> AsyncIterator[str]:
    bare = Bare(polls_per_task)
    server = await asyncio.get_running_loop().create_server(lambda: _Wire(bare), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# --- in another process -----------------------------------------------------------------------------------------------

Opened = Callable[..., AbstractAsyncContextManager[Any]]


@contextmanager
def in_process(opened: Opened, *options: Any) -> Iterator[Any]:
    """Keep a context manager open in another process; yield what it yields."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_run, args=(there, opened, options), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


def _run(pipe: Connection, opened: Opened, options: tuple[Any, ...]) -> None:
    asyncio.run(_until_released(pipe, opened, options))


async def _until_released(pipe: Connection, opened: Opened, options: tuple[Any, ...]) -> None:
    async with opened(*options) as given:
        pipe.send(given)
        await asyncio.to_thread(pipe.recv)
