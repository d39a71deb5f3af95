"""Sends the polls that the scheduler decides on, and settles jobs with the responses.

A few poll workers and one timer serve all jobs: when a poll falls due, an idle worker is handed it. There is no task
and no timer per job or per poll; more workers are started as more polls may be open at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from math import inf

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from rh_async._api.endpoints import decode_queue_status, encode_queue_status
from rh_async._api.error_codes import is_key_rejected
from rh_async._api.task_family import STANDARD, TaskFamily, family_of
from rh_async._concurrency.defects import unexpected
from rh_async._http.rate_limit import Priority
from rh_async._http.transport import Transport
from rh_async._job_updates import apply_snapshot
from rh_async._printable import one_line
from rh_async.errors import JobLost, NotFound, RHError, SessionError
from rh_async.job import Job
from rh_async.types import IN_FLIGHT, QUEUED, Account, Snapshot, TaskId

from .poll_queue import QUEUE_COUNTERS, PollTarget
from .scheduler import PollScheduler

log = logging.getLogger(__name__)


@define(eq=False, kw_only=True, repr=False)
class Poller:
    """Polls the jobs of one session until the server has settled them.

    :param currency: of the site, for what the server says a job cost.
    :param on_settled: takes a job that the server has settled.
    :param on_lost: takes a job that the server will not settle any more, and why.
    :param on_defect: takes a job that cannot be polled any further because of a defect in this package.
    :param on_changed: takes a response that brings news of a job.
    :param on_counters: takes what the account says of itself.
    :param on_key_rejected: takes the error after which nothing is polled any more.
    :ivar requests: how many were sent, by kind.
    :ivar settling: jobs that are polled no longer, and whose callback has not returned yet.
    """

    transport: Transport
    scheduler: PollScheduler
    currency: str | None
    on_settled: Callable[[Job, Snapshot], Awaitable[None]]
    on_lost: Callable[[Job, RHError], Awaitable[None]]
    on_defect: Callable[[Job, RHError], None]
    on_changed: Callable[[Snapshot], None]
    on_counters: Callable[[Account], None]
    on_key_rejected: Callable[[RHError], None]
    requests: Counter[str] = field(factory=Counter, init=False)
    jobs: dict[TaskId, tuple[Job, ...]] = field(factory=dict, init=False)
    settling: set[Job] = field(factory=set, init=False)
    _families: dict[TaskId, TaskFamily] = field(factory=dict, init=False)  #: of tasks that are not standard ones
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _idle_workers: list[asyncio.Future[PollTarget]] = field(factory=list, init=False)
    _timer: asyncio.Handle | None = field(default=None, init=False)
    _timer_at: float = field(default=inf, init=False)  #: kept here, because a uvloop handle may not know it
    _dispatch_failed: asyncio.Future[None] = field(init=False)  #: fails with what a callback of the loop raised
    _unknown_statuses: set[str] = field(factory=set, init=False)  #: logged already
    _workers: TaskGroup | None = field(default=None, init=False)
    _worker_count: int = field(default=0, init=False)
    _starting_workers: int = field(default=0, init=False)  #: of those, the ones that have not run yet

    def track(
        self, job: Job, task_id: TaskId, *, accepted_at: float | None = None, endpoint: str = "", at_once: bool = False
    ) -> None:
        """Poll a job until it settles.

        :param accepted_at: when the server accepted it, on the loop's clock; None if that is unknown.
        :param endpoint: of its model.  :param at_once: whether it may have settled long ago.
        """
        self.jobs[task_id] = (*self.jobs.get(task_id, ()), job)
        family = family_of(endpoint) if job.request is None else job.request.task_family
        if family is not STANDARD:
            self._families[task_id] = family
        self.scheduler.track(
            task_id,
            now=self._loop.time(),
            accepted_at=accepted_at,
            endpoint=endpoint,
            driving_seconds=job.driving,
            at_once=at_once,
        )
        self._dispatch()

    def poll_soon(self, task_id: TaskId) -> None:
        """Poll a job as soon as the budget allows."""
        self.scheduler.poll_soon(task_id, now=self._loop.time())
        self._dispatch()

    def forget(self, task_id: TaskId) -> None:
        """Stop polling a job."""
        self.jobs.pop(task_id, None)
        self._families.pop(task_id, None)
        self.scheduler.forget(task_id, now=self._loop.time())

    def family(self, task_id: TaskId) -> TaskFamily:
        """Return the family of a polled task; the standard one for a task that is not polled."""
        return self._families.get(task_id, STANDARD)

    async def get_status(self, task_id: TaskId, family: TaskFamily | None = None) -> Snapshot:
        """Query one job now, outside the schedule.

        :param family: of a task that is not polled; by default the standard one.
        :raises RHError: the query failed.
        """
        self.requests["query"] += 1
        family = family or self.family(task_id)
        call = family.encode_query(self.transport.api_key, task_id)
        return await self.transport.send(
            call, lambda response: family.decode_query(response, task_id, currency=self.currency)
        )

    async def on_snapshot(self, snapshot: Snapshot) -> None:
        """Take a response to a query that was sent outside the schedule."""
        await self._handle_snapshot(snapshot.task_id, snapshot)
        self._dispatch()

    # --- workers -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll until cancelled.

        :raises SessionError: a worker was cancelled, and not the whole.
        """
        self._dispatch_failed = self._loop.create_future()
        try:
            async with anyio.create_task_group() as self._workers:
                self._workers.start_soon(self._fail_with_dispatch)
                self._start_worker_if_needed()
        finally:
            self._workers = None  # a job that is tracked from now on starts no worker in a group that has ended
        # Cancelling one worker ends the whole group without an error; jobs would then wait for ever.
        raise SessionError("a poll worker was cancelled from outside")

    async def _fail_with_dispatch(self) -> None:
        """Raise in the task group what `_dispatch` raised in a callback of the loop, which would only log it."""
        await self._dispatch_failed

    def _start_worker_if_needed(self) -> None:
        """Keep one worker idle, as long as more polls may be open: as many as are used at once, not as are allowed.

        It is called by a worker that has just got a poll, never by a callback of the loop, where no task can be
        started. A task takes four kilobytes: one for every poll that thousands of jobs may have open would be the
        largest part of what each of these jobs takes.
        """
        available = len(self._idle_workers) + self._starting_workers
        if self._workers is not None and not available and self._worker_count < self.scheduler.queue.max_open:
            self._worker_count += 1
            self._starting_workers += 1
            self._workers.start_soon(self._work)

    async def _work(self) -> None:
        self._starting_workers -= 1
        while True:
            target = await self._next_poll()
            jobs = () if target is QUEUE_COUNTERS else self.jobs.get(target, ())
            try:
                await (self._read_counters() if target is QUEUE_COUNTERS else self._poll(target))
            except Exception as defect:  # noqa: BLE001 - the seam: a defect about one task ends its jobs, and no other
                self._handle_defect(target, jobs, unexpected(defect))

    def _handle_defect(self, target: PollTarget, jobs: tuple[Job, ...], error: RHError) -> None:
        if target is QUEUE_COUNTERS:
            self.scheduler.counters_failed(now=anyio.current_time(), retryable=True)
            return
        self.forget(target)
        for job in jobs:
            self.on_defect(job, error)

    async def _next_poll(self) -> PollTarget:
        target = self.scheduler.next_poll(now=self._loop.time())
        if target is None:
            idle = self._loop.create_future()
            self._idle_workers.append(idle)
            self._dispatch()
            target = await idle
        else:
            # Further due polls wait for one spacing: a prompt response to this poll may make them needless.
            self._set_timer(self._loop.time() + self.scheduler.queue.spacing)
        self._start_worker_if_needed()
        return target

    def _dispatch(self) -> None:
        """Hand due polls to idle workers, and set the timer for the next."""
        while self._idle_workers and (target := self.scheduler.next_poll(now=self._loop.time())) is not None:
            idle = self._idle_workers.pop()
            if not idle.done():  # cancelled: the session is ending
                idle.set_result(target)
        self._set_timer()

    def _set_timer(self, earliest: float = -inf) -> None:
        due = self.scheduler.next_poll_at() if self._idle_workers else None
        at = None if due is None else max(due, earliest)
        if self._timer is not None and (at is None or self._timer.cancelled() or self._timer_at > at):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and at is not None:
            self._timer, self._timer_at = self._loop.call_at(at, self._on_timer), at

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._dispatch()
        except Exception as error:  # noqa: BLE001 - the loop would only log it, and no job would be polled any more
            if not self._dispatch_failed.done():
                self._dispatch_failed.set_exception(error)

    # --- polls and responses -----------------------------------------------------------------------------------------

    async def _read_counters(self) -> None:
        self.requests["queue_status"] += 1
        try:
            account = await self.transport.send(
                encode_queue_status(), decode_queue_status, priority=Priority.QUEUE_COUNTERS
            )
        except RHError as error:
            log.debug("rh_async.no_queue_counters %s", error)
            self.scheduler.counters_failed(now=self._loop.time(), retryable=error.retryable)
        else:
            self.on_counters(account)
            self.scheduler.counters_read(account.unsettled, now=self._loop.time())

    async def _poll(self, task_id: TaskId) -> None:
        try:
            snapshot = await self.get_status(task_id)
        except RHError as error:
            await self._handle_error(task_id, error)
        else:
            await self._handle_snapshot(task_id, snapshot)

    async def _handle_snapshot(self, task_id: TaskId, snapshot: Snapshot) -> None:
        now = self._loop.time()
        jobs = self.jobs.get(task_id, ())
        if not jobs:
            return
        if snapshot.settled and not self._results_may_come(snapshot, now):
            self.scheduler.settled(task_id, now=now, ran=not snapshot.cancelled)
            self.forget(task_id)
            # The job is polled no longer: a cancelled worker must not be the only one that knew of its paid result.
            with anyio.CancelScope(shield=True):
                self.settling.update(jobs)
                for job in jobs:
                    await self.on_settled(job, snapshot)
                    self.settling.discard(job)
        elif self.scheduler.exceeds_max_age(task_id, now=now):
            reason = f"the job was still {snapshot.status} when it was too old to be polled"
            await self._mark_lost(jobs, task_id, reason)
        else:
            self._still_running(jobs, snapshot, now)

    def _still_running(self, jobs: tuple[Job, ...], snapshot: Snapshot, now: float) -> None:
        if snapshot.status not in IN_FLIGHT and not snapshot.settled and snapshot.status not in self._unknown_statuses:
            self._unknown_statuses.add(snapshot.status)
            log.warning("rh_async.unknown_status %s: taken for still running", one_line(snapshot.status))
        # A success whose results are missing is not news yet: a caller would take the job for done.
        news = 0 if snapshot.settled else sum(apply_snapshot(job, snapshot) for job in jobs)
        if news:
            self.on_changed(snapshot)
        self.scheduler.still_running(snapshot.task_id, now=now, queued=snapshot.status in QUEUED)

    def _results_may_come(self, snapshot: Snapshot, now: float) -> bool:
        missing = snapshot.succeeded and not snapshot.outputs
        return missing and self.scheduler.awaits_results(snapshot.task_id, now=now)

    async def _handle_error(self, task_id: TaskId, error: RHError) -> None:
        now = self._loop.time()
        jobs = self.jobs.get(task_id, ())
        if not jobs:
            return
        unknown_task = isinstance(error, NotFound) and error.code == "1004"
        if is_key_rejected(error):
            self.on_key_rejected(error)
        # A server may not know a task that it has just accepted (contract 4.3): the paid job is not given up for that.
        elif unknown_task and not self.scheduler.in_not_found_grace(task_id, now=now):
            await self._mark_lost(jobs, task_id, "the server does not know the task, or no longer", code="1004")
        elif self.scheduler.exceeds_max_age(task_id, now=now):
            reason = f"nothing could be learnt until it was too old to be polled; last: {error.message}"
            await self._mark_lost(jobs, task_id, reason)
        else:
            self.scheduler.poll_failed(task_id, now=now)

    async def _mark_lost(self, jobs: tuple[Job, ...], task_id: TaskId, reason: str, *, code: str = "") -> None:
        self.forget(task_id)
        with anyio.CancelScope(shield=True):  # as for a settled job: the journal must record the loss
            self.settling.update(jobs)
            for job in jobs:
                await self.on_lost(job, JobLost(reason, task_id=task_id, snapshot=job.snapshot, code=code))
                self.settling.discard(job)
