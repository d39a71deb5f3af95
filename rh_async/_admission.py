"""How many jobs may be in flight, as plain data that is told the time.

A job takes a place before its POST and gives it back when it settles. A refusal for want of capacity closes the door
for a while, or until a place is given back: capacity is not rate, and a refusal never fails a job.
"""

from __future__ import annotations

from attrs import define, field

_FIRST_WAIT = 2.0  # a slot may free a little after SUCCESS (contract 9)
_LONGEST_WAIT = 30.0
_ALWAYS = float("-inf")


@define(eq=False)
class Admission:
    """The places of one session.

    :param limit: how many jobs may be in flight.
    """

    limit: int
    in_flight: int = field(default=0, init=False)
    _refusals: int = field(default=0, init=False)
    _closed_until: float = field(default=_ALWAYS, init=False)

    def enter(self, *, now: float) -> bool:
        """Take a place, if there is one and the door is open."""
        if self.in_flight >= self.limit or now < self._closed_until:
            return False
        self.in_flight += 1
        return True

    def accepted(self) -> None:
        """The server accepted a job: it has room."""
        self._refusals = 0

    def refused(self, *, now: float) -> None:
        """The server had no room: give the place back and wait before the next try."""
        self.in_flight -= 1
        if now >= self._closed_until:  # one burst of refusals is one refusal
            self._closed_until = now + min(_FIRST_WAIT * 2.0 ** min(self._refusals, 8), _LONGEST_WAIT)
            self._refusals += 1

    def leave(self) -> None:
        """A job settled: its place is free, and the server has room for one again."""
        self.in_flight -= 1
        self._closed_until = _ALWAYS

    def withdraw(self) -> None:
        """A job was not bought after all: its place is free, and nothing was learnt of the server's room."""
        self.in_flight -= 1

    def wake_at(self, *, now: float) -> float | None:
        """When the door opens by itself; None if a job must leave first."""
        if self.in_flight >= self.limit:
            return None
        return max(now, self._closed_until)
