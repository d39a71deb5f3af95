"""What the timetable knows of one job, and how long that job may be left alone."""

from __future__ import annotations

from math import inf, sqrt
from typing import Final

from attrs import define

from rh_async.types import TaskId

from .run_time_estimator import RunTimeEstimate

Entry = tuple[float, int, TaskId]
"""A place in the timetable: when, a ticket for ties, and who."""

_FIRST_QUESTION, _SHARE_OF_AGE = 2.5, 0.22
"""Seconds, and a share of the job's age: no question about a job of an unknown model comes later than that."""
_FIRST_LOOK, _LOOKS_SHARE, _LATER_LOOKS = 0.5, 0.5, 1.8
"""The same of looks at the account's counts, which all jobs share: from half a second to 1.8."""
_QUICK, _SELDOM = 40.0, 0.1
"""Seconds: a job that has run for so long is not a quick one, and from there on that share of its age is added."""
_AT_ONCE: Final = 0.03  # of all jobs, at least, are taken to end as soon as they are accepted: moderation does that
_SOON: Final = 1.0  # second


@define(eq=False, repr=False)
class TrackedJob:
    """What is known of one job.

    :ivar since: when it came to be watched.
    :ivar began: since when it runs, as far as known; None if nobody knows.
    :ivar seen_at: when it was last known not to have ended.
    :ivar told_at: when somebody else said that it has ended; None if nobody has since the last answer.
    """

    since: float
    accepted_at: float
    began: float | None
    seen_at: float
    endpoint: str
    driving: float | None
    expect: RunTimeEstimate
    rate: float = 0.0  #: of the questions it wants, per second
    failures: int = 0
    queued: bool = False
    empty_since: float | None = None
    woken: bool = False
    told_at: float | None = None
    learnt_until: float = 0.0  #: the age until which its model's run times know that it ran
    entry: Entry | None = None  #: its place in the heap; none while a question about it is open

    def age(self, at: float) -> float:
        """For how long it has run, as far as known."""
        return 0.0 if self.began is None or at < self.began else at - self.began

    def gap(self, at: float, *, worth: float, believed: float, interval: float) -> float:
        """The wait until the next question, reckoned from an instant.

        :param worth: how many questions a second of lateness is worth.
        :param believed: how likely the account's counts are to tell of its end first.
        :param interval: between two questions where nothing can be reckoned.
        """
        if self.began is None or self.empty_since is not None:
            return interval
        age = self.age(at)
        stretch = 1.0 / sqrt(1.0 - believed) if believed else 1.0  # what the counts will tell needs no looking for
        gap = self.expect.next_look(age, worth=worth, stretch=stretch) - age
        return min(gap, self._patience(at) * stretch * stretch)

    def look_within(self, now: float) -> float:
        """How soon the account's counts are to be looked at for its sake, as long as its model is hardly known."""
        passed = self._passed(now)
        soon = min(max(_FIRST_LOOK, _LOOKS_SHARE * passed), _LATER_LOOKS) + _SELDOM * max(passed - _QUICK, 0.0)
        return soon * (1 + self.expect.times.ends)

    def _patience(self, at: float) -> float:
        """The longest wait for the next question: it grows with the job's age, and with every end of its model."""
        return max(_FIRST_QUESTION, _SHARE_OF_AGE * self._passed(at)) * (1 + self.expect.times.ends)

    def _passed(self, at: float) -> float:
        return at - self.since if self.queued else self.age(at)

    def ended_since(self, at: float, now: float) -> float:
        """How likely it has ended since an instant at which it had not."""
        if self.queued:
            return 0.0
        before = self.expect.survival(self.age(at))
        return 1.0 - self.expect.survival(self.age(now)) / before if before > 0.0 else 1.0

    def suspicion(self, quiet_at: float, now: float) -> float:
        """How likely it has ended by now, as the account's counts told that somebody has.

        :param quiet_at: when they last told that nobody had.
        """
        if self.began is None:
            return 0.5  # as good a guess as any: it may have ended long before it came to be watched
        return max(self.ended_since(max(self.seen_at, quiet_at), now), self._failed_at_once(quiet_at))

    def ends_within(self, seconds: float, now: float, quiet_at: float) -> float:
        """How likely it ends so soon, or has ended already where nobody has ever seen it run."""
        return max(self.ended_since(now, now + seconds), self._failed_at_once(quiet_at))

    def _failed_at_once(self, quiet_at: float) -> float:
        if self.seen_at > self.since or quiet_at >= self.since:
            return 0.0
        return max(_AT_ONCE, 1.0 - self.expect.survival(_SOON))

    def unheard(self, quiet_at: float, now: float) -> float:
        """How likely, as it is known to have ended, it already had when the counts told that nobody had.

        Nothing is said against the counts where somebody else told of the end before they could.
        """
        if self.told_at is not None or quiet_at <= self.seen_at:
            return 0.0
        if (whole := self.ended_since(self.seen_at, now)) > 0.0:
            return self.ended_since(self.seen_at, quiet_at) / whole
        return (quiet_at - self.seen_at) / (now - self.seen_at)

    def last_known(self, quiet_at: float, now: float) -> float:
        """When it was last known to run, as it is known to have ended by now."""
        return max(self.seen_at, min(quiet_at, now), -inf if self.told_at is None else self.told_at)
