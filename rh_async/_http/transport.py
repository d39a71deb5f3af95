"""Carries calls out and answers back: the only room that speaks HTTP.

It owns three pools (API, submits, and in `_outside` the outside world), the queue of calls under a rate limit, and
the waits between attempts. The API key goes to the API host only.
"""

from __future__ import annotations

import random
import ssl as tls
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from functools import partial
from math import inf
from types import MappingProxyType
from typing import TypeVar

import aiohttp
import anyio
from aiohttp import TraceConfig, hdrs
from attrs import define, field, frozen
from attrs.validators import ge, gt

from rh_async import errors
from rh_async._api.wire import Answer, Call, Route
from rh_async._concurrency.deadline import deadline
from rh_async._media.file_io import is_shortage
from rh_async.types import Secret

from .call_log import logged
from .call_queue import CallQueue
from .file_body import FileBody, multipart
from .link_client import Download, LinkClient
from .network_errors import HeadersSent, failure_of, headers_sent_trace
from .proxies import proxy_from_environment
from .rate_limit import Priority

T = TypeVar("T")

__all__ = ["SSL", "Connector", "Download", "FileBody", "RetryPolicy", "Timeouts", "TraceConfig", "Transport"]

SSL = tls.SSLContext | bool | aiohttp.Fingerprint | None
Connector = aiohttp.BaseConnector

_REFUSALS = 4
"""How often one question is refused for its rate before that is told: were a limit its route's own, it never passed."""
_FIRST_PATIENCE = 29.0
"""Seconds until a server that has never answered is given up: a wrong address is likelier than trouble on the way."""
_SHORTEST_TRY, _FIRST_RESTS = 0.5, 3.0  # seconds; with longer rests, few tries would fit into that patience
_GIVE_UP_AT: ContextVar[float] = ContextVar("when an attempt is given up, if nothing was ever answered", default=inf)
_LONGEST_PAUSE = 3600.0  # seconds; whoever asks for more is asked again then
_PRIORITIES: Mapping[Route, Priority] = MappingProxyType(
    dict.fromkeys(Route, Priority.WORK) | {Route.SUBMIT: Priority.SUBMIT, Route.QUERY: Priority.POLL}
)
_JSON = {hdrs.CONTENT_TYPE: "application/json"}
_LARGEST_ANSWER = 4 * 1024 * 1024  # no documented answer comes near; the rest of a larger one is not read


@frozen(kw_only=True)
class Timeouts:
    """How long to wait for the network, in seconds.

    :param connect: until a connection stands.
    :param read: from there until the whole answer is here; of what is harmless to repeat, from the beginning.
    :param stall: without one chunk moving, while a file goes up or comes down.
    """

    connect: float = field(default=15.0, validator=gt(0))
    read: float = field(default=60.0, validator=gt(0))
    stall: float = field(default=30.0, validator=gt(0))


@frozen(kw_only=True)
class RetryPolicy:
    """How failed calls are repeated. A paid submit is repeated only if it was provably not sent, or refused for now.

    :param initial_delay: seconds of back-off after one failure; the delay doubles with each further failure.
    :param max_delay: seconds of the longest back-off.
    :param give_up_after: seconds for which failures may follow one another before the last one is raised.
    """

    initial_delay: float = field(default=0.5, validator=gt(0))
    max_delay: float = field(default=30.0, validator=gt(0))
    give_up_after: float = field(default=300.0, validator=ge(0))

    def delay(self, failures: int, rng: random.Random) -> float:
        """Choose the back-off after so many failures in a row: between half and all of its nominal length.

        The random half keeps many sessions that failed together from coming back together.
        """
        return rng.uniform(0.5, 1.0) * min(self.max_delay, self.initial_delay * 2.0 ** min(failures - 1, 32))


@define(eq=False, kw_only=True, repr=False)
class Transport:
    """One session's wires.

    :param private_links: whether links to addresses that are not public are followed.
    :param connector: the caller's own, for every call of the API; closed by the caller.
    :param rng: spreads the waits.
    :param on_pause: told how many seconds everything is held back after a rate limit.
    :ivar answered: whether any call was ever answered, with whatever.
    :ivar asked_at: when the first call began, on the loop's clock.
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
    answered: bool = field(default=False, init=False)
    asked_at: float | None = field(default=None, init=False)
    _connecting: aiohttp.ClientTimeout = field(init=False, repr=False)
    _api: aiohttp.ClientSession = field(init=False, repr=False)
    _submits: aiohttp.ClientSession = field(init=False, repr=False)
    _links: LinkClient = field(init=False, repr=False)
    _queue: CallQueue = field(init=False, repr=False)

    def open(self) -> None:
        """Open the pools; needs a running loop, touches no network."""
        self._queue = CallQueue()
        connect, read = self.timeouts.connect, self.timeouts.read
        # How long an answer may take is ours to judge: aiohttp's timers do not look whether it is here already.
        self._connecting = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        key: dict[str, str] = {hdrs.AUTHORIZATION: f"Bearer {self.api_key}"}
        self._api = self._pool(key)
        # A POST on a kept-alive connection that the server has just closed would fail after its headers left: a false
        # SubmitUnknown. A handshake per paid job is cheap.
        self._submits = self._pool(key, force_close=True, watched=True)
        self._links = LinkClient(
            api_url=self.base_url,
            connect=connect,
            answer=read,
            stall=self.timeouts.stall,
            ssl=self.ssl,
            proxy=self.proxy,
            trust_env=self.trust_env,
            trace_configs=self.trace_configs,
            private=self.private_links,
        )
        self._links.open()

    async def close(self) -> None:
        """Close the pools."""
        for pool in (self._submits, self._api, self._links):
            await pool.close()

    async def send(
        self,
        call: Call,
        decode: Callable[[Answer], T],
        *,
        file: FileBody | None = None,
        on_sent: Callable[[], None] = lambda: None,
        let_through_at: float | None = None,
        priority: Priority | None = None,
    ) -> T:
        """Send one call when it may leave, and decode its answer.

        A rate limit holds all calls back together, and what is harmless to repeat is repeated a few times. A submit is
        not: whoever sends it writes down first that it leaves.

        :param file: sent instead of the call's body, as a multipart form.
        :param on_sent: called when the headers leave: from here on the server may act.
        :param let_through_at: what `wait_for_rate_limit` returned; by default it is waited for here.
        :param urgency: how soon it is wanted, beside other calls that wait; by default as its route is.
        :raises TransportError: it never arrived, or no answer came.
        :raises RHError: whatever *decode* raises.
        """
        priority = _PRIORITIES[call.route] if priority is None else priority
        refusals = 0
        while True:
            departed = await self.wait_for_rate_limit(priority) if let_through_at is None else let_through_at
            answer = await self._exchange(call, file, on_sent)
            try:
                return self._judged(departed, answer, decode)
            except errors.RateLimited:
                let_through_at, refusals = None, refusals + 1
                if not call.repeatable or refusals == _REFUSALS:
                    raise

    async def wait_for_rate_limit(self, priority: Priority) -> float:
        """Wait until a call may leave, where the server limits how many may; costs nothing where it does not.

        :return: the instant, for `send`.
        """
        return await self._queue.turn(priority)

    async def with_retries(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        unless: type[errors.RHError] | tuple[()] = (),
        idle: Callable[[], float] = lambda: 0.0,
    ) -> T:
        """Repeat what is harmless to repeat, as `RetryPolicy` says; rate limits do not use up its patience.

        While nothing was ever answered, half a minute is all its patience, whatever an attempt is busy with.

        :param unless: raised at once.
        :param idle: how many seconds the attempts have waited for their turn so far; these use up no patience either.
        :raises RHError: the last failure, with the earlier ones, once patience ran out or a repeat is of no use.
        """
        give_up_at = anyio.current_time() + _FIRST_PATIENCE
        before = _GIVE_UP_AT.set(give_up_at)
        try:
            return await self._persisted(attempt, unless, idle, give_up_at)
        finally:
            _GIVE_UP_AT.reset(before)

    async def _persisted(
        self,
        attempt: Callable[[], Awaitable[T]],
        unless: type[errors.RHError] | tuple[()],
        idle: Callable[[], float],
        give_up_at: float,
    ) -> T:
        earlier: list[errors.RHError] = []
        failing_since: float | None = None
        while True:
            try:
                return await attempt()
            except errors.RHError as error:
                now = anyio.current_time() - idle()
                failing_since = now if failing_since is None or isinstance(error, errors.RateLimited) else failing_since
                hopeless = not error.retryable or isinstance(error, unless)
                spent = now - failing_since >= self.retry.give_up_after and not isinstance(error, errors.RateLimited)
                vain = now >= give_up_at - _SHORTEST_TRY and self._in_vain(error)
                if hopeless or spent or vain:
                    raise error.after(earlier)  # noqa: B904 - the error itself, with what came before it
                earlier = [*earlier[-7:], error]
            # Calls of the API are held back by the gate that the refusal has told; links know no gate.
            held = isinstance(earlier[-1], errors.RateLimited) and earlier[-1].phase != "download"
            at_most = min(_FIRST_RESTS, give_up_at - now) if self._in_vain(earlier[-1]) else inf
            await self.back_off(1 if held else len(earlier), at_most=at_most)

    def _in_vain(self, error: errors.RHError) -> bool:
        """Whether an attempt failed as all did, and not for want of something on this machine."""
        if self.answered or not isinstance(error, errors.TransportError) or error.phase == "download":
            return False
        if error.phase == Route.UPLOAD.value and isinstance(error, errors.ResponseLost):
            return False  # somebody is there, and has taken a file
        return error.__cause__ is None or not is_shortage(error.__cause__)

    async def back_off(self, failures: int, *, at_most: float = inf) -> None:
        """Wait as long as `RetryPolicy` says after so many failures in a row."""
        await anyio.sleep(min(at_most, self.retry.delay(failures, self.rng)))

    def fetch(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Open a link of the outside world, without the key; a rate limit of the API does not concern it.

        :raises TransportError: it could not be reached.
        """
        return self._links.fetch(url)

    # --- one exchange ------------------------------------------------------------------------------------------------

    async def _exchange(self, call: Call, file: FileBody | None, on_sent: Callable[[], None]) -> Answer:
        try:
            return await self._once(call, file, on_sent)
        except errors.ResponseLost as error:
            if not call.repeatable or not isinstance(error.__cause__, aiohttp.ServerDisconnectedError):
                raise
        # A kept-alive connection closed under our hands, and aiohttp repeats only idempotent methods.
        return await self._once(call, file, on_sent)

    async def _once(self, call: Call, file: FileBody | None, on_sent: Callable[[], None]) -> Answer:
        with logged(call.method, call.path) as made:
            ended = await self._ended(call, file, HeadersSent(on_sent))
            if isinstance(ended, errors.TransportError):
                # Raised only here, where aiohttp's error is no longer handled: it would be chained, and with it the
                # key, in its own fields and in the locals of the frames that it came through.
                raise ended
            made.status = ended.status
            return ended

    async def _ended(self, call: Call, file: FileBody | None, trace: HeadersSent) -> Answer | errors.TransportError:
        try:
            return await self._answered(call, file, trace)
        except errors.RHError:
            raise
        except Exception as error:  # noqa: BLE001 - a caller's trace hook may raise anything: that fails its call
            return failure_of(error, call.route.value, None if call.repeatable else trace.sent)

    async def _answered(self, call: Call, file: FileBody | None, trace: HeadersSent) -> Answer:
        pool = self._api if call.repeatable else self._submits
        self.asked_at = self._queue.now() if self.asked_at is None else self.asked_at
        async with deadline(self._patience(call, file)) as end:
            if not call.repeatable:
                trace.also = partial(end.restart, self.timeouts.read)  # from here on the answer is waited for
            async with pool.request(
                call.method,
                self.base_url + call.path,
                data=call.body if file is None else multipart(file, stall=self.timeouts.stall),
                headers=_JSON if file is None else None,
                timeout=self._connecting if file is None else self._uploading_timeout(),
                # aiohttp would follow a 307 and send the body and the key again.
                allow_redirects=False,
                trace_request_ctx=trace,
            ) as response:
                self.answered = True
                return await _whole(response)

    def _patience(self, call: Call, file: FileBody | None) -> float | None:
        """How long a call may take until its headers have left, or, if it is harmless to repeat, altogether."""
        if file is not None:
            return None
        connect, read = self.timeouts.connect, self.timeouts.read
        return min(read if call.repeatable else connect + read, self._left())

    def _uploading_timeout(self) -> aiohttp.ClientTimeout:
        # connect covers a proxy's CONNECT too; the pools have no limit, so there is no wait for a place in them.
        # A large file takes long, also where it is the first that the server ever hears; only the way there may not.
        connect = min(self.timeouts.connect, self._left())
        return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=self.timeouts.read)

    def _left(self) -> float:
        """How long a server has left to answer for the first time; infinity once it has."""
        return inf if self.answered else max(_SHORTEST_TRY, _GIVE_UP_AT.get() - self._queue.now())

    def _pool(
        self, headers: dict[str, str], *, force_close: bool = False, watched: bool = False
    ) -> aiohttp.ClientSession:
        ssl = True if self.ssl is None else self.ssl
        return aiohttp.ClientSession(
            connector=self.connector or aiohttp.TCPConnector(ssl=ssl, force_close=force_close, limit=0),
            connector_owner=self.connector is None,
            headers={hdrs.USER_AGENT: "rh-async", **headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self._api_proxy(),
            # Not aiohttp's trust_env: that would look passwords up in a netrc file, and send them beside the key.
            trust_env=False,
            trace_configs=[headers_sent_trace(), *self.trace_configs] if watched else list(self.trace_configs),
        )

    def _api_proxy(self) -> str | None:
        if self.proxy is not None or not self.trust_env:
            return self.proxy
        return proxy_from_environment(self.base_url)

    # --- rate limits -------------------------------------------------------------------------------------------------

    def _judged(self, departed: float, answer: Answer, decode: Callable[[Answer], T]) -> T:
        """Decode an answer, and let the gate know whether its call got through."""
        try:
            decoded = decode(answer)
        except errors.RateLimited as error:
            self._refused(departed, error.retry_after)
            raise
        except errors.RHError:
            self._queue.gate.passed(departed)
            raise
        self._queue.gate.passed(departed)
        return decoded

    def _refused(self, departed: float, asked: float | None) -> None:
        """Hold all calls back: for as long as the server asked, or longer the more refusals follow one another.

        Many sessions that were refused together must not come back together: hence a little more, by chance.
        """
        gate = self._queue.gate
        if asked is None:
            pause = self.retry.delay(gate.failures + 1, self.rng)
        else:
            pause = asked + self.rng.uniform(0.0, min(1.0, 0.1 + 0.5 * asked))
        if gate.refused(departed, pause=pause, now=self._queue.now()):
            self.on_pause(pause)


async def _whole(response: aiohttp.ClientResponse) -> Answer:
    body = await response.content.readany()
    while not response.content.at_eof() and len(body) < _LARGEST_ANSWER:
        body += await response.content.readany()
    if len(body) >= _LARGEST_ANSWER:
        response.close()
    return Answer(status=response.status, body=body, retry_after=_seconds(response.headers.get("Retry-After")))


def _seconds(header: str | None) -> float | None:
    # The date form is not read: no RunningHub answer with any form was ever captured (contract 12.14).
    if header is None or not header.isascii() or not header.isdigit():
        return None
    return min(float(header), _LONGEST_PAUSE)
