"""Limit how many jobs are in flight, and learn the limit. Pure: the caller passes the time.

A job acquires a slot before its POST, and releases it when it settles. The limit is learnt from what the account
reports, and from refusals for want of capacity, which cost nothing and fail no job (contract 0.6). Capacity is not
rate: a rate limit never changes the number of slots.
"""

from __future__ import annotations

from math import inf
from typing import Final

from attrs import define, field

_FIRST_WAIT = 2.0  # seconds after a refusal: a slot may become free a little after SUCCESS (contract 9)
_LONGEST_WAIT = 30.0
_LONGEST_PROBE_WAIT = 60.0  # seconds between two probes for a higher limit: each probe that fails is a refused submit
_REPORTED_WAIT = 120.0  # seconds until a limit that the account itself reports is probed
_FIRST_GUESS: Final = 4
_DECREASE: Final = 0.9
_NEVER: Final = inf
_ALWAYS: Final = -inf


@define(eq=False, repr=False)
class ConcurrencyLimiter:
    """The slots of one session: additive increase by probing, multiplicative decrease after repeated refusals.

    :param most: how many jobs may ever be in flight; None where only the server knows.
    :ivar limit: how many slots there are, as far as is known.
    :ivar in_flight: how many are taken.
    """

    most: int | None
    limit: int = field(init=False)
    in_flight: int = field(default=0, init=False)
    _unanswered: int = field(default=0, init=False)  #: jobs in flight whose submit has no answer yet
    _overshoot: int = field(init=False)  #: how many submits without an answer may exceed the limit
    _probe_at: float = field(default=_ALWAYS, init=False)  #: when the limit may be exceeded, to probe it
    _probe_wait: float = field(default=_FIRST_WAIT, init=False)
    _refusals: int = field(default=0, init=False)  #: since a job settled or was accepted
    _bursts: int = field(default=0, init=False)  #: bursts of refusals since a job was accepted
    _blocked_until: float = field(default=_ALWAYS, init=False)

    def __attrs_post_init__(self) -> None:
        self.limit = _FIRST_GUESS if self.most is None else self.most
        self._overshoot = self.limit

    def set_limit(self, limit: int, *, now: float) -> None:
        """Set the limit that the account reports; later refusals, or a probe, may change it."""
        self.limit, self._overshoot, self._probe_at = max(1, limit), 1, now + _REPORTED_WAIT
        if self.most is not None:
            self.limit = min(self.limit, self.most)

    def acquire(self, *, now: float) -> bool:
        """Take a slot for a submit.

        :return: False if there is none now.
        """
        if not self._available_at() <= now:
            return False
        self.in_flight += 1
        self._unanswered += 1
        return True

    def adopt(self) -> None:
        """Take a slot for a job that an earlier session submitted: it is in flight, whether there is a slot or not."""
        self.in_flight += 1

    def accepted(self, *, now: float) -> None:
        """Learn that the server accepted a job: it has capacity."""
        self._unanswered -= 1
        self._refusals = self._bursts = 0
        if self.in_flight - self._unanswered > self.limit:
            self.limit = self.in_flight - self._unanswered
            self._overshoot += 1
            self._probe_at, self._probe_wait = now, _FIRST_WAIT

    def refused(self, *, now: float) -> None:
        """Give the slot of a refused submit back, lower the limit if need be, and block submits for a while."""
        self.in_flight -= 1
        self._unanswered -= 1
        if now < self._blocked_until:
            return  # submits that were sent together are refused together: one burst counts as one refusal
        accepted, self._overshoot = max(1, self.in_flight - self._unanswered), 1
        self._blocked_until = now + min(_FIRST_WAIT * 2.0 ** min(self._refusals, 8), _LONGEST_WAIT)
        if accepted >= self.limit:  # the refused submit was a probe: the limit is right
            self._probe_at = now + self._probe_wait
            self._probe_wait = min(self._probe_wait * 2.0, _LONGEST_PROBE_WAIT)
        else:
            # The first refusal shows the limit: as many as are accepted. A second one, with none accepted in between,
            # shows that other programs use the account, too: fewer still.
            self.limit = accepted if self._bursts == 0 else max(1, int(accepted * _DECREASE))
            self._probe_at, self._probe_wait = self._blocked_until, _FIRST_WAIT
        self._refusals += 1
        self._bursts += 1

    def release(self) -> None:
        """Release the slot of a settled job: the server has capacity for one again, so nothing blocks submits."""
        self.in_flight -= 1
        self._refusals, self._blocked_until = 0, _ALWAYS

    def cancel(self) -> None:
        """Give a slot back whose submit was neither accepted nor refused: it says nothing about the capacity."""
        self.in_flight -= 1
        self._unanswered -= 1

    def wake_at(self, *, now: float) -> float | None:
        """Return when a slot becomes available by itself; None if a job must settle, or an answer come, first."""
        at = self._available_at()
        return None if at == _NEVER else max(now, at)

    @property
    def window(self) -> int:
        """How many jobs may be in flight soon."""
        return max(self.limit + self._overshoot, self.in_flight) if self.most is None else self.most

    def _available_at(self) -> float:
        if self.most is not None and self.in_flight >= self.most:
            return _NEVER
        if self.in_flight < self.limit:
            return self._blocked_until
        if self._unanswered >= self._overshoot:
            return _NEVER
        return max(self._blocked_until, self._probe_at)
