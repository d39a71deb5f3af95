"""Refuses calls that come too fast: a token bucket over every call of the API; files come from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from aiohttp import web
from attrs import Attribute, asdict, define, field, frozen
from attrs.validators import gt, in_, optional

from rh_async.emulator.http.payloads import Json, RequestRejected
from rh_async.emulator.state.ledger import Ledger, RateLimitedCallRecord


@frozen(kw_only=True)
class RateLimit:
    """How many calls an account may make.

    :param per_second: how many tokens the bucket gains; each call that is let through takes one.
    :param burst: how many tokens the bucket holds; None for what it gains in a second, at least one.
    :param response: how a call is refused: by code ``1003`` in an HTTP 200, or by HTTP ``429``.
    :param retry_after: the header of that name; None for none.
    """

    per_second: float = field(validator=gt(0))
    burst: float | None = field(default=None, validator=optional(gt(0)))
    response: Literal["1003", "429"] = field(default="1003", validator=in_(("1003", "429")))
    retry_after: float | None = None

    @burst.validator
    def _holds_one(self, _attribute: Attribute[float | None], value: float | None) -> None:
        if value is not None and value < 1:
            msg = "burst: a bucket that holds less than one token lets nothing through"
            raise ValueError(msg)

    @property
    def size(self) -> float:
        """How many tokens the bucket holds."""
        return max(1.0, self.per_second) if self.burst is None else self.burst

    def as_json(self) -> Json:
        """Write it as the control route takes it."""
        return asdict(self)


@define(eq=False)
class RateLimiter:
    """The bucket of one emulator.

    :ivar limit: None lets everything through; it may be set while the server runs, and then starts with a full bucket.
    """

    _clock: Callable[[], float]
    _ledger: Ledger
    _limit: RateLimit | None = field(default=None, alias="limit")
    _tokens: float = field(default=0.0, init=False)
    _filled_at: float | None = field(default=None, init=False)

    @property
    def limit(self) -> RateLimit | None:
        """What holds now."""
        return self._limit

    @limit.setter
    def limit(self, limit: RateLimit | None) -> None:
        self._limit, self._filled_at = limit, None

    def try_acquire(self, route: str) -> bool:
        """Take a token for a call on a route, if there is one; write down a call that is refused."""
        if self._limit is None:
            return True
        now, size = self._clock(), self._limit.size
        waited = 0.0 if self._filled_at is None else now - self._filled_at
        self._tokens = size if self._filled_at is None else min(size, self._tokens + waited * self._limit.per_second)
        self._filled_at = now
        if self._tokens >= 1.0 - 1e-9:  # sums of floats: a token that is there must not be missed
            self._tokens -= 1.0
            return True
        self._ledger.rate_limited_calls.append(RateLimitedCallRecord(at=now, route=route))
        return False

    def refuse(self, refusal: Callable[[RequestRejected], Json]) -> web.Response:
        """Refuse a call in its route's own shape."""
        limit = self._limit
        headers = {} if limit is None or limit.retry_after is None else {"Retry-After": f"{limit.retry_after:g}"}
        if limit is not None and limit.response == "429":
            return web.json_response({"error": "too many requests"}, status=429, headers=headers)
        return web.json_response(refusal(RequestRejected("1003")), headers=headers)


def parse_rate_limit(told: Any) -> RateLimit | None:
    """Read what the control route was sent; null takes the limit away.

    :raises TypeError: it names something that a limit has not.
    :raises ValueError: a number breaks its rule.
    """
    return None if told is None else RateLimit(**told)
