"""Repeats failed calls: how long to back off, how long failures may go on, and when no server seems to be there."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from math import inf
from typing import TypeVar

import anyio
from attrs import define, field, frozen
from attrs.validators import ge, gt

from rh_async import errors
from rh_async._api.wire import Route
from rh_async._media.file_io import is_shortage

T = TypeVar("T")

_FIRST_CONTACT_LIMIT = 29.0
"""Seconds until a server that has never responded is given up: a wrong address is likelier than a network failure."""
_MIN_ATTEMPT = 0.5
"""Seconds that one attempt gets at least, and the time left below which no other attempt is begun."""
_FIRST_CONTACT_MAX_DELAY = 3.0
"""Seconds of the longest back-off before the first contact: with longer ones, few attempts would fit into the limit."""
_EARLIER_ERRORS = 8
"""How many earlier failures the raised error keeps."""
_FIRST_CONTACT_DEADLINE: ContextVar[float] = ContextVar("when to give up a server that never responded", default=inf)


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
class RetryLoop:
    """Repeats attempts by one policy, for one session.

    :param rng: spreads the delays.
    :ivar server_responded: whether any call ever got an HTTP response; until then failures are given up early.
    """

    policy: RetryPolicy
    rng: random.Random
    server_responded: bool = field(default=False, init=False)

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        unless: type[errors.RHError] | tuple[()] = (),
        idle: Callable[[], float] = lambda: 0.0,
    ) -> T:
        """Repeat an attempt until it succeeds, its error is not retryable, or failures went on for too long.

        :param unless: errors that are raised at once.
        :param idle: how many seconds the attempts have waited for a free slot so far: not counted as failing.
        :raises RHError: the last failure, with the earlier ones.
        """
        contact_by = anyio.current_time() + _FIRST_CONTACT_LIMIT
        token = _FIRST_CONTACT_DEADLINE.set(contact_by)
        try:
            return await self._repeat(attempt, unless, idle, contact_by)
        finally:
            _FIRST_CONTACT_DEADLINE.reset(token)

    async def _repeat(
        self,
        attempt: Callable[[], Awaitable[T]],
        unless: type[errors.RHError] | tuple[()],
        idle: Callable[[], float],
        contact_by: float,
    ) -> T:
        earlier: list[errors.RHError] = []
        failing_since: float | None = None
        while True:
            try:
                return await attempt()
            except errors.RHError as error:
                now, limited = anyio.current_time() - idle(), isinstance(error, errors.RateLimited)
                # A rate limit restarts the count: the server is well, and only asks for fewer calls.
                failing_since = now if failing_since is None or limited else failing_since
                final = not error.retryable or isinstance(error, unless)
                failed_too_long = now - failing_since >= self.policy.give_up_after and not limited
                no_contact = now >= contact_by - _MIN_ATTEMPT and self._never_reached_server(error)
                if final or failed_too_long or no_contact:
                    raise error.after(earlier)  # noqa: B904 - the error itself, with the earlier ones as its cause
                earlier = [*earlier[1 - _EARLIER_ERRORS :], error]
            await self._back_off(earlier, contact_by - now)

    async def _back_off(self, earlier: list[errors.RHError], until_contact: float) -> None:
        error = earlier[-1]
        # The rate limit holds calls of the API back by itself, so the shortest delay is enough here. Links have none.
        rate_limited = isinstance(error, errors.RateLimited) and error.phase != "download"
        delay = self.policy.delay(1 if rate_limited else len(earlier), self.rng)
        limit = min(_FIRST_CONTACT_MAX_DELAY, until_contact) if self._never_reached_server(error) else inf
        await anyio.sleep(min(limit, delay))

    def _never_reached_server(self, error: errors.RHError) -> bool:
        """Whether no call ever got a response, and this failure is not this machine's own."""
        if self.server_responded or not isinstance(error, errors.TransportError) or error.phase == "download":
            return False
        if error.phase == Route.UPLOAD.value and isinstance(error, errors.ResponseLost):
            return False  # a server is there: it has accepted the bytes of a file
        return error.__cause__ is None or not is_shortage(error.__cause__)

    def time_to_first_contact(self, now: float) -> float:
        """How many seconds the server has left to respond for the first time; infinity once it has responded."""
        return inf if self.server_responded else max(_MIN_ATTEMPT, _FIRST_CONTACT_DEADLINE.get() - now)
