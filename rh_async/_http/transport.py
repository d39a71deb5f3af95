"""Sends calls to the API over aiohttp: connection pools, one exchange, errors, the shared rate limit.

There are three pools: the API, paid submits, and links outside the API (in `link_client`). The API key goes to the API
host only.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from aiohttp import TraceConfig, hdrs
from attrs import define, field

from rh_async import errors
from rh_async._api.wire import ApiCall, ApiResponse, Route
from rh_async._concurrency.deadline import deadline
from rh_async.types import Secret

from .call_log import log_call
from .call_queue import CallQueue
from .connection_pools import SSL, Connector, Timeouts, open_pool, proxy_from_environment
from .file_body import FileBody, multipart
from .network_errors import HeadersSent, headers_sent_trace, translate
from .rate_limit import Priority
from .response_reader import read_response
from .retry import RetryLoop, RetryPolicy

if TYPE_CHECKING:
    from .link_client import Download, LinkClient

T = TypeVar("T")

__all__ = ["SSL", "Connector", "FileBody", "RetryPolicy", "Timeouts", "TraceConfig", "Transport"]

_MAX_RATE_LIMITED = 4  # times per call, then the error is raised: a limit of one route alone would never let it pass
_PRIORITIES: Mapping[Route, Priority] = MappingProxyType(
    dict.fromkeys(Route, Priority.WORK) | {Route.SUBMIT: Priority.SUBMIT, Route.QUERY: Priority.POLL}
)
_JSON = {hdrs.CONTENT_TYPE: "application/json"}


@define(eq=False, kw_only=True, repr=False)
class Transport:
    """The HTTP client of one session.

    :param private_links: whether links to addresses that are not public are followed.
    :param connector: the caller's own, for every call of the API; closed by the caller.
    :param rng: spreads the delays.
    :param on_pause: called with the seconds for which a rate limit holds all calls back.
    :ivar first_call_at: when the first call began, on the loop's clock; None before it.
    """

    base_url: str
    api_key: Secret = field(repr=False)
    timeouts: Timeouts
    retry: RetryPolicy
    ssl: SSL = None
    proxy: str | None = field(default=None, repr=False)
    trust_env: bool = False
    trace_configs: Sequence[TraceConfig] = ()
    private_links: bool = False
    connector: Connector | None = None
    rng: random.Random = field(factory=random.Random, repr=False)
    on_pause: Callable[[float], None] = field(default=lambda _: None, repr=False)
    first_call_at: float | None = field(default=None, init=False)
    _retries: RetryLoop = field(init=False, repr=False)
    _connect_timeout: aiohttp.ClientTimeout = field(init=False, repr=False)
    _api: aiohttp.ClientSession = field(init=False, repr=False)
    _submits: aiohttp.ClientSession = field(init=False, repr=False)
    _links: LinkClient = field(init=False, repr=False)
    _queue: CallQueue = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._retries = RetryLoop(policy=self.retry, rng=self.rng)

    def open(self) -> None:
        """Open the pools; needs a running loop, touches no network."""
        from .link_client import LinkClient  # noqa: PLC0415 - loaded with the session's runtime, off the event loop

        self._queue = CallQueue()
        connect, read = self.timeouts.connect, self.timeouts.read
        # `deadline` limits the response's time: aiohttp's own timers fire though the response has come, unread yet.
        self._connect_timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        key: dict[str, str] = {hdrs.AUTHORIZATION: f"Bearer {self.api_key}"}
        self._api = self._pool(key)
        # Submits never reuse a connection: a POST on a kept-alive one that the server has just closed would fail after
        # its headers left, and count as possibly billed though it was not. A handshake per paid job is cheap.
        self._submits = self._pool(key, headers_sent_trace(), force_close=True)
        # Links are named by the server and may lead anywhere: their pool never holds the key.
        self._links = LinkClient(
            api_url=self.base_url,
            connect=connect,
            response=read,
            stall=self.timeouts.stall,
            ssl=self.ssl,
            proxy=self.proxy,
            trust_env=self.trust_env,
            trace_configs=self.trace_configs,
            allow_private=self.private_links,
        )
        self._links.open()

    async def close(self) -> None:
        """Close the pools."""
        for pool in (self._submits, self._api, self._links):
            await pool.close()

    @property
    def server_responded(self) -> bool:
        """Whether any call ever got an HTTP response, whatever it said."""
        return self._retries.server_responded

    async def send(
        self,
        call: ApiCall,
        decode: Callable[[ApiResponse], T],
        *,
        file: FileBody | None = None,
        on_sent: Callable[[], None] = lambda: None,
        let_through_at: float | None = None,
        priority: Priority | None = None,
    ) -> T:
        """Send one call when the rate limit lets it through, and decode its response.

        A rate limit holds all calls back together. A call that is harmless to repeat is sent again a few times. A
        submit is not: its sender writes each attempt into the journal before it leaves.

        :param file: sent instead of the call's body, as a multipart form.
        :param on_sent: called when the headers have left: from here on the server may act.
        :param let_through_at: what `wait_for_rate_limit` returned; by default this method waits.
        :param priority: which of the waiting calls leaves first; by default as its route says.
        :raises TransportError: the call was not sent, or no response came.
        :raises RHError: whatever *decode* raises.
        """
        priority = _PRIORITIES[call.route] if priority is None else priority
        refusals = 0
        while True:
            sent_at = await self.wait_for_rate_limit(priority) if let_through_at is None else let_through_at
            response = await self._exchange(call, file, on_sent)
            try:
                return self._decoded(sent_at, response, decode)
            except errors.RateLimited:
                let_through_at, refusals = None, refusals + 1
                if not call.repeatable or refusals == _MAX_RATE_LIMITED:
                    raise

    async def wait_for_rate_limit(self, priority: Priority) -> float:
        """Wait until a call may leave; returns at once while no rate limit is known.

        :return: the time at which the call was let through, for `send`.
        """
        return await self._queue.wait(priority)

    async def with_retries(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        unless: type[errors.RHError] | tuple[()] = (),
        idle: Callable[[], float] = lambda: 0.0,
    ) -> T:
        """Repeat an attempt as `RetryPolicy` says; for the parameters see `RetryLoop.run`.

        :raises RHError: the last failure, with the earlier ones.
        """
        return await self._retries.run(attempt, unless=unless, idle=idle)

    def fetch(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Open a link outside the API, without the key and outside the API's rate limit.

        :raises TransportError: it could not be reached.
        """
        return self._links.fetch(url)

    # --- one exchange ------------------------------------------------------------------------------------------------

    async def _exchange(self, call: ApiCall, file: FileBody | None, on_sent: Callable[[], None]) -> ApiResponse:
        try:
            return await self._attempt(call, file, on_sent)
        except errors.ResponseLost as error:
            if not call.repeatable or not isinstance(error.__cause__, aiohttp.ServerDisconnectedError):
                raise
        # The server closed a kept-alive connection while the call went out. aiohttp repeats only idempotent methods,
        # and the polls are POSTs: with a poll interval near the keep-alive time, half of them would fail.
        return await self._attempt(call, file, on_sent)

    async def _attempt(self, call: ApiCall, file: FileBody | None, on_sent: Callable[[], None]) -> ApiResponse:
        with log_call(call.method, call.path) as entry:
            result = await self._response_or_failure(call, file, HeadersSent(on_sent))
            if isinstance(result, errors.TransportError):
                # Raised here, outside the `except` block: otherwise aiohttp's error would be chained to it, and with it
                # the API key, which is in that error's fields and in the locals of its frames.
                raise result
            entry.status = result.status
            return result

    async def _response_or_failure(
        self, call: ApiCall, file: FileBody | None, trace: HeadersSent
    ) -> ApiResponse | errors.TransportError:
        try:
            return await self._request(call, file, trace)
        except errors.RHError:
            raise
        except Exception as error:  # noqa: BLE001 - a caller's trace hook may raise anything: that fails its call
            # Only the trace proves that a paid call was not sent; no exception class does.
            return translate(error, call.route.value, None if call.repeatable else trace.sent)

    async def _request(self, call: ApiCall, file: FileBody | None, trace: HeadersSent) -> ApiResponse:
        pool = self._api if call.repeatable else self._submits
        self.first_call_at = self._queue.now() if self.first_call_at is None else self.first_call_at
        async with deadline(self._time_limit(call, file)) as limit:
            if not call.repeatable:
                # The time to connect does not shorten the time to respond: giving up early on a paid call costs money.
                trace.restart_timer = partial(limit.restart, self.timeouts.read)
            async with pool.request(
                call.method,
                self.base_url + call.path,
                data=call.body if file is None else multipart(file, stall=self.timeouts.stall),
                headers=_JSON if file is None else None,
                timeout=self._connect_timeout if file is None else self._upload_timeout(),
                allow_redirects=False,  # aiohttp would follow a 307, and send a paid body and the key once more
                trace_request_ctx=trace,
            ) as response:
                self._retries.server_responded = True
                return await read_response(response)

    def _time_limit(self, call: ApiCall, file: FileBody | None) -> float | None:
        """Choose how long a call may take: a submit until its headers have left, any other altogether."""
        if file is not None:
            return None  # a large file takes long: uploads are limited by their stall alone
        connect, read = self.timeouts.connect, self.timeouts.read
        until_contact = self._retries.time_to_first_contact(self._queue.now())
        return min(read if call.repeatable else connect + read, until_contact)

    def _upload_timeout(self) -> aiohttp.ClientTimeout:
        # `connect` covers a proxy's CONNECT too; the pools have no limit, so no call waits for a free connection.
        # Before the first contact only connecting is limited: the first thing a server gets may be a large file.
        connect = min(self.timeouts.connect, self._retries.time_to_first_contact(self._queue.now()))
        return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=self.timeouts.read)

    def _pool(
        self, headers: Mapping[str, str], *traces: TraceConfig, force_close: bool = False
    ) -> aiohttp.ClientSession:
        proxy = proxy_from_environment(self.base_url) if self.proxy is None and self.trust_env else self.proxy
        return open_pool(
            headers=headers,
            ssl=self.ssl,
            trace_configs=[*traces, *self.trace_configs],
            proxy=proxy,
            connector=self.connector,
            force_close=force_close,
        )

    # --- rate limits -------------------------------------------------------------------------------------------------

    def _decoded(self, sent_at: float, response: ApiResponse, decode: Callable[[ApiResponse], T]) -> T:
        """Decode a response, and record whether the rate limit let its call pass."""
        try:
            value = decode(response)
        except errors.RateLimited as error:
            self._pause(sent_at, error.retry_after)
            raise
        except errors.RHError:
            self._queue.limiter.record_passed(sent_at)
            raise
        self._queue.limiter.record_passed(sent_at)
        return value

    def _pause(self, sent_at: float, retry_after: float | None) -> None:
        """Hold all calls back: for as long as the server asked, or longer the more refusals follow one another.

        A random part is added: many sessions that were refused together must not come back together.
        """
        limiter = self._queue.limiter
        if retry_after is None:
            pause = self.retry.delay(limiter.cuts_in_a_row + 1, self.rng)
        else:
            pause = retry_after + self.rng.uniform(0.0, min(1.0, 0.1 + 0.5 * retry_after))
        if limiter.record_limited(sent_at, pause=pause, now=self._queue.now()):
            self.on_pause(pause)
