"""Whom to ask, and when: the timetable every job shares, as plain data that is told the time.

No clock, no tasks and no sockets here; whoever compares two instants does it in this room. A job is asked about when it
is likely to have ended, by what is known of its model's run times; the account's counts may advance that, and a webhook
does; neither is relied on.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from enum import Enum
from itertools import count, islice
from math import inf, sqrt
from typing import Final

from attrs import define, field

from rh_async.types import TaskId

from .candidate_search import Candidate
from .counter_evidence import CounterEvidence, best_period
from .job_kinds import usual_of
from .policy import PollingPolicy
from .run_time_estimator import Running, RunTimeEstimator
from .tracked_job import Entry, TrackedJob

_LEAST_SHARE: Final = 0.2  # of the interval: the shortest gap between two questions about one job
_SAVED_UP: Final = 1.5  # seconds
_NOTABLE: Final = 0.1  # a loss of trust
_PERIOD_HOLDS: Final = 5.0  # seconds until the best period between looks at the counts is worked out again, at most
_LONGEST_SEARCH: Final = 38.0  # questions to a find: with more, an account of hundreds would ask more than it needs to
_AHEAD: Final = 1.0  # second: the least time whose ends are reckoned with
_SHARED: Final = 4.0  # looks at the counts are as much closer, at most, where many jobs share their price
_FEW_ENDS: Final = 8  # of a model: until then each says so much that jobs are asked about anew
_REMEMBERED: Final = 2000  # ends whose lateness is remembered


class AccountPoll(Enum):
    """The one question about all jobs at once."""

    QUEUE_COUNTERS = "counts"


QUEUE_COUNTERS: Final = AccountPoll.QUEUE_COUNTERS
PollTarget = TaskId | AccountPoll


@define(eq=False, repr=False)
class PollScheduler:
    """The timetable. At most one question about a job is open, and never more than `PollingPolicy` allows.

    :ivar estimators: the run times of each model, by endpoint.
    :ivar detection_latencies: of the last settled jobs, in seconds: half of the time since the job was last
        known to run.
    """

    policy: PollingPolicy
    detector: CounterEvidence = field(factory=CounterEvidence, init=False)
    estimators: dict[str, RunTimeEstimator] = field(factory=dict, init=False)
    detection_latencies: deque[float] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _due: list[Entry] = field(factory=list, init=False)
    _watched: dict[TaskId, TrackedJob] = field(factory=dict, init=False)
    _open: set[TaskId] = field(factory=set, init=False)
    _counting: int | None = field(default=None, init=False)  #: the changes before the open question about counts
    _changes: int = field(default=0, init=False)  #: of how many jobs the counts should hold
    _submitting: int = field(default=0, init=False)
    _period: float = field(default=0.0, init=False)
    _period_holds: float = field(default=-inf, init=False)
    _alone: float = field(default=inf, init=False)  #: what a job costs without the counts, in questions
    _planned: float = field(default=0.0, init=False)  #: how far the counts were believed when the gaps were chosen
    _demand: float = field(default=0.0, init=False)  #: of questions, per second, if there were no budget
    _spent_until: float = field(default=-inf, init=False)
    _ticket: Iterator[int] = field(factory=count, init=False)

    spacing: float = field(init=False)  # read at every question, and so kept
    max_open: int = field(init=False)
    _worth: float = field(init=False)
    _least_gap: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._resized()
        self._least_gap = self.policy.interval * _LEAST_SHARE

    def __contains__(self, task: TaskId) -> bool:
        return task in self._watched

    def __len__(self) -> int:
        return len(self._watched)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def track(
        self,
        task: TaskId,
        *,
        now: float,
        accepted_at: float | None = None,
        endpoint: str = "",
        driving: float | None = None,
        at_once: bool = False,
    ) -> None:
        """Start asking about a job.

        :param accepted_at: when the server accepted it; None for one submitted elsewhere, asked about at once.
        :param endpoint: of its model.  :param driving: seconds of its driving video, where known.
        :param at_once: whether it may have ended long ago.
        """
        if task in self._watched:
            if accepted_at is not None:
                self._watched[task].accepted_at = max(self._watched[task].accepted_at, accepted_at)
            return
        self._changes += 1
        watched = self._watched[task] = TrackedJob(
            since=now,
            accepted_at=-inf if accepted_at is None else accepted_at,
            began=accepted_at,
            seen_at=now,
            endpoint=endpoint,
            driving=driving,
            expect=self.estimator(endpoint).of(driving),
        )
        self._resized()
        self._planned = max(self._planned, self._believed())
        if not watched.queued:
            self._period_holds = -inf
            self.detector.hasten(now + watched.look_within(now))
        gap = self._gap(watched, now)
        self._schedule(task, watched, now if at_once or accepted_at is None else now + gap)

    def forget(self, task: TaskId, *, now: float) -> None:
        """Stop asking about a job; harmless if it is not watched."""
        watched = self._watched.pop(task, None)
        self._open.discard(task)
        if watched is not None:
            self._demand -= watched.rate
            self._changes += 1
            self._resized()
            self.detector.cleared(task, now=now)

    def settled(self, task: TaskId, *, now: float, ran: bool = True) -> None:
        """The server told a job's end: learn from it, and stop asking.

        :param ran: whether it ended by itself, so that its run time says something of others.
        """
        watched = self._watched.get(task)
        if watched is None:
            return
        known = watched.last_known(self.detector.all_running_at, now)
        self.detection_latencies.append((now - known) / 2.0)
        if self.policy.queue_counters:
            self.detector.found(task, unheard=watched.unheard(self.detector.all_running_at, now), now=now)
        self.forget(task, now=now)
        if ran and watched.began is not None:
            self._learn_from(watched, known, now)
        self._replan(now)

    def poll_soon(self, task: TaskId, *, now: float) -> None:
        """Ask about a job as soon as may be: somebody says that it has ended."""
        watched = self._watched.get(task)
        if watched is None:
            return
        watched.told_at = now
        if watched.entry is None:
            watched.woken = True  # the open question may have been answered before
        else:
            self._schedule(task, watched, now)

    def _learn_from(self, watched: TrackedJob, seen_at: float, now: float) -> None:
        known = self.estimator(watched.endpoint)
        known.learn(
            watched.age(now),
            watched.driving,
            self._running(watched.endpoint, now),
            at_least=watched.age(seen_at),
            ran_from=watched.learnt_until,
        )
        if known.plain.ends <= _FEW_ENDS:
            for task, other in self._watched.items():
                if other.endpoint == watched.endpoint:
                    self._advance(task, other, now)

    def _running(self, endpoint: str, now: float) -> Iterator[Running]:
        for one in self._watched.values():
            if one.endpoint == endpoint and one.began is not None and not one.queued:
                age = one.age(now)
                yield min(one.learnt_until, age), age, one.driving
                one.learnt_until = age

    def learn(self, endpoint: str, run_time: float, driving: float | None = None) -> None:
        """Take a run time, in seconds."""
        self.estimator(endpoint).learn(max(run_time, 0.0), driving)

    def estimator(self, endpoint: str) -> RunTimeEstimator:
        """What is known of a model's run times."""
        if endpoint not in self.estimators:
            self.estimators[endpoint] = RunTimeEstimator(usual_of(endpoint))
        return self.estimators[endpoint]

    def eta(self, task: TaskId, *, now: float) -> float | None:
        """How long a job will probably still take, in seconds; None if nothing is known of it."""
        watched = self._watched.get(task)
        if watched is None or watched.began is None:
            return None
        return watched.expect.remaining(0.0 if watched.queued else watched.age(now))

    # --- questions ---------------------------------------------------------------------------------------------------

    def next_poll(self, *, now: float) -> PollTarget | None:
        """Take the next question; None if there is nothing to ask yet."""
        at = self.next_poll_at()
        if at is None or at > now:
            return None
        self._spent_until = max(self._spent_until, now) + self.spacing
        if (suspect := self._suspect()) is not None:
            self.detector.ask(suspect)
            return self._open_question(suspect)
        if self._counts_at() <= self._next_due():  # in turn: on a small budget, looking would else leave no question
            self._counting = self._changes
            self.detector.look()
            return QUEUE_COUNTERS
        return self._open_question(self._due[0][2])

    def still_running(self, task: TaskId, *, now: float, queued: bool = False) -> None:
        """The server answered, and the job goes on.

        :param queued: whether it has not begun to run.
        """
        if task not in self._open:
            return
        watched = self._watched[task]
        if queued:
            watched.began = now
        elif watched.queued:
            watched.began = (watched.seen_at + now) / 2.0
        watched.queued, watched.seen_at, watched.failures, watched.told_at = queued, now, 0, None
        if watched.driving:
            watched.expect = self.estimator(watched.endpoint).of(watched.driving)
        gap = self._gap(watched, now)
        self._again(task, watched, now if watched.woken else now + gap)
        watched.woken = False
        self.detector.cleared(task, now=now)

    def poll_failed(self, task: TaskId, *, now: float) -> None:
        """The question failed, not the job."""
        if task in self._open:
            watched = self._watched[task]
            watched.failures += 1
            self._again(task, watched, now + self.policy.after(watched.failures))
            self.detector.unanswered(task)

    def counters_read(self, total: int | None, *, now: float) -> None:
        """Take the account's counts.

        :param total: of its unsettled tasks; None if they cannot be had.
        """
        if total is None:
            self.counters_failed(now=now, retryable=False)
            return
        undisturbed = self._counting == self._changes and not self._submitting
        self._counting = None
        if undisturbed:
            self.detector.counted(total, lambda: self._suspects(now), now=now)
        # Unless they lost all trust, by now or while they were on their way: then they are left alone for longer.
        self.detector.next_read_at = max(self.detector.next_read_at, now + self._best_period(now))
        self._replan(now)

    def counters_failed(self, *, now: float, retryable: bool) -> None:
        """The question about counts failed.

        :param retryable: whether the next read may succeed.
        """
        self._counting = None
        if retryable:
            self.detector.unread(now=now)
        else:
            self.detector.refused(now=now)
        self._replan(now)

    def adjust_submits_in_flight(self, change: int) -> None:
        """So many more, or fewer, submits are on their way: the counts may hold what is not watched yet."""
        self._submitting += change
        self._changes += 1

    def next_poll_at(self) -> float | None:
        """When `next_poll` will next yield a question; None if an answer, or a job, must come first."""
        if len(self._open) + (self._counting is not None) >= self.max_open:
            return None
        if self._suspect() is not None:
            return self._free_at
        at = min(self._counts_at(), self._next_due())
        return None if at == inf else max(at, self._free_at)

    # --- what is to be believed --------------------------------------------------------------------------------------

    def in_not_found_grace(self, task: TaskId, *, now: float) -> bool:
        """Whether the server may not know the job yet."""
        return task in self._watched and now - self._watched[task].accepted_at < self.policy.not_found_grace

    def awaits_results(self, task: TaskId, *, now: float) -> bool:
        """Note a success without results; whether they may still come."""
        watched = self._watched.get(task)
        if watched is None:
            return False
        if watched.empty_since is None:
            watched.empty_since = now
        return now - watched.empty_since < self.policy.results_grace

    def exceeds_max_age(self, task: TaskId, *, now: float) -> bool:
        """Whether the job has been watched for longer than `PollingPolicy.max_job_age`."""
        return task in self._watched and now - self._watched[task].since >= self.policy.max_job_age

    # --- when --------------------------------------------------------------------------------------------------------

    @property
    def _free_at(self) -> float:
        """When the budget has a question left; it saves some up, for a search comes in a burst."""
        return self._spent_until - _SAVED_UP

    def _gap(self, watched: TrackedJob, at: float) -> float:
        """The wait until a job is asked about again: every one stretched alike to meet the budget."""
        longest = max(self.policy.max_interval, len(self._watched) * self.spacing)
        gap = watched.gap(at, worth=self._worth, believed=self._believed(), interval=self.policy.interval)
        wanted = min(max(gap, self._least_gap), longest)
        rate = 1.0 / wanted
        self._demand += rate - watched.rate
        watched.rate = rate
        crowded = self._demand * self.spacing
        return wanted if crowded <= 1.0 else min(wanted * crowded, longest)

    def _replan(self, now: float) -> None:
        """Gaps that were chosen in trust are shortened once it is lost."""
        believed, planned = self._believed(), self._planned
        self._planned = max(planned, believed)
        if believed > planned - _NOTABLE:
            return
        self._planned = believed
        for task, watched in self._watched.items():
            self._advance(task, watched, now)

    def _advance(self, task: TaskId, watched: TrackedJob, now: float) -> None:
        """Ask about a job sooner, if what is known by now would have had it so when it was last known to run."""
        if watched.entry is None or watched.failures:
            return
        at = max(now, watched.seen_at + self._gap(watched, watched.seen_at))
        if at < watched.entry[0]:
            self._schedule(task, watched, at)

    def _resized(self) -> None:
        """Let what depends on the number of jobs follow it."""
        jobs = self.detector.ours = len(self._watched)
        self.spacing, self.max_open = self.policy.spacing(jobs), self.policy.max_open(jobs)
        self._worth = self.policy.worth(jobs)

    def _open_question(self, task: TaskId) -> TaskId:
        self._watched[task].entry = None
        self._open.add(task)
        return task

    def _again(self, task: TaskId, watched: TrackedJob, at: float) -> None:
        self._open.discard(task)
        self._schedule(task, watched, at)

    def _schedule(self, task: TaskId, watched: TrackedJob, at: float) -> None:
        watched.entry = (at, next(self._ticket), task)
        heapq.heappush(self._due, watched.entry)

    def _next_due(self) -> float:
        while self._due and not self._stands(self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else inf

    def _stands(self, entry: Entry) -> bool:
        watched = self._watched.get(entry[2])
        return watched is not None and watched.entry is entry

    # --- the account's counts ----------------------------------------------------------------------------------------

    def _believed(self) -> float:
        return self.detector.confidence if self._pays() else 0.0

    def _pays(self) -> bool:
        """Whether a search costs less than asking by run times alone: with many in flight it does not."""
        cost = self.detector.share * len(self._watched)
        return self.policy.queue_counters and cost < min(self._alone, _LONGEST_SEARCH)

    def _counts_at(self) -> float:
        return self.detector.next_read_at if self._watched and self._counting is None and self._pays() else inf

    def _best_period(self, now: float) -> float:
        """How often to look at the counts; worked out now and then, for every job has a say in it."""
        if now >= self._period_holds:
            watched = self._watched.values()
            longest = min(2.0 * self.policy.interval, self.policy.max_interval)
            ahead = min(max(2.0 * self._period, _AHEAD), longest)  # who is quick may end before the next look
            ends = sum(one.ends_within(ahead, now, self.detector.all_running_at) for one in watched) / ahead
            self._alone = max((one.expect.cost(self._worth) for one in islice(watched, 1)), default=inf)
            shared = min(max(sqrt(len(watched)), 1.0), _SHARED)
            longest = min([longest, *(one.look_within(now) / shared for one in watched)])
            self._period = best_period(ends, self._worth, longest=longest)
            self._period_holds = now + min(2.0 * self._period, _PERIOD_HOLDS)
        return self._period

    def _suspects(self, now: float) -> Iterator[Candidate]:
        for task, one in self._watched.items():
            yield one.suspicion(self.detector.all_running_at, now), self._worth / one.rate, task

    def _suspect(self) -> TaskId | None:
        while (task := self.detector.suspect()) is not None and self._watched[task].entry is None:
            self.detector.ask(task)  # it is being asked about anyway
        return task
