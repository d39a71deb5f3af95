"""Fetches links of the outside world: results on a CDN, byte for byte as they were signed, never with the API key.

A server names the links, so a link may lead anywhere. Only http and https links to public addresses are followed, each
redirect anew. What counts is the address that is connected to: a name may resolve to another one a moment later.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from attrs import define, field, frozen
from yarl import URL

from rh_async.errors import NotSent, OutputRefused, ResponseLost

from .address_policy import is_metadata, is_public, literal
from .call_log import logged
from .connection_pools import SSL, open_pool, proxy_from_environment
from .exact_url import BadLink, Link, link_of
from .network_errors import HeadersSent, headers_sent_trace, translated

_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Private(OSError):
    """A connection to an address that is not public; its text is always the same, see `Outside._socket`."""


@define(eq=False, kw_only=True, repr=False)
class LinkClient:
    """The pools for links of the outside world.

    :param api_url: where the API is; if that is a private address (an emulator, a gateway in the same network), its
        links may be private, too, but for those to a cloud's metadata.
    :param connect: seconds until a connection stands.
    :param answer: seconds from there until the headers of an answer are here.
    :param stall: seconds without one chunk.
    :param private: whether links to addresses that are not public are followed.
    """

    api_url: str
    connect: float
    answer: float
    stall: float
    ssl: SSL = None
    proxy: str | None = None
    trust_env: bool = False
    trace_configs: Sequence[aiohttp.TraceConfig] = ()
    private: bool = False
    _near: bool = field(default=False, init=False)  #: whether the API's own address is known to be private
    _direct: aiohttp.ClientSession = field(init=False)
    _proxied: aiohttp.ClientSession = field(init=False)

    def open(self) -> None:
        """Open the pools; needs a running loop, touches no network."""
        # aiohttp checks names in a resolver, and asks none about an address: only the socket sees every connection. A
        # proxy may well have a private address, so that what goes through one has a pool of its own.
        self._direct = self._pool(socket_factory=self._socket)
        self._proxied = self._pool()

    async def close(self) -> None:
        """Close the pools."""
        await self._direct.close()
        await self._proxied.close()

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[Download]:
        """Open a link, and follow where it is redirected.

        :raises TransportError: it could not be reached.
        :raises OutputRefused: it may not be fetched.
        """
        response = await self._followed(url)
        try:
            yield Download(response=response)
        finally:
            response.close()

    async def _followed(self, url: str) -> aiohttp.ClientResponse:
        """The answer at the end of the redirects. aiohttp would follow them too, but re-quote each, and check none."""
        try:
            link = link_of(url)
            for _ in range(_MOST_REDIRECTS + 1):
                response = await self._got(link)
                location = response.headers.get(hdrs.LOCATION)
                if response.status not in _REDIRECTS or not location:
                    return response
                response.close()
                link = link.redirected(location)
        except BadLink as error:
            raise _refused(str(error)) from error
        raise _refused(f"the link was redirected {_MOST_REDIRECTS} times, and then once more")

    async def _got(self, link: Link) -> aiohttp.ClientResponse:
        proxy = await self._proxy_for(link)
        address = literal(link.host)
        if address is not None and not self._may_be(address):
            await self._learn_whether_near()
            if not self._may_be(address):
                raise _refused(_PRIVATE.format(link.place))
        try:
            return await self._asked(link, proxy)
        except NotSent as error:
            if not _was_private(error):
                raise
        await self._learn_whether_near()
        try:
            return await self._asked(link, proxy)
        except NotSent as error:
            if _was_private(error):
                raise _refused(_PRIVATE.format(link.place)) from error
            raise

    async def _asked(self, link: Link, proxy: str | None) -> aiohttp.ClientResponse:
        pool, sent = self._direct if proxy is None else self._proxied, HeadersSent(lambda: None)
        with logged("GET", link.place) as made, translated("download", lambda: sent.sent):
            # sock_read is deaf to headers that drip; connect covers a proxy's CONNECT too.
            async with asyncio.timeout(self.connect + self.answer):
                response = await pool.get(
                    _url_of(link),
                    proxy=proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=self.connect, sock_read=self.stall),
                    trace_request_ctx=sent,
                )
                made.status = response.status
                return response

    # --- what may be fetched -----------------------------------------------------------------------------------------

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._may_be(address[0]):
            # The same text for every address: of errors with different texts aiohttp makes one of no class.
            raise _Private("not a public address")
        return socket.socket(family, kind, protocol)

    def _may_be(self, address: str) -> bool:
        return self.private or is_public(address) or (self._near and not is_metadata(address))

    async def _learn_whether_near(self) -> None:
        """Find out whether the API's own address is private."""
        if self._near:
            return
        host = urlsplit(self.api_url).hostname or ""
        written = literal(host)
        found = await self._addresses(host) if written is None else [written]
        self._near = bool(found) and not any(map(is_public, found))

    async def _addresses(self, host: str) -> list[str]:
        """What a name resolves to; nothing, if it is none here: a proxy may know it.

        :raises NotSent: that cannot be told now.
        """
        with translated("download", lambda: False):
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except socket.gaierror as error:
                if error.errno != socket.EAI_NONAME:
                    raise
                return []
        return [str(address[0]) for *_, address in found]

    async def _proxy_for(self, link: Link) -> str | None:
        # Not aiohttp's trust_env: that would look passwords up in a netrc file, for whatever host a server names.
        if self.proxy is not None or not self.trust_env:
            return self.proxy
        return await asyncio.to_thread(proxy_from_environment, link.place)

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
    """An answer of the outside world, to be read chunk by chunk."""

    _response: aiohttp.ClientResponse = field(repr=False)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def length(self) -> int | None:
        """How many bytes come; None if the server does not say."""
        return None if self.encoding else self._response.content_length

    @property
    def ended(self) -> bool:
        """Whether the end of the bytes is marked, and not just where the connection ends."""
        return self.length is not None or self._response.headers.get(hdrs.TRANSFER_ENCODING, "").lower() == "chunked"

    @property
    def content_type(self) -> str:
        """What the server says that it sends, in lower case; "" if it says nothing."""
        return self._response.content_type.lower() if hdrs.CONTENT_TYPE in self._response.headers else ""

    @property
    def encoding(self) -> str:
        """How the server has compressed what it sends; "" if it has not."""
        said = self._response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
        return "" if said == "identity" else said

    async def read(self) -> bytes:
        """The next bytes, whatever their number; none at the end.

        :raises ResponseLost: the connection broke or stalled before the end.
        """
        with translated("download", lambda: True):
            return await self._response.content.readany()


def _was_private(error: NotSent) -> bool:
    cause = error.__cause__
    return isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, _Private)


@define(eq=False)
class Inflated:
    """A compressed answer, read as what it was; a small piece may become a large one, so each is taken in pieces."""

    _download: Download
    _inflate: Any = field(factory=lambda: zlib.decompressobj(_GZIP_OR_ZLIB), init=False)
    _waiting: bytes = field(default=b"", init=False)

    async def read(self) -> bytes:
        """The next bytes; none at the end.

        :raises ResponseLost: the connection broke, or these bytes are not compressed.
        """
        while not self._inflate.eof:
            self._waiting = self._waiting or await self._download.read()
            if not self._waiting:
                raise ResponseLost("download: the compressed bytes end too early", phase="download")
            try:
                piece: bytes = self._inflate.decompress(self._waiting, _PIECE)
            except zlib.error as error:
                raise ResponseLost(f"download: the bytes are not compressed as was said ({error})") from error
            self._waiting = self._inflate.unconsumed_tail
            if piece:
                return piece
        return b""


_GZIP_OR_ZLIB = 47  # as zlib numbers it
_PIECE = 1024 * 1024


_PRIVATE = "the link leads to {}, which is no public address"


def _refused(words: str) -> OutputRefused:
    advice = "Session(allow_private_links=True) fetches such links." if words.endswith("no public address") else None
    return OutputRefused(words, phase="download", advice=advice)


def _url_of(link: Link) -> URL:
    """As aiohttp takes it. The query stays in the path, or yarl would drop an empty one."""
    host = URL.build(scheme=link.scheme, host=link.host, path="/").raw_host or ""
    authority = "" if link.user is None else f"{link.user}@"
    authority += f"[{host}]" if ":" in host else host
    return URL.build(scheme=link.scheme, authority=f"{authority}:{link.port}", path=link.target, encoded=True)
