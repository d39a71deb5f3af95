"""Limits the rate of API calls with a token bucket (contract 9); downloads do not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import Attribute, asdict, define, field, frozen
from attrs.validators import gt, in_, optional

from rh_async.emulator.state.ledger import Ledger, RateLimitedCallRecord


@frozen(kw_only=True)
class RateLimit:
    """How many calls an account may make.

    :param per_second: how many tokens the bucket gains in a second; each accepted call takes one.
    :param burst: how many tokens the bucket holds; None for the gain of one second, but at least one.
    :param response: how a call is rejected: with error code ``1003`` and HTTP 200, or with HTTP ``429``.
    :param retry_after: the header of that name; None for none.
    """

    per_second: float = field(validator=gt(0))
    burst: float | None = field(default=None, validator=optional(gt(0)))
    response: Literal["1003", "429"] = field(default="1003", validator=in_(("1003", "429")))
    retry_after: float | None = None

    @burst.validator
    def _check_burst(self, _attribute: Attribute[float | None], value: float | None) -> None:
        if value is not None and value < 1:
            msg = "burst: a bucket that holds less than one token lets nothing through"
            raise ValueError(msg)

    @property
    def bucket_size(self) -> float:
        """How many tokens the bucket holds."""
        return max(1.0, self.per_second) if self.burst is None else self.burst

    def as_json(self) -> dict[str, Any]:
        """Return the limit in the form that the admin endpoint accepts."""
        return asdict(self)


@define(eq=False)
class RateLimiter:
    """The token bucket of one emulator.

    :ivar limit: None accepts every call; a new limit starts with a full bucket.
    """

    _clock: Callable[[], float]
    _ledger: Ledger
    _limit: RateLimit | None = field(default=None, alias="limit")
    _tokens: float = field(default=0.0, init=False)
    _filled_at: float | None = field(default=None, init=False)  #: None for a bucket that no call has used

    @property
    def limit(self) -> RateLimit | None:
        """The present limit."""
        return self._limit

    @limit.setter
    def limit(self, limit: RateLimit | None) -> None:
        self._limit, self._filled_at = limit, None

    def try_acquire(self, route: str) -> bool:
        """Take a token for a call on a route; if there is none, record a rejected call and return False."""
        if self._limit is None:
            return True
        now = self._clock()
        self._fill(self._limit, now)
        if self._tokens >= 1.0 - 1e-9:  # rounding errors of the sums must not cost a token
            self._tokens -= 1.0
            return True
        self._ledger.rate_limited_calls.append(RateLimitedCallRecord(at=now, route=route))
        return False

    def _fill(self, limit: RateLimit, now: float) -> None:
        size = limit.bucket_size
        elapsed = 0.0 if self._filled_at is None else now - self._filled_at
        self._tokens = size if self._filled_at is None else min(size, self._tokens + elapsed * limit.per_second)
        self._filled_at = now


def parse_rate_limit(value: Any) -> RateLimit | None:
    """Parse the body of the admin request; null removes the limit.

    :raises TypeError: a parameter is unknown or missing.
    :raises ValueError: a value is not allowed.
    """
    return None if value is None else RateLimit(**value)
