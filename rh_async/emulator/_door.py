"""Where the emulator listens: a door that can be shut, so that callers are refused before they say a word."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web
from attrs import define, field

_BACKLOG = 1024


@define(eq=False)
class Door:
    """One address, open or shut.

    :param held: the address, taken but not listening.
    """

    _held: socket.socket | None
    _address: tuple[str, int]
    _server: web.Server | None = field(default=None, init=False)
    _open: asyncio.Server | None = field(default=None, init=False)
    _opening: asyncio.Task[None] | None = field(default=None, init=False)
    _idle: set[object] = field(factory=set, init=False)  #: connections that may never bring another request

    @property
    def is_open(self) -> bool:
        return self._open is not None

    def enter(self, request: web.Request) -> None:
        """Spare the connection of a request while it is served."""
        self._idle.discard(request.protocol)

    def leave(self, request: web.Request) -> None:
        """Let a connection that is kept alive be as idle as any other."""
        if request.keep_alive and request.protocol is not None:
            self._idle.add(request.protocol)

    async def open(self, server: web.Server) -> None:
        """Let callers in."""
        self._server = server
        if self._held is not None:
            loop = asyncio.get_running_loop()
            # Cancelled while it starts to serve, it must be here to be closed.
            self._open = await loop.create_server(server, sock=self._held, backlog=_BACKLOG, start_serving=False)
            self._held = None
            await self._open.start_serving()

    def shut(self, seconds: float) -> None:
        """Refuse every connection for some time; idle ones end.

        Busy and new ones are left to their request: a caller that was let in must not be left in doubt by a refusal.
        """
        if self._open is not None:
            self._open.close()
            self._open = None
            self._held = bound(self._address)
        for connection in self._server.connections if self._server else ():
            if connection in self._idle:
                connection.force_close()
        self._idle.clear()
        if self._opening is not None:
            self._opening.cancel()
        self._opening = asyncio.create_task(self._reopen(seconds))

    async def close(self) -> None:
        """Shut for good."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._open is not None:
            self._open.close()
        if self._held is not None:
            self._held.close()

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._server is not None:
            await self.open(self._server)


def bound(address: tuple[str, int]) -> socket.socket:
    """Take an address without listening there: whoever knocks is refused, and nobody else can move in."""
    taken = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.setblocking(False)
    taken.bind(address)
    return taken
