"""How many jobs may be in flight, as plain data that is told the time.

A job takes a place before its POST and gives it back when it settles. How many places there are is learnt: from the
account, which may say so, and from refusals for want of capacity, which cost nothing and fail no job. Capacity is not
rate.
"""

from __future__ import annotations

from math import inf
from typing import Final

from attrs import define, field

_FIRST_WAIT = 2.0  # a slot may free a little after SUCCESS (contract 9)
_LONGEST_WAIT = 30.0
_LONGEST_TEST = 60.0  # seconds between two tests whether there is more room: each costs a refused submit
_TOLD_WAIT = 120.0  # seconds until a limit that the account itself has named is tested
_FIRST_GUESS: Final = 4
_BACK_OFF: Final = 0.9
_NEVER: Final = inf
_ALWAYS: Final = -inf


@define(eq=False, repr=False)
class ConcurrencyLimiter:
    """The places of one session.

    :param most: how many jobs may ever be in flight; None where only the server knows.
    :ivar limit: how many places there seem to be.
    :ivar in_flight: how many are taken.
    """

    most: int | None
    limit: int = field(init=False)
    in_flight: int = field(default=0, init=False)
    _unanswered: int = field(default=0, init=False)  #: of those in flight, submits that nobody has answered yet
    _reach: int = field(init=False)  #: how many submits beyond the limit may be unanswered
    _test_at: float = field(default=_ALWAYS, init=False)  #: when the limit may be tested
    _test_wait: float = field(default=_FIRST_WAIT, init=False)
    _refusals: int = field(default=0, init=False)  #: since a job left or was accepted
    _bursts: int = field(default=0, init=False)  #: of refusals since a job was accepted
    _closed_until: float = field(default=_ALWAYS, init=False)

    def __attrs_post_init__(self) -> None:
        self.limit = _FIRST_GUESS if self.most is None else self.most
        self._reach = self.limit

    def told(self, limit: int, *, now: float) -> None:
        """The account names its limit: so many places there are, until a refusal, or a test, shows others."""
        self.limit, self._reach, self._test_at = max(1, limit), 1, now + _TOLD_WAIT
        if self.most is not None:
            self.limit = min(self.limit, self.most)

    def enter(self, *, now: float) -> bool:
        """Take a place, if there is one and the door is open."""
        if not self._opens_at() <= now:
            return False
        self.in_flight += 1
        self._unanswered += 1
        return True

    def adopt(self) -> None:
        """A job that an earlier session submitted is watched again: it has its place, whether there is one or not."""
        self.in_flight += 1

    def accepted(self, *, now: float) -> None:
        """The server accepted a job: it has room."""
        self._unanswered -= 1
        self._refusals = self._bursts = 0
        if self.in_flight - self._unanswered > self.limit:
            self.limit = self.in_flight - self._unanswered
            self._reach += 1
            self._test_at, self._test_wait = now, _FIRST_WAIT

    def refused(self, *, now: float) -> None:
        """The server had no room: give the place back and wait before the next try."""
        self.in_flight -= 1
        self._unanswered -= 1
        if now < self._closed_until:
            return  # one burst of refusals is one refusal
        held, self._reach = max(1, self.in_flight - self._unanswered), 1
        self._closed_until = now + min(_FIRST_WAIT * 2.0 ** min(self._refusals, 8), _LONGEST_WAIT)
        if held >= self.limit:  # it was a test
            self._test_at = now + self._test_wait
            self._test_wait = min(self._test_wait * 2.0, _LONGEST_TEST)
        else:
            # The first refusal says how many there are; another that there are fewer still.
            self.limit = held if self._bursts == 0 else max(1, int(held * _BACK_OFF))
            self._test_at, self._test_wait = self._closed_until, _FIRST_WAIT
        self._refusals += 1
        self._bursts += 1

    def leave(self) -> None:
        """A job settled: its place is free, and the server has room for one again."""
        self.in_flight -= 1
        self._refusals, self._closed_until = 0, _ALWAYS

    def withdraw(self) -> None:
        """A job was not bought after all: its place is free, and nothing was learnt of the server's room."""
        self.in_flight -= 1
        self._unanswered -= 1

    def wake_at(self, *, now: float) -> float | None:
        """When the door opens by itself; None if a job must leave, or an answer come, first."""
        at = self._opens_at()
        return None if at == _NEVER else max(now, at)

    @property
    def window(self) -> int:
        """How many jobs may be in flight soon."""
        return max(self.limit + self._reach, self.in_flight) if self.most is None else self.most

    def _opens_at(self) -> float:
        if self.most is not None and self.in_flight >= self.most:
            return _NEVER
        if self.in_flight < self.limit:
            return self._closed_until
        if self._unanswered >= self._reach:
            return _NEVER
        return max(self._closed_until, self._test_at)
