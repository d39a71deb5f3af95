"""Carries the agenda's questions to the server and settles jobs with the answers.

A few standing askers, and one timer for them all: when a question falls due, an idle asker is handed it. There is no
task and no timer per job, nor per question; more askers are engaged as more questions may be open at once.
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

from rh_async._api.endpoints import decode_query, decode_queue_status, encode_query, encode_queue_status
from rh_async._api.error_codes import is_key_rejected
from rh_async._concurrency.defects import unexpected
from rh_async._http.rate_limit import Priority
from rh_async._http.transport import Transport
from rh_async._job_updates import apply_snapshot
from rh_async._printable import one_line
from rh_async.errors import JobLost, NotFound, RHError, SessionError
from rh_async.job import Job
from rh_async.types import IN_FLIGHT, QUEUED, Account, Snapshot, TaskId

from .scheduler import QUEUE_COUNTERS, PollScheduler, PollTarget

log = logging.getLogger(__name__)


@define(eq=False, kw_only=True, repr=False)
class Poller:
    """The shared polling scheduler of one session.

    :param currency: of the site, for what the server says a job cost.
    :param settled: takes a job whose end the server has told.
    :param lost: takes a job that the server will not settle any more, and why.
    :param failed: takes a job that a defect keeps from being watched any further.
    :param changed: takes an answer that brings news of a job.
    :param counted: takes what the account says of itself.
    :param key_refused: takes the error after which nothing more is asked.
    :ivar requests: how many were asked, of each kind.
    """

    transport: Transport
    scheduler: PollScheduler
    currency: str | None
    settled: Callable[[Job, Snapshot], Awaitable[None]]
    lost: Callable[[Job, RHError], Awaitable[None]]
    failed: Callable[[Job, RHError], None]
    changed: Callable[[Snapshot], None]
    counted: Callable[[Account], None]
    is_key_rejected: Callable[[RHError], None]
    requests: Counter[str] = field(factory=Counter, init=False)
    jobs: dict[TaskId, tuple[Job, ...]] = field(factory=dict, init=False)
    settling: set[Job] = field(factory=set, init=False)  #: nobody asks about them any more, and they have not ended yet
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _idle: list[asyncio.Future[PollTarget]] = field(factory=list, init=False)
    _timer: asyncio.Handle | None = field(default=None, init=False)
    _timer_at: float = field(default=inf, init=False)  #: not asked of the handle: uvloop's may not know
    _broken: asyncio.Future[None] = field(init=False)  #: fails with what a callback of the loop failed with
    _strange: set[str] = field(factory=set, init=False)
    _askers: TaskGroup | None = field(default=None, init=False)
    _engaged: int = field(default=0, init=False)  #: how many askers there are
    _starting: int = field(default=0, init=False)  #: how many of them have not run yet

    def track(
        self, job: Job, task_id: TaskId, *, accepted_at: float | None = None, endpoint: str = "", at_once: bool = False
    ) -> None:
        """Ask about the job until it settles.

        :param accepted_at: when the server accepted it, on the loop's clock; None if nobody knows.
        :param endpoint: of its model.  :param at_once: whether it may have settled long ago.
        """
        self.jobs[task_id] = (*self.jobs.get(task_id, ()), job)
        self.scheduler.track(
            task_id,
            now=self._loop.time(),
            accepted_at=accepted_at,
            endpoint=endpoint,
            driving=job.driving,
            at_once=at_once,
        )
        self._hand_out()

    def poll_soon(self, task_id: TaskId) -> None:
        """Ask about a job as soon as may be."""
        self.scheduler.poll_soon(task_id, now=self._loop.time())
        self._hand_out()

    async def run(self) -> None:
        """Ask, until cancelled.

        :raises SessionError: a part of it was cancelled, and not the whole.
        """
        self._broken = self._loop.create_future()
        try:
            async with anyio.create_task_group() as self._askers:
                self._askers.start_soon(self._break)
                self._engage()
        finally:
            self._askers = None  # a job that is watched later has nobody to ask about it, and disturbs nobody
        raise SessionError("an asker was cancelled from outside")  # that ends all others, and would end them silently

    async def _break(self) -> None:
        await self._broken

    def _engage(self) -> None:
        """Have one asker at hand while more questions may be open: as many as are needed at once, not as may be.

        Called by an asker that has just got a question, never by a callback of the loop, where no task can be started.
        A task takes four kilobytes. One for every question that thousands of jobs may have open would be the largest
        part of what each of these jobs takes.
        """
        at_hand = len(self._idle) + self._starting
        if self._askers is not None and not at_hand and self._engaged < self.scheduler.max_open:
            self._engaged += 1
            self._starting += 1
            self._askers.start_soon(self._ask_on)

    async def get_status(self, task_id: TaskId) -> Snapshot:
        """Ask about one job now, outside the timetable.

        :raises RHError: the question failed.
        """
        self.requests["query"] += 1
        return await self.transport.send(
            encode_query(task_id), lambda answer: decode_query(answer, task_id, currency=self.currency)
        )

    async def on_snapshot(self, snapshot: Snapshot) -> None:
        """Take an answer that somebody else got."""
        await self._answered(snapshot.task_id, snapshot)
        self._hand_out()

    async def _ask_on(self) -> None:
        self._starting -= 1
        while True:
            question = await self._next_poll()
            jobs = () if question is QUEUE_COUNTERS else self.jobs.get(question, ())
            try:
                await (self._count() if question is QUEUE_COUNTERS else self._ask(question))
            except Exception as defect:  # noqa: BLE001 - the seam: a defect about one task ends its jobs, and no other
                self._failed(question, jobs, unexpected(defect))

    def _failed(self, question: PollTarget, jobs: tuple[Job, ...], error: RHError) -> None:
        if question is QUEUE_COUNTERS:
            self.scheduler.counters_failed(now=anyio.current_time(), retryable=True)
            return
        self.forget(question)
        for job in jobs:
            self.failed(job, error)

    async def _next_poll(self) -> PollTarget:
        question = self.scheduler.next_poll(now=self._loop.time())
        if question is None:
            idle = self._loop.create_future()
            self._idle.append(idle)
            self._hand_out()
            question = await idle
        else:
            # What else is due, or will be, waits for a prompt answer, which may make it needless, but for no other.
            self._set_timer(self._loop.time() + self.scheduler.spacing)
        self._engage()
        return question

    def _hand_out(self) -> None:
        """Give what is due to whoever is idle, and be called again when the next is."""
        while self._idle and (question := self.scheduler.next_poll(now=self._loop.time())) is not None:
            idle = self._idle.pop()
            if not idle.done():  # cancelled: the session is ending
                idle.set_result(question)
        self._set_timer()

    def _set_timer(self, earliest: float = -inf) -> None:
        wake_at = self.scheduler.next_poll_at() if self._idle else None
        at = None if wake_at is None else max(wake_at, earliest)
        if self._timer is not None and (at is None or self._timer.cancelled() or self._timer_at > at):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and at is not None:
            self._timer, self._timer_at = self._loop.call_at(at, self._due), at

    def _due(self) -> None:
        self._timer = None
        try:
            self._hand_out()
        except Exception as error:  # noqa: BLE001 - the loop would only log it, and nobody would be asked any more
            if not self._broken.done():
                self._broken.set_exception(error)

    async def _count(self) -> None:
        self.requests["queue_status"] += 1
        try:
            account = await self.transport.send(
                encode_queue_status(), decode_queue_status, priority=Priority.QUEUE_COUNTERS
            )
        except RHError as error:
            log.debug("rh_async.no_counts %s", error)
            self.scheduler.counters_failed(now=self._loop.time(), retryable=error.retryable)
        else:
            self.counted(account)
            self.scheduler.counters_read(account.unsettled, now=self._loop.time())

    async def _ask(self, task_id: TaskId) -> None:
        try:
            snapshot = await self.get_status(task_id)
        except RHError as error:
            await self._unanswered(task_id, error)
        else:
            await self._answered(task_id, snapshot)

    async def _answered(self, task_id: TaskId, snapshot: Snapshot) -> None:
        now = self._loop.time()
        jobs = self.jobs.get(task_id, ())
        if not jobs:
            return
        if snapshot.settled and not self._results_may_come(snapshot, now):
            self.scheduler.settled(task_id, now=now, ran=not snapshot.cancelled)
            self.forget(task_id)
            with anyio.CancelScope(shield=True):  # nobody else knows of it any more
                self.settling.update(jobs)
                for job in jobs:
                    await self.settled(job, snapshot)
                    self.settling.discard(job)
        elif self.scheduler.exceeds_max_age(task_id, now=now):
            await self._lose(jobs, task_id, f"the job was still {snapshot.status} when it was too old to be polled")
        else:
            self._goes_on(jobs, snapshot, now)

    def _goes_on(self, jobs: tuple[Job, ...], snapshot: Snapshot, now: float) -> None:
        if snapshot.status not in IN_FLIGHT and not snapshot.settled and snapshot.status not in self._strange:
            self._strange.add(snapshot.status)
            log.warning("rh_async.unknown_status %s: taken for still running", one_line(snapshot.status))
        news = 0 if snapshot.settled else sum(apply_snapshot(job, snapshot) for job in jobs)
        if news:
            self.changed(snapshot)
        self.scheduler.still_running(snapshot.task_id, now=now, queued=snapshot.status in QUEUED)

    def _results_may_come(self, snapshot: Snapshot, now: float) -> bool:
        missing = snapshot.succeeded and not snapshot.outputs
        return missing and self.scheduler.awaits_results(snapshot.task_id, now=now)

    async def _unanswered(self, task_id: TaskId, error: RHError) -> None:
        now = self._loop.time()
        jobs = self.jobs.get(task_id, ())
        if not jobs:
            return
        if is_key_rejected(error):
            self.is_key_rejected(error)
        elif (
            isinstance(error, NotFound)
            and error.code == "1004"
            and not self.scheduler.in_not_found_grace(task_id, now=now)
        ):
            await self._lose(jobs, task_id, "the server does not know the task, or no longer", code="1004")
        elif self.scheduler.exceeds_max_age(task_id, now=now):
            await self._lose(
                jobs, task_id, f"nothing could be learnt until it was too old to be polled; last: {error.message}"
            )
        else:
            self.scheduler.poll_failed(task_id, now=now)

    async def _lose(self, jobs: tuple[Job, ...], task_id: TaskId, why: str, *, code: str = "") -> None:
        self.forget(task_id)
        with anyio.CancelScope(shield=True):
            self.settling.update(jobs)
            for job in jobs:
                await self.lost(job, JobLost(why, task_id=task_id, snapshot=job.snapshot, code=code))
                self.settling.discard(job)

    def forget(self, task_id: TaskId) -> None:
        """Ask no more about a job."""
        self.jobs.pop(task_id, None)
        self.scheduler.forget(task_id, now=self._loop.time())
