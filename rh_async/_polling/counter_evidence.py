"""Keeps what the account's queue counters show, and how far to rely on them.

While the total does not fall, no job has settled; when it falls by two, two have, and the likeliest candidates are
polled first (POLLING.md 3). That is a hint and never a proof: the counters lag, other programs share the key, the call
is refused. Counters that mislead lose confidence until they are left alone for a cool-down, and regain it slowly
(POLLING.md 4). No clock is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from attrs import define, field

from rh_async.types import TaskId

from .candidate_search import Candidate, CandidateSearch

_INITIAL_RELIABILITY, _MAX_RELIABILITY = 0.8, 0.98
_MIN_RELIABILITY, _RELIABILITY_AFTER_COOL_DOWN = 0.4, 0.5
_GAIN, _LOSS = 0.15, 0.25  # of reliability, with each confirmed end and each that misled
_FIRST_COOL_DOWN, _MAX_COOL_DOWN = 300.0, 3600.0  # seconds
_RETRY_AFTER: Final = 60.0  # seconds until counters that failed, or showed too many foreign tasks, are read again
_POLLS_AHEAD: Final = 3  # polls open beyond one per unaccounted completion: responses take a while
_INITIAL_POLLED_SHARE: Final = 0.2  # of all jobs, polled until one that has settled is found
_FORGETTING: Final = 0.01  # of the polled share, with every end that was found without a search
_ADAPTING: Final = 0.1  # of the polled share, to what the latest search took


@define(eq=False, repr=False)
class CounterEvidence:
    """What the queue counters of one account say about the jobs that this session tracks.

    :ivar job_count: how many jobs this session tracks.
    :ivar reliability: how likely an end is to show in the counters, as observed so far.
    :ivar next_read_at: when to read them again.
    :ivar paused_until: before that instant they are not read, whatever happens.
    :ivar all_running_at: when they last showed that none of the jobs had ended.
    :ivar unaccounted: how many completions they show that no poll has confirmed yet.
    :ivar polled_share: the share of all jobs that a search polls to find one that has settled.
    """

    job_count: int = field(default=0, init=False)
    reliability: float = field(default=_INITIAL_RELIABILITY, init=False)
    next_read_at: float = field(default=-inf, init=False)
    paused_until: float = field(default=-inf, init=False)
    all_running_at: float = field(default=-inf, init=False)
    unaccounted: int = field(default=0, init=False)
    polled_share: float = field(default=_INITIAL_POLLED_SHARE, init=False)
    _foreign_tasks: int | None = field(default=None, init=False)  #: of other programs; None before the first read
    _last_read_failed: bool = field(default=False, init=False)
    _cool_down: float = field(default=_FIRST_COOL_DOWN, init=False)
    _search: CandidateSearch | None = field(default=None, init=False)

    @property
    def confidence(self) -> float:
        """How likely an end is to show in the counters and to be one of our jobs; 0 while they are not believed."""
        confidence = self.reliability * self.job_count / max(self.job_count + (self._foreign_tasks or 0), 1)
        return confidence if confidence >= _MIN_RELIABILITY and not self._last_read_failed else 0.0

    # --- reading the counters ----------------------------------------------------------------------------------------

    def read_started(self) -> None:
        """Note that the counters are being read; after a cool-down they get another chance."""
        self._last_read_failed = False
        if self.reliability < _MIN_RELIABILITY:
            self.reliability, self._foreign_tasks, self.all_running_at = _RELIABILITY_AFTER_COOL_DOWN, None, -inf

    def counters_read(self, total: int, candidates: Callable[[], Iterable[Candidate]], *, now: float) -> None:
        """Compare the account's total of unsettled tasks with the jobs that are tracked.

        :param candidates: yields every job that may have ended; called only if a search starts.
        """
        if self._foreign_tasks is None or not self.confidence or total > self.job_count + self._foreign_tasks:
            # While foreign tasks crowd ours, a task that is gone may be theirs, so their number is taken anew. A total
            # below our own jobs cannot be explained by them: some of ours have ended.
            self._foreign_tasks = max(total - self.job_count, 0)
        known, self.unaccounted = self.unaccounted, self.job_count + self._foreign_tasks - total
        if not self.unaccounted and self.confidence:
            self.all_running_at = now
        if self.unaccounted > known:
            self._search = CandidateSearch.among(candidates(), probability=self.confidence)
        if self.unaccounted < known:  # the total rose by itself: a completion that it showed was none
            self._lower_reliability(now)
        self._end_search_if_over(now)
        if not self.confidence and self.reliability >= _MIN_RELIABILITY:  # too many foreign tasks, which may change
            self._pause(now + _RETRY_AFTER)

    def read_by(self, at: float) -> None:
        """Read the counters by an instant, unless they are paused."""
        self.next_read_at = max(self.paused_until, min(self.next_read_at, at))

    def read_failed(self, *, now: float) -> None:
        """Note that a read failed in a way that may pass; the counters say nothing until one succeeds."""
        self._last_read_failed = False  # so that a loss of confidence is noticed, and starts the cool-down
        self._pause(now + _RETRY_AFTER)
        self._lower_reliability(now)
        self._last_read_failed = True

    def read_refused(self, *, now: float) -> None:
        """Note that the account does not let this key read its counters."""
        self.reliability = 0.0
        self._start_cool_down(now)

    # --- the search --------------------------------------------------------------------------------------------------

    def next_candidate(self) -> TaskId | None:
        """Return the job to poll first because of the counters, if any; only a few more at a time than are needed."""
        search = self._search
        if search is None or len(search.open_polls) > self.unaccounted + _POLLS_AHEAD:
            return None
        return search.next_candidate(self.unaccounted)

    def poll_started(self, task: TaskId) -> None:
        """Note that a candidate is being polled."""
        if self._search is not None:
            self._search.poll_started(task)

    def poll_failed(self, task: TaskId) -> None:
        """Note that a poll told nothing of a job."""
        if self._search is not None:
            self._search.poll_failed(task)

    def confirmed_running(self, task: TaskId, *, now: float) -> None:
        """Note that a job runs, or is no longer tracked."""
        if self._search is not None:
            self._search.confirmed_running(task)
            self._end_search_if_over(now)

    def confirmed_done(self, task: TaskId, *, missed: float, now: float) -> None:
        """Note that a job has settled.

        :param missed: how likely, by its run time alone, it had when the counters last showed that none had; 0 where a
            webhook reported the end first.
        """
        if self._search is None:
            # A search that cost too much once is tried again after many ends without one.
            self.polled_share += _FORGETTING * (_INITIAL_POLLED_SHARE - self.polled_share)
            self._ended_unannounced(missed, now)
        elif task in self._search:
            self.polled_share += _ADAPTING * (self._search.polls / self.job_count - self.polled_share)
            self._search.confirmed_done(task)
            self.unaccounted -= 1
            self.reliability += _GAIN * (_MAX_RELIABILITY - self.reliability)
            self._cool_down = _FIRST_COOL_DOWN
            self._end_search_if_over(now)

    # --- reliability -------------------------------------------------------------------------------------------------

    def _end_search_if_over(self, now: float) -> None:
        """End a search that has found what it was for, or has polled every candidate in vain."""
        if self.unaccounted and self._search is not None and self._search.exhausted:
            # All of ours run, so the tasks that are gone were foreign.
            self._foreign_tasks = max((self._foreign_tasks or 0) - self.unaccounted, 0)
            self.unaccounted = 0
            self._lower_reliability(now)
        if not self.unaccounted:
            self._search = None

    def _ended_unannounced(self, missed: float, now: float) -> None:
        """Note an end that the counters did not show: it came after their last read, or they concealed it.

        How likely they did follows by Bayes' rule from the run times and from the reliability so far (POLLING.md 4).
        """
        if self.confidence and missed > 0.0:
            concealed = (1.0 - self.reliability) * missed
            self._lower_reliability(now, concealed / (concealed + 1.0 - missed))

    def _lower_reliability(self, now: float, share: float = 1.0) -> None:
        before, self.reliability = self.confidence, self.reliability * (1.0 - _LOSS * share)
        if before and not self.confidence:
            self._start_cool_down(now)

    def _start_cool_down(self, now: float) -> None:
        self._pause(now + self._cool_down)
        self._cool_down = min(self._cool_down * 2.0, _MAX_COOL_DOWN)

    def _pause(self, until: float) -> None:
        self.unaccounted, self._search = 0, None
        self.next_read_at = self.paused_until = until
