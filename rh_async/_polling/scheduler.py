"""Decides which job to poll and when: the schedule that all jobs of a session share, as plain data.

A job is polled when it is likely to have ended, by what is known of its model's run times (POLLING.md 2). The
completion detector may advance that, and a webhook does; neither is relied on. There is no clock, task or socket here:
each method is given the time, so that a test can be exact about it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import inf
from typing import Final

from attrs import define, field

from rh_async.types import TaskId

from .completion_detector import CompletionDetector, NoDetector, QueueCounterDetector
from .job_kinds import run_time_prior
from .policy import PollingPolicy
from .poll_queue import QUEUE_COUNTERS, PollQueue, PollTarget
from .run_time_estimator import RunningInterval, RunTimeEstimator
from .tracked_job import TrackedJob

_MIN_INTERVAL_SHARE: Final = 0.2  # of the policy's interval: the shortest between two polls of one job
_NOTABLE_LOSS: Final = 0.1  # of confidence: from there on polls are brought forward
_FEW_SAMPLES: Final = 8  # of a model: until then each changes the estimate so much that its jobs are rescheduled
_LATENCIES_KEPT: Final = 2000


@define(eq=False, repr=False)
class PollScheduler:
    """The schedule of polls: at most one open poll per job, and never more than `PollingPolicy` allows (POLLING.md 6).

    :ivar detector: infers from the queue counters which jobs have probably settled.
    :ivar estimators: of the run times of each model, by endpoint.
    :ivar detection_latencies: of the latest settled jobs, in seconds: half of the time since each was known to run.
    :ivar queue: the due polls, and the budget that limits them.
    """

    policy: PollingPolicy
    detector: CompletionDetector = field(init=False)
    estimators: dict[str, RunTimeEstimator] = field(factory=dict, init=False)
    detection_latencies: deque[float] = field(factory=lambda: deque(maxlen=_LATENCIES_KEPT), init=False)
    queue: PollQueue = field(init=False)
    _jobs: dict[TaskId, TrackedJob] = field(factory=dict, init=False)
    _open_polls: set[TaskId] = field(factory=set, init=False)
    _planned_confidence: float = field(default=0.0, init=False)  #: in the detector, when intervals were last chosen

    def __attrs_post_init__(self) -> None:
        self.queue = PollQueue(self.policy, self._jobs)
        self.detector = QueueCounterDetector(self.policy, self._jobs) if self.policy.queue_counters else NoDetector()

    def __contains__(self, task: TaskId) -> bool:
        return task in self._jobs

    def __len__(self) -> int:
        return len(self._jobs)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def track(
        self,
        task: TaskId,
        *,
        now: float,
        accepted_at: float | None = None,
        endpoint: str = "",
        driving_seconds: float | None = None,
        at_once: bool = False,
    ) -> None:
        """Start polling a job.

        :param accepted_at: when the server accepted it; None for one submitted elsewhere, which is polled at once.
        :param endpoint: of its model.  :param driving_seconds: of its driving video, where known.
        :param at_once: whether it may have ended long ago.
        """
        if task in self._jobs:
            if accepted_at is not None:
                self._jobs[task].accepted_at = max(self._jobs[task].accepted_at, accepted_at)
            return
        job = self._jobs[task] = TrackedJob(
            tracked_since=now,
            accepted_at=-inf if accepted_at is None else accepted_at,
            started_at=accepted_at,
            last_running_at=now,
            endpoint=endpoint,
            driving_seconds=driving_seconds,
            estimate=self.estimator(endpoint).estimate(driving_seconds),
        )
        self.queue.resize()
        self.detector.job_added(job, now=now)
        self._planned_confidence = max(self._planned_confidence, self.detector.interval_confidence)
        interval = self._interval(job, now)
        self.queue.schedule(task, job, now if at_once or accepted_at is None else now + interval)

    def forget(self, task: TaskId, *, now: float) -> None:
        """Stop polling a job; harmless if it is not tracked."""
        job = self._jobs.pop(task, None)
        self._open_polls.discard(task)
        if job is not None:
            self.queue.remove(job)
            self.detector.job_removed(task, now=now)

    def settled(self, task: TaskId, *, now: float, ran: bool = True) -> None:
        """Learn from a job that the server has settled, and stop polling it.

        :param ran: whether it ended by itself: the run time of a cancelled job says nothing about its model.
        """
        job = self._jobs.get(task)
        if job is None:
            return
        running_at = job.last_known_running(self.detector.all_running_at, now)
        self.detection_latencies.append((now - running_at) / 2.0)
        self.detector.confirmed_done(task, job, now=now)
        self.forget(task, now=now)
        if ran and job.started_at is not None:
            self._learn_from(job, running_at, now)
        self._bring_forward_if_confidence_fell(now)

    def poll_soon(self, task: TaskId, *, now: float) -> None:
        """Poll a job as soon as the budget allows: a webhook says that it has ended (POLLING.md 5)."""
        job = self._jobs.get(task)
        if job is None:
            return
        job.reported_done_at = now
        if job.entry is None:
            job.poll_again = True  # the server may have answered the open poll before the job ended
        else:
            self.queue.schedule(task, job, now)

    # --- run times ---------------------------------------------------------------------------------------------------

    def learn(self, endpoint: str, run_time: float, driving_seconds: float | None = None) -> None:
        """Learn from a run time that an earlier session measured, in seconds."""
        self.estimator(endpoint).learn(max(run_time, 0.0), driving_seconds)

    def estimator(self, endpoint: str) -> RunTimeEstimator:
        """Return what is known of a model's run times."""
        if endpoint not in self.estimators:
            self.estimators[endpoint] = RunTimeEstimator(run_time_prior(endpoint))
        return self.estimators[endpoint]

    def eta(self, task: TaskId, *, now: float) -> float | None:
        """Estimate how long a job will still take, in seconds; None if nothing is known of it."""
        job = self._jobs.get(task)
        if job is None or job.started_at is None:
            return None
        return job.estimate.remaining(0.0 if job.queued else job.age(now))

    def _learn_from(self, job: TrackedJob, running_at: float, now: float) -> None:
        estimator = self.estimator(job.endpoint)
        estimator.learn(
            job.age(now),
            job.driving_seconds,
            self._running(job.endpoint, now),
            at_least=job.age(running_at),
            ran_from=job.learnt_until,
        )
        if estimator.unscaled.samples <= _FEW_SAMPLES:
            for task, other in self._jobs.items():
                if other.endpoint == job.endpoint:
                    self._bring_forward(task, other, now)

    def _running(self, endpoint: str, now: float) -> Iterator[RunningInterval]:
        for job in self._jobs.values():
            if job.endpoint == endpoint and (ran := job.take_unlearnt_run(now)) is not None:
                yield ran

    # --- polls -------------------------------------------------------------------------------------------------------

    def next_poll(self, *, now: float) -> PollTarget | None:
        """Take the next poll; None if none is due yet."""
        at = self.next_poll_at()
        if at is None or at > now:
            return None
        self.queue.spend(now)
        if (candidate := self.detector.next_candidate) is not None:
            self.detector.poll_started(candidate)
            return self._open(candidate)
        # In turn with the jobs: on a small budget, reads of the counters would else leave no poll for them.
        if self.detector.next_read_at <= self.queue.next_due():
            self.detector.read_started()
            return QUEUE_COUNTERS
        return self._open(self.queue.first())

    def next_poll_at(self) -> float | None:
        """Return when `next_poll` will next yield a poll; None if a response, or a job, must come first."""
        if len(self._open_polls) + self.detector.reading >= self.queue.max_open:
            return None
        if self.detector.next_candidate is not None:
            return self.queue.budget_free_at
        at = min(self.detector.next_read_at, self.queue.next_due())
        return None if at == inf else max(at, self.queue.budget_free_at)

    def still_running(self, task: TaskId, *, now: float, queued: bool = False) -> None:
        """Take a response that says a job has not settled.

        :param queued: whether it has not begun to run.
        """
        if task not in self._open_polls:
            return
        job = self._jobs[task]
        if queued:
            job.started_at = now
        elif job.queued:
            job.started_at = (job.last_running_at + now) / 2.0
        job.queued, job.last_running_at, job.failures, job.reported_done_at = queued, now, 0, None
        if job.driving_seconds:
            job.estimate = self.estimator(job.endpoint).estimate(job.driving_seconds)
        interval = self._interval(job, now)
        self._reschedule(task, job, now if job.poll_again else now + interval)
        job.poll_again = False
        self.detector.confirmed_running(task, now=now)

    def poll_failed(self, task: TaskId, *, now: float) -> None:
        """Back off after a poll that failed; nothing was learnt of the job."""
        if task in self._open_polls:
            job = self._jobs[task]
            job.failures += 1
            self._reschedule(task, job, now + self.policy.backoff(job.failures))
            self.detector.poll_failed(task)

    def counters_read(self, total: int | None, *, now: float) -> None:
        """Take the account's total of unsettled tasks; None if the account does not tell it."""
        if total is None:
            self.detector.read_failed(retryable=False, now=now)
        else:
            self.detector.counters_read(total, now=now)
        self._bring_forward_if_confidence_fell(now)

    def counters_failed(self, *, now: float, retryable: bool) -> None:
        """Take that the counters could not be read, and whether the next read may succeed."""
        self.detector.read_failed(retryable=retryable, now=now)
        self._bring_forward_if_confidence_fell(now)

    def adjust_submits_in_flight(self, change: int) -> None:
        """Take that so many more, or fewer, submits await their response: the counters may show untracked tasks."""
        self.detector.submits_in_flight_changed(change)

    # --- limits of patience ------------------------------------------------------------------------------------------

    def in_not_found_grace(self, task: TaskId, *, now: float) -> bool:
        """Return whether the server may not know the job yet, having just accepted it (contract 4.3)."""
        return task in self._jobs and now - self._jobs[task].accepted_at < self.policy.not_found_grace

    def awaits_results(self, task: TaskId, *, now: float) -> bool:
        """Note a success without results, and return whether they may still come."""
        job = self._jobs.get(task)
        if job is None:
            return False
        if job.no_results_since is None:
            job.no_results_since = now
        return now - job.no_results_since < self.policy.results_grace

    def exceeds_max_age(self, task: TaskId, *, now: float) -> bool:
        """Return whether the job has been tracked for longer than `PollingPolicy.max_job_age`."""
        return task in self._jobs and now - self._jobs[task].tracked_since >= self.policy.max_job_age

    # --- intervals ---------------------------------------------------------------------------------------------------

    def _interval(self, job: TrackedJob, at: float) -> float:
        """Return the wait until a job is polled again, reckoned from an instant."""
        ideal = job.ideal_interval(
            at,
            latency_cost=self.queue.latency_cost,
            confidence=self.detector.interval_confidence,
            default=self.policy.interval,
        )
        return self.queue.affordable_interval(job, ideal, shortest=self.policy.interval * _MIN_INTERVAL_SHARE)

    def _bring_forward_if_confidence_fell(self, now: float) -> None:
        """Shorten the intervals that were chosen while the counters were believed (POLLING.md 4)."""
        confidence, planned = self.detector.interval_confidence, self._planned_confidence
        self._planned_confidence = max(planned, confidence)
        if confidence > planned - _NOTABLE_LOSS:
            return
        self._planned_confidence = confidence
        for task, job in self._jobs.items():
            self._bring_forward(task, job, now)

    def _bring_forward(self, task: TaskId, job: TrackedJob, now: float) -> None:
        """Poll a job sooner, if what is known now would have had it so when it was last known to run."""
        if job.entry is None or job.failures:
            return
        at = max(now, job.last_running_at + self._interval(job, job.last_running_at))
        if at < job.entry[0]:
            self.queue.schedule(task, job, at)

    def _open(self, task: TaskId) -> TaskId:
        self._jobs[task].entry = None
        self._open_polls.add(task)
        return task

    def _reschedule(self, task: TaskId, job: TrackedJob, at: float) -> None:
        self._open_polls.discard(task)
        self.queue.schedule(task, job, at)
