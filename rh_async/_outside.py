"""Fetches links of the outside world: results on a CDN, never with the API key."""

from __future__ import annotations

import ssl as tls
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import hdrs
from attrs import define, field, frozen

from ._network_errors import translated


@define(eq=False, kw_only=True, repr=False)
class Outside:
    """The pool for links of the outside world.

    :param connect: seconds until a connection stands.
    :param stall: seconds without one chunk.
    """

    connect: float
    stall: float
    ssl: tls.SSLContext | bool | aiohttp.Fingerprint | None
    proxy: str | None
    trust_env: bool
    trace_configs: Sequence[aiohttp.TraceConfig]
    _pool: aiohttp.ClientSession = field(init=False)

    def open(self) -> None:
        """Open the pool; needs a running loop, touches no network."""
        self._pool = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if self.ssl is None else self.ssl, limit=0),
            # Compressed, a file's length would say nothing of the bytes that come.
            headers={hdrs.USER_AGENT: "rh-async", hdrs.ACCEPT_ENCODING: "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self.proxy,
            trust_env=self.trust_env,
            trace_configs=list(self.trace_configs),
        )

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[Download]:
        """Open a link.

        :raises TransportError: it could not be reached.
        """
        with translated("download", lambda: False):
            response = await self._pool.get(url, timeout=self._timeout())
        try:
            yield Download(
                status=response.status,
                length=None if hdrs.CONTENT_ENCODING in response.headers else response.content_length,
                content_type=response.content_type,
                response=response,
            )
        finally:
            response.close()

    def _timeout(self) -> aiohttp.ClientTimeout:
        # connect covers a proxy's CONNECT too; the pool has no limit, so there is no wait for a place in it.
        return aiohttp.ClientTimeout(total=None, connect=self.connect, sock_read=self.stall)


@frozen(kw_only=True)
class Download:
    """An answer of the outside world, to be read chunk by chunk.

    :param length: bytes to come, None if the server does not say.
    """

    status: int
    length: int | None
    content_type: str
    _response: aiohttp.ClientResponse = field(repr=False)

    async def read(self) -> bytes:
        """The next bytes, whatever their number; none at the end.

        :raises NoAnswer: the connection broke or stalled before the end.
        """
        with translated("download", lambda: True):
            return await self._response.content.readany()
