"""An HTTP server whose every answer is bytes of the test's choice, and which keeps each request as it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from attrs import define, field, frozen


@frozen
class Request:
    """One request's head.

    :param target: the request target, byte for byte (as Latin-1).
    :param headers: by lower-case name.
    """

    method: str
    target: str
    headers: dict[str, str]


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[bytes | None]]


@define(eq=False)
class RawServer:
    """A server on this machine; every connection serves one request and is closed.

    :ivar requests: what came.
    """

    answer: Answer
    port: int = 0
    requests: list[Request] = field(factory=list)
    _serving: set[asyncio.Task[None]] = field(factory=set, init=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, in a task that ends with the server."""
        task = asyncio.get_running_loop().create_task(self._served(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                request = _read(await reader.readuntil(b"\r\n\r\n"))
                self.requests.append(request)
                if (answer := await self.answer(request, writer)) is not None:
                    writer.write(answer)
                    await writer.drain()
        finally:
            writer.close()

    async def stop(self) -> None:
        """Let go of every connection."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


def _read(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    pairs = (line.partition(":") for line in lines)
    return Request(method, rest.rpartition(" ")[0], {name.lower(): value.strip() for name, _, value in pairs})


def http(
    body: bytes = b"",
    *,
    status: str = "200 OK",
    kind: str = "video/mp4",
    headers: Iterable[str] = (),
    length: bool = True,
) -> bytes:
    """An answer; without its length, it ends where the connection does."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *([f"Content-Type: {kind}"] if kind else []), *headers]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@asynccontextmanager
async def raw_server(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[RawServer]:
    """Run a server while the context is open."""
    server = RawServer(answer)
    async with await asyncio.start_server(server.serve, host, 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            await server.stop()


def always(answer: bytes) -> Answer:
    """The same answer to every request."""

    async def give(_request: Request, _writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0)
        return answer

    return give
