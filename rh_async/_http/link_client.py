"""Fetches links outside the API: outputs on a CDN, byte for byte as the links were signed, never with the API key.

The server names the links, so a link may lead anywhere, for instance into the caller's own network. Only http and https
links to public addresses are fetched, and each redirect is checked anew. The check is made on the address that is
connected to: a name may resolve to another address a moment after it was looked up.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from attrs import define, field, frozen
from yarl import URL

from rh_async.errors import NotSent, OutputRefused

from .address_policy import is_metadata, is_public, literal_address
from .call_log import log_call
from .connection_pools import SSL, open_pool, proxy_from_environment
from .exact_url import BadLink, Link, parse_link
from .network_errors import HeadersSent, headers_sent_trace, translate_errors

_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _PrivateAddress(OSError):
    """A connection to an address that is not public; its text is always the same, see `LinkClient._open_socket`."""


@define(eq=False, kw_only=True, repr=False)
class LinkClient:
    """The connection pools for links outside the API.

    :param api_url: where the API is; if that is a private address (an emulator, a gateway in the same network), its
        links may be private, too, except to a cloud's metadata.
    :param connect: seconds until a connection is made.
    :param response: seconds from there until the response's headers have come.
    :param stall: seconds without one chunk.
    :param allow_private: whether links to addresses that are not public are fetched.
    """

    api_url: str
    connect: float
    response: float
    stall: float
    ssl: SSL = None
    proxy: str | None = None
    trust_env: bool = False
    trace_configs: Sequence[aiohttp.TraceConfig] = ()
    allow_private: bool = False
    _api_is_private: bool = field(default=False, init=False)  #: as far as it was looked up
    _direct: aiohttp.ClientSession = field(init=False)
    _proxied: aiohttp.ClientSession = field(init=False)

    def open(self) -> None:
        """Open the pools; needs a running loop, touches no network."""
        # The check is made where the socket is opened, which sees every connection: a check in aiohttp's resolver would
        # miss links that name an address. A proxy may well have a private address: it gets a pool without the check.
        self._direct = self._pool(socket_factory=self._open_socket)
        self._proxied = self._pool()

    async def close(self) -> None:
        """Close the pools."""
        await self._direct.close()
        await self._proxied.close()

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[Download]:
        """Open a link, and follow its redirects.

        :raises TransportError: it could not be reached.
        :raises OutputRefused: it may not be fetched.
        """
        response = await self._follow(url)
        try:
            yield Download(response=response)
        finally:
            response.close()

    async def _follow(self, url: str) -> aiohttp.ClientResponse:
        """Return the response at the end of the redirects.

        aiohttp would follow them too, but it would quote each URL anew, which breaks signatures, and check none.
        """
        try:
            link = parse_link(url)
            for _ in range(_MAX_REDIRECTS + 1):
                response = await self._get_checked(link)
                location = response.headers.get(hdrs.LOCATION)
                if response.status not in _REDIRECTS or not location:
                    return response
                response.close()
                link = link.resolve_redirect(location)
        except BadLink as error:
            raise _refused(str(error)) from error
        raise _refused(f"the link was redirected {_MAX_REDIRECTS} times, and then once more")

    async def _get_checked(self, link: Link) -> aiohttp.ClientResponse:
        proxy = await self._find_proxy(link)
        address = literal_address(link.host)
        if address is not None and not self._may_connect(address):
            await self._look_up_api()
            if not self._may_connect(address):
                raise _refused(_PRIVATE.format(link.origin))
        try:
            return await self._get(link, proxy)
        except NotSent as error:
            if not _hit_private_address(error):
                raise
        await self._look_up_api()
        try:
            return await self._get(link, proxy)
        except NotSent as error:
            if _hit_private_address(error):
                raise _refused(_PRIVATE.format(link.origin)) from error
            raise

    async def _get(self, link: Link, proxy: str | None) -> aiohttp.ClientResponse:
        pool, sent = self._direct if proxy is None else self._proxied, HeadersSent(lambda: None)
        with log_call("GET", link.origin) as entry, translate_errors("download", lambda: sent.sent):
            # sock_read does not fire while headers come byte by byte; `connect` covers a proxy's CONNECT too.
            async with asyncio.timeout(self.connect + self.response):
                response = await pool.get(
                    _url_of(link),
                    proxy=proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=self.connect, sock_read=self.stall),
                    trace_request_ctx=sent,
                )
                entry.status = response.status
                return response

    # --- what may be fetched -----------------------------------------------------------------------------------------

    def _open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._may_connect(address[0]):
            # The same text for every address: several errors with different texts aiohttp merges into a plain OSError.
            raise _PrivateAddress("not a public address")
        return socket.socket(family, kind, protocol)

    def _may_connect(self, address: str) -> bool:
        return self.allow_private or is_public(address) or (self._api_is_private and not is_metadata(address))

    async def _look_up_api(self) -> None:
        """Find out whether the API's own address is private: then its links may be private, too."""
        if self._api_is_private:
            return
        host = urlsplit(self.api_url).hostname or ""
        written = literal_address(host)
        found = await self._resolve(host) if written is None else [written]
        self._api_is_private = bool(found) and not any(map(is_public, found))

    async def _resolve(self, host: str) -> list[str]:
        """Resolve a name; to nothing, if it is unknown here: a proxy may know it.

        :raises NotSent: it cannot be resolved now.
        """
        with translate_errors("download", lambda: False):
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except socket.gaierror as error:
                if error.errno != socket.EAI_NONAME:
                    raise
                return []
        return [str(address[0]) for *_, address in found]

    async def _find_proxy(self, link: Link) -> str | None:
        if self.proxy is not None or not self.trust_env:
            return self.proxy
        return await asyncio.to_thread(proxy_from_environment, link.origin)

    def _pool(self, **options: Any) -> aiohttp.ClientSession:
        return open_pool(
            # Compressed, a file's length would say nothing of the bytes that come, nor they of what they become.
            headers={hdrs.ACCEPT_ENCODING: "identity"},
            auto_decompress=False,
            ssl=self.ssl,
            trace_configs=[headers_sent_trace(), *self.trace_configs],
            **options,
        )


@frozen(kw_only=True)
class Download:
    """The response to a link, to be read chunk by chunk."""

    _response: aiohttp.ClientResponse = field(repr=False)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def length(self) -> int | None:
        """How many bytes will come; None if the server does not say."""
        return None if self.encoding else self._response.content_length

    @property
    def ended(self) -> bool:
        """Whether the server marks the end of the bytes; else they end where the connection does, whole or not."""
        return self.length is not None or self._response.headers.get(hdrs.TRANSFER_ENCODING, "").lower() == "chunked"

    @property
    def content_type(self) -> str:
        """The media type that the server names, in lower case; "" for none."""
        return self._response.content_type.lower() if hdrs.CONTENT_TYPE in self._response.headers else ""

    @property
    def encoding(self) -> str:
        """How the response is compressed; "" if it is not."""
        encoding = self._response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
        return "" if encoding == "identity" else encoding

    async def read(self) -> bytes:
        """Return the next bytes, whatever their number; none at the end.

        :raises ResponseLost: the connection broke or stalled before the end.
        """
        with translate_errors("download", lambda: True):
            return await self._response.content.readany()


def _hit_private_address(error: NotSent) -> bool:
    cause = error.__cause__
    return isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, _PrivateAddress)


_PRIVATE = "the link leads to {}, which is no public address"


def _refused(message: str) -> OutputRefused:
    advice = "Session(allow_private_links=True) fetches such links." if message.endswith("no public address") else None
    return OutputRefused(message, phase="download", advice=advice)


def _url_of(link: Link) -> URL:
    """Build the URL as aiohttp takes it. The query stays in the path, or yarl would drop an empty one."""
    host = URL.build(scheme=link.scheme, host=link.host, path="/").raw_host or ""
    authority = "" if link.user is None else f"{link.user}@"
    authority += f"[{host}]" if ":" in host else host
    return URL.build(scheme=link.scheme, authority=f"{authority}:{link.port}", path=link.target, encoded=True)
