"""Listens for connections, and can stop listening for some time, so that clients' connections are refused."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp import web
from attrs import define, field

_BACKLOG = 1024


@define(eq=False)
class Listener:
    """One listening address.

    The listener accepts connections itself instead of using ``asyncio.Server``. That one loses a connection which it
    accepted in the same turn of the event loop in which it is closed. The client may already have sent a submit on it,
    and could then not know if a task was created, while a refused connection means that nothing was sent.

    :param address: host and port.
    :param socket: bound to this address.
    """

    _address: tuple[str, int]
    _socket: socket.socket
    _server: web.Server | None = field(default=None, init=False)
    _reopening: asyncio.Task[None] | None = field(default=None, init=False)
    _connecting: set[asyncio.Task[Any]] = field(factory=set, init=False)
    _idle_connections: set[object] = field(factory=set, init=False)  #: those that wait for another request
    _is_closed: bool = field(default=False, init=False)
    is_listening: bool = field(default=False, init=False)

    def request_started(self, request: web.Request) -> None:
        """Mark the connection of a request as busy, so that `pause` does not close it."""
        self._idle_connections.discard(request.protocol)

    def request_finished(self, request: web.Request) -> None:
        """Mark the connection of a request as idle, if it is kept alive."""
        if request.keep_alive and request.protocol is not None:
            self._idle_connections.add(request.protocol)

    def open(self, server: web.Server) -> None:
        """Start listening."""
        self._server = server
        self._socket.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)
        self.is_listening = True

    def pause(self, seconds: float) -> None:
        """Refuse connections for some time; close idle ones, but let busy and new ones finish their request.

        After `close` it does nothing: a request that outlasts the listener may still cause a fault, and the socket that
        would be reopened is closed.
        """
        if self._is_closed:
            return
        if self.is_listening:
            self._stop()
            self._socket = bind_socket(self._address)  # keeps the port, so that no other process answers the clients
        # A client would send its next request on an idle connection, and it would not be refused.
        for connection in self._server.connections if self._server else ():
            if connection in self._idle_connections:
                connection.force_close()
        self._idle_connections.clear()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.create_task(self._reopen_after(seconds))

    async def close(self) -> None:
        """Stop listening, and wait for the connections that are being accepted."""
        self._is_closed = True  # first, since `pause` may be called during the waits below
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.wait([self._reopening])
        if self.is_listening:
            self._stop()
        self._socket.close()
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _stop(self) -> None:
        """Accept the connections that the kernel has already completed, then stop listening."""
        self._accept()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self.is_listening = False

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while self._server is not None:
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # no more completed connections; the reader calls again
            connecting = loop.create_task(loop.connect_accepted_socket(self._server, connection))
            self._connecting.add(connecting)  # the event loop itself keeps only weak references to tasks
            connecting.add_done_callback(self._connecting.discard)

    async def _reopen_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._server is not None:
            self.open(self._server)


def bind_socket(address: tuple[str, int]) -> socket.socket:
    """Bind a socket without listening: connections are refused, and no other process can take the address."""
    bound = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections may still occupy the port
    bound.setblocking(False)
    bound.bind(address)
    return bound
