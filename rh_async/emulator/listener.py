"""Where the emulator listens: a door that can be shut, so that callers are refused before they say a word."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp import web
from attrs import define, field

_BACKLOG = 1024


@define(eq=False)
class Listener:
    """One address, open or shut.

    It accepts by itself, because ``asyncio.Server`` loses a caller whom it has accepted in the very turn of the loop
    in which it is closed: one who may have spoken already, and would be left in doubt by what should be a refusal.

    :param address: where to listen.
    """

    _address: tuple[str, int]
    _held: socket.socket
    _server: web.Server | None = field(default=None, init=False)
    _reopening: asyncio.Task[None] | None = field(default=None, init=False)
    _connecting: set[asyncio.Task[Any]] = field(factory=set, init=False)
    _idle_connections: set[object] = field(factory=set, init=False)  #: connections that may never bring another request
    is_listening: bool = field(default=False, init=False)

    def enter(self, request: web.Request) -> None:
        """Spare the connection of a request while it is served."""
        self._idle_connections.discard(request.protocol)

    def leave(self, request: web.Request) -> None:
        """Let a connection that is kept alive be as idle as any other."""
        if request.keep_alive and request.protocol is not None:
            self._idle_connections.add(request.protocol)

    def open(self, server: web.Server) -> None:
        """Let callers in."""
        self._server = server
        self._held.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._held, self._accept)
        self.is_listening = True

    def shut(self, seconds: float) -> None:
        """Refuse every connection for some time; idle ones end, busy and new ones are left to their request."""
        if self.is_listening:
            self._stop()
            self._held = bind(self._address)
        for connection in self._server.connections if self._server else ():
            if connection in self._idle_connections:
                connection.force_close()
        self._idle_connections.clear()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.create_task(self._reopen(seconds))

    async def close(self) -> None:
        """Shut for good, once whoever is on the threshold has come in."""
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.wait([self._reopening])
        if self.is_listening:
            self._stop()
        self._held.close()
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _stop(self) -> None:
        """Let those in who have got through already, then listen no more."""
        self._accept()
        asyncio.get_running_loop().remove_reader(self._held)
        self._held.close()
        self.is_listening = False

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while self._server is not None:
            try:
                caller, _ = self._held.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            connecting = loop.create_task(loop.connect_accepted_socket(self._server, caller))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._server is not None:
            self.open(self._server)


def bind(address: tuple[str, int]) -> socket.socket:
    """Take an address without listening there: whoever knocks is refused, and nobody else can move in."""
    taken = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.setblocking(False)
    taken.bind(address)
    return taken
