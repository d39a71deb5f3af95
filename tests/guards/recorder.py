"""Relay between a client and an emulator, and record every request byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

from attrs import define, field, frozen

from rh_async.emulator import Emulator


@frozen
class Received:
    """One request as the server receives it.

    :param headers: by the names as they were written.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class Recorder:
    """A relay that records requests.

    Links in responses are rewritten to the relay's address, so that downloads are recorded, too.
    """

    server: Emulator
    port: int = 0
    _streams: list[bytearray] = field(factory=list, init=False)
    _connections: set[asyncio.Task[None]] = field(factory=set, init=False)

    @property
    def url(self) -> str:
        """The address it listens on."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Received]:
        """Every request that arrived complete."""
        return [request for stream in self._streams for request in _requests(bytes(stream))]

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection, in a task that ends with the recorder."""
        task = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recorded = bytearray()
        self._streams.append(recorded)
        with suppress(ConnectionError):
            from_server, to_server = await asyncio.open_connection(self.server.host, self.server.port)
            await asyncio.gather(self._pump(reader, to_server, recorded), self._pump(from_server, writer, None))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, recorded: bytearray | None) -> None:
        here, there = f"127.0.0.1:{self.port}".encode(), f"127.0.0.1:{self.server.port}".encode()
        assert len(here) == len(there)  # so that lengths in headers stay true
        try:
            while chunk := await source.read(1 << 16):
                if recorded is not None:
                    recorded += chunk
                sink.write(chunk.replace(there, here) if recorded is None else chunk)
                await sink.drain()
        finally:
            sink.close()

    async def stop(self) -> None:
        """Close every connection."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


def _requests(stream: bytes) -> Iterator[Received]:
    while b"\r\n\r\n" in stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _version = first.split(" ")
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(next((value for name, value in headers.items() if name.lower() == "content-length"), "0"))
        yield Received(method, target, headers, rest[:length])
        stream = rest[length:]


@asynccontextmanager
async def recording(server: Emulator) -> AsyncIterator[Recorder]:
    """Record what comes while the context is open."""
    recorder = Recorder(server)
    async with await asyncio.start_server(recorder.accept, "127.0.0.1", 0) as listening:
        recorder.port = listening.sockets[0].getsockname()[1]
        try:
            yield recorder
        finally:
            await recorder.stop()
