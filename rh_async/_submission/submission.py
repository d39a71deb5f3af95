"""The chain upload → slot → POST → record, run by tasks the session owns; callers only wait for it.

A submit is paid and has no idempotency key. It is repeated only when it provably never arrived, or was refused in words
that say "later"; whatever else goes wrong after its headers left is a `SubmitUnknown`, told and never resent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
from attrs import define, field

from rh_async._api.endpoints import decode_submit, encode_submit, submit_unknown
from rh_async._api.wire import ApiCall, ApiResponse
from rh_async._concurrency.defects import unexpected
from rh_async._concurrency.session_tasks import DeferredCancelScope, SessionTasks
from rh_async._http.rate_limit import Priority
from rh_async._http.transport import Transport
from rh_async._job_updates import apply_snapshot, assign_task
from rh_async._journal.records import SubmitOptions
from rh_async._journal.sqlite import TaskHeld
from rh_async._polling.poller import Poller
from rh_async._printable import one_line
from rh_async._transfer.media_spool import Spool
from rh_async._transfer.uploads import Uploads
from rh_async.errors import (
    ApiError,
    AtCapacity,
    InvalidResponse,
    JobCancelled,
    NotFound,
    RequestRejected,
    ResponseLost,
    RHError,
    SessionError,
    SubmitUnknown,
    UnexpectedError,
)
from rh_async.events import Event, Flawed, Submitted, Waiting
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Snapshot, TaskId, Upload

from .concurrency import ConcurrencyLimiter
from .deduplication import SubmissionRegistry
from .job_log import log_job

log = logging.getLogger(__name__)

_AHEAD = 8
"""How many jobs may be uploaded before there is a place for them, so that a freed one is filled at once."""

_REMEMBERED = 10_000
"""How many tasks are remembered, so that none is taken for the purchase of two jobs."""

_ADOPTION_PATIENCE = 60.0  # seconds: a session that is being left waits for this too
_ADOPTION_WAITS = (0.0, 5.0, 15.0)
"""A refusal that carries a task id is asked about at 0, 5 and 20 s before it is believed (contract 12.13)."""


@define(eq=False, kw_only=True, repr=False)
class Submissions:
    """Jobs on their way to the server.

    :param tasks: where the chains run.
    :param accepted: takes a job and the answer that accepted it.
    :param ended: takes a job that will never be accepted, and why.
    :param wall: tells the time of day.
    :param leaving: whether the session is being closed in order.
    """

    transport: Transport
    uploads: Uploads
    spool: Spool
    limiter: ConcurrencyLimiter
    poller: Poller
    registry: SubmissionRegistry
    tasks: SessionTasks
    accepted: Callable[[Job, Snapshot], Awaitable[None]]
    ended: Callable[[Job, RHError], None]
    tell: Callable[[Event], None]
    wall: Callable[[], datetime]
    leaving: Callable[[], bool]
    _waiting: dict[Job, SubmitOptions] = field(factory=dict, init=False)
    _left: set[Job] = field(factory=set, init=False)  #: whose POST left, and nobody has said how it ended
    _why: RHError | None = field(default=None, init=False)
    _placed: set[Job] = field(factory=set, init=False)
    _chains: dict[Job, DeferredCancelScope] = field(factory=dict, init=False)
    posts: int = field(default=0, init=False)  #: how many left
    on_capacity: list[Callable[[], object]] = field(factory=list, init=False)  #: called when more jobs could be carried
    _abroad: set[Job] = field(factory=set, init=False)  #: whose POST left, and is not dealt with
    _broken: bool = field(default=False, init=False)
    _bought: dict[TaskId, None] = field(factory=dict, init=False)  #: the tasks of the last jobs, in order
    _limit_told: int | None = field(default=None, init=False)
    _over: anyio.Event = field(factory=anyio.Event, init=False)
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)
    _freed: anyio.Event = field(factory=anyio.Event, init=False)

    @property
    def window(self) -> int:
        """How many jobs may be under way at once, from upload to settlement."""
        return self.limiter.window + _AHEAD

    @property
    def waiting(self) -> int:
        """How many jobs the server does not have yet."""
        return len(self._waiting) + len(self._chains)

    def told_limit(self, limit: int) -> None:
        """The account names how many jobs it takes at once; told again, it counts where it has changed."""
        if limit != self._limit_told:
            self._limit_told = limit
            self.limiter.told(limit, now=anyio.current_time())
            self._freed.set()
            self._hand_out()

    def start(self, job: Job, options: SubmitOptions) -> None:
        """Take a job in; it is carried as soon as there is a ticket for it."""
        self._waiting[job] = options
        log_job("queued", job)
        self._hand_out()

    def withdraw(self, job: Job) -> bool:
        """Stop a job whose POST has not left; harmless for any other.

        :return: whether it is stopped, and nothing was sent.
        """
        if job in self._chains:
            self._chains[job].cancel()
            return job not in self._left and job.task_id is None
        if job in self._waiting:
            del self._waiting[job]
            self._withdrawn(job)
            return True
        return False

    def withdraw_all(self, why: RHError | None = None) -> None:
        """Stop every job whose POST has not left.

        :param why: what they end with; None if nothing is wrong.
        """
        self._why = why
        while self._waiting:
            self._withdrawn(self._waiting.popitem()[0])
        for scope in self._chains.values():
            scope.cancel()

    async def finished(self) -> None:
        """Wait until every POST that has left is answered and accounted for."""
        while self._chains and not self._broken:
            self._over = anyio.Event()
            await self._over.wait()

    def break_all(self, error: RHError) -> None:
        """The services crashed: end every job that was on its way, whose fate nobody can tell."""
        for job in [job for job in (*self._waiting, *self._chains) if not job.done]:
            own = error.fresh()
            own.maybe_billed = job in self._left
            self.ended(job, own)
        self._waiting.clear()
        self._broken = True
        self._over.set()

    def adopt(self, job: Job) -> None:
        """Give a job that an earlier session submitted its place."""
        self._placed.add(job)
        self.limiter.adopt()

    def leave(self, job: Job) -> None:
        """A job settled: its place and its ticket, if it had them, are free."""
        if job in self._placed:
            self._placed.remove(job)
            self.limiter.leave()
            self._freed.set()
            self._hand_out()

    def _hand_out(self) -> None:
        """Start carrying as many as have a ticket: as may be in flight, and a few ahead."""
        while self._waiting and self._tickets > 0 and not self.tasks.ending:
            job = next(iter(self._waiting))
            self._chains[job] = DeferredCancelScope()
            self.tasks.start_soon(self._carry, job, self._waiting.pop(job))
        if self._tickets > 0:
            for call in self.on_capacity:
                call()

    async def _carry(self, job: Job, options: SubmitOptions) -> None:
        assert job.request is not None  # noqa: S101 - for the type checker: only requests are carried
        try:
            with self._chains[job]:
                await self._submit(job, job.request, options)
        except RHError as error:
            if self._chains[job].cancel_called:
                log.warning("rh_async.given_up %s", error, extra={"error": error})
            self.ended(job, error)
        except asyncio.CancelledError:
            if self.leaving():  # else the services are crashing, and say so themselves
                await self._carried(job)
            raise
        except Exception as defect:  # noqa: BLE001 - the seam: a defect in one job's chain ends that job, and no other
            await self._failed(job, unexpected(defect))
        await self._carried(job)

    async def _failed(self, job: Job, error: UnexpectedError) -> None:
        """End a job that met a defect, and say whether it may have been bought."""
        error.phase = "submit"
        if job.task_id is not None:
            if job.task_id not in self.poller.jobs:  # else it goes on, and its end will be told
                error.task_id, error.maybe_billed = job.task_id, True
                self.leave(job)
                self.ended(job, error)
        elif job in self._left:
            words = f"the submit left, and its answer was not dealt with: {error.message}"
            unknown = SubmitUnknown(words, phase="submit")
            unknown.__cause__ = error.__cause__
            with anyio.CancelScope(shield=True):
                await self._remembered(job, unknown)
            self.ended(job, unknown)
        else:
            self.ended(job, error)

    async def _carried(self, job: Job) -> None:
        """The chain is over, unless it crashed; what it did not buy gives its ticket and its claim back."""
        del self._chains[job]
        self._over.set()
        self._hand_out()
        if job not in self._placed:
            follows = self.registry.follows(job)
            if job.task_id is None or job.done or follows:  # else it goes on: this session has taken it over
                with anyio.CancelScope(shield=True):
                    await self.registry.forget(job)
            if job.task_id is None:
                self._withdrawn(job)
            elif follows and not job.done:
                why = SessionError("the wait for another session's job was given up; it goes on there")
                self.ended(job, _about(job, why if self._why is None else self._why.fresh()))

    def _withdrawn(self, job: Job) -> None:
        if job.done:
            return
        if job in self._left:
            self._left.discard(job)
            self.ended(job, SubmitUnknown("the wait for the submit's answer was cut off from outside", phase="submit"))
        elif self._why is not None:
            self.ended(job, self._why.fresh())
        else:
            why = "the job was withdrawn before it was sent"
            self.ended(job, JobCancelled(why, phase="submit", maybe_billed=False))

    async def _submit(self, job: Job, request: Request, options: SubmitOptions) -> None:
        async with self.spool.files(request) as with_files:
            await self._submit_files(job, with_files, options)

    async def _submit_files(self, job: Job, request: Request, options: SubmitOptions) -> None:
        media = list(request.media())
        contents = {one.path: await self.uploads.content(one) for one in media}
        sha256s = {path: content.sha256 for path, content in contents.items()}
        job.driving = max((content.seconds for content in contents.values() if content.seconds), default=None)
        while await self.registry.claim(job, request, options, sha256s):
            uploads: dict[Path | Upload, Upload] = {upload: upload for upload in request.uploads()}
            for one in media:
                uploads[one.path] = await self.uploads.ensure_uploaded(one)
            try:
                while not await self._sent(job, request, uploads):
                    pass  # the server had no room; the next turn waits for it
            except RequestRejected:
                # Nothing was bought; an input of an earlier session that the server has forgotten goes up once more.
                if not await self.uploads.invalidate(uploads.values()):
                    raise
            else:
                return

    async def _sent(self, job: Job, request: Request, uploads: dict[Path | Upload, Upload]) -> bool:
        with ExitStack() as place:
            await self._enter()
            place.callback(self._vacate)
            try:
                await self.transport.with_retries(partial(self._post, job, request, uploads), unless=AtCapacity)
            except AtCapacity:
                place.pop_all()
                self._no_room()
                return False
            place.pop_all()  # kept until the job settles
            return True

    async def _post(self, job: Job, request: Request, uploads: dict[Path | Upload, Upload]) -> None:
        # Before anything is written down: it may take minutes.
        let_through_at = await self.transport.wait_for_rate_limit(Priority.SUBMIT)
        fresh = {source: await self.uploads.refresh_url(upload) for source, upload in uploads.items()}
        call = encode_submit(
            request.endpoint, request.to_body(fresh.__getitem__, webhook_token=self.registry.webhook_token(job))
        )
        with anyio.CancelScope() as post, ExitStack() as home:
            home.callback(self._home, job)
            try:
                snapshot = await self._asked(job, call, post, let_through_at)
            except (ApiError, SubmitUnknown) as error:
                if error.task_id is None or await self._ours(error.task_id):
                    await self._remembered(job, error)
                    raise
                snapshot = await self._adopted(job, error.task_id, error)
            await self._accept(job, request, snapshot)

    async def _asked(self, job: Job, call: ApiCall, post: anyio.CancelScope, let_through_at: float) -> Snapshot:
        """Send the POST: withdrawn before its headers leave, it never is; after, it is finished and accounted for."""
        await self.registry.submitting(job)  # cancelled here, it is taken back
        try:
            return await self.transport.send(
                call, self._decode, on_sent=partial(self._leaves, job, post), let_through_at=let_through_at
            )
        except (ResponseLost, InvalidResponse) as error:
            raise submit_unknown(error) from error
        finally:
            if not post.shield:
                post.shield = True
                await self.registry.unsent(job)

    @property
    def _tickets(self) -> int:
        return self.window - len(self._chains) - len(self._placed)

    def _leaves(self, job: Job, post: anyio.CancelScope) -> None:
        post.shield = True
        self.posts += 1
        self._left.add(job)
        if job not in self._abroad:
            self._abroad.add(job)
            self.poller.scheduler.adjust_submits_in_flight(1)

    def _home(self, job: Job) -> None:
        """The account's counts can hold no more of this job's POST than this session knows."""
        if job in self._abroad:
            self._abroad.remove(job)
            self.poller.scheduler.adjust_submits_in_flight(-1)

    async def _ours(self, task_id: TaskId) -> bool:
        """Whether another submission has bought the task, so that a refusal names it in vain."""
        return task_id in self._bought or await self.registry.holds(task_id)

    def _decode(self, answer: ApiResponse) -> Snapshot:
        return decode_submit(answer, currency=self.poller.currency)

    async def _remembered(self, job: Job, error: ApiError | SubmitUnknown) -> None:
        self._left.discard(job)
        if error.retryable:
            await self.registry.unsent(job)
        else:
            await self.registry.not_submitted(job, error)

    async def _adopted(self, job: Job, task_id: TaskId, refusal: ApiError | SubmitUnknown) -> Snapshot:
        """Ask about a refusal's task before believing the refusal."""
        why: BaseException | None = None
        with anyio.move_on_after(_ADOPTION_PATIENCE):
            try:
                return await self._found(task_id)
            except RHError as error:
                if _unknown_there(error):
                    await self._remembered(job, refusal)
                    raise refusal from None
                why = error
        unknown = submit_unknown(refusal)
        await self._remembered(job, unknown)
        raise unknown from why

    async def _found(self, task_id: TaskId) -> Snapshot:
        for wait in _ADOPTION_WAITS[:-1]:
            await anyio.sleep(wait)
            try:
                return await self.transport.with_retries(partial(self.poller.get_status, task_id))
            except NotFound as error:
                if not _unknown_there(error):
                    raise
        await anyio.sleep(_ADOPTION_WAITS[-1])
        return await self.transport.with_retries(partial(self.poller.get_status, task_id))

    async def _accept(self, job: Job, request: Request, snapshot: Snapshot) -> None:
        await self._note_purchase(job, snapshot)
        self.limiter.accepted(now=anyio.current_time())  # now: whatever fails before gives the place back
        self._freed.set()  # there may be room for more than was thought
        self._left.discard(job)
        self._placed.add(job)
        apply_snapshot(job, snapshot)
        if self._chains[job].cancel_called:
            log.warning("rh_async.given_up %s goes on", snapshot.task_id, extra={"task_ids": [snapshot.task_id]})
        log_job("accepted", job, says=snapshot.status)
        self.tell(Submitted(task_id=snapshot.task_id, endpoint=request.endpoint))
        self._tell_flaw(snapshot.task_id, snapshot.flaw)
        await self.accepted(job, snapshot)

    def _tell_flaw(self, task_id: TaskId, flaw: str) -> None:
        """Say what the server found wrong with a workflow it accepted: the task is there and paid, so it is watched."""
        if flaw:
            log.warning("rh_async.flawed %s: %s", task_id, one_line(flaw), extra={"task_ids": [task_id]})
            self.tell(Flawed(task_id=task_id, flaw=flaw))

    async def _note_purchase(self, job: Job, snapshot: Snapshot) -> None:
        """Write the task down as this job's; one task for two submits is nobody's word for a second purchase."""
        try:
            self._refuse_a_second(snapshot.task_id)
            job.submitted_utc = self.wall()
            await self.registry.submitted(job, snapshot)
        except TaskHeld as held:
            job.submitted_utc = None
            words = f"the submit was answered with task {snapshot.task_id}, which another submit has bought"
            unknown = SubmitUnknown(f"{words}: nobody knows whether this one bought a task, too", phase="submit")
            await self._remembered(job, unknown)
            raise unknown from held
        if len(self._bought) >= _REMEMBERED:
            del self._bought[next(iter(self._bought))]
        self._bought[snapshot.task_id] = None
        assign_task(job, snapshot.task_id, job.submitted_utc)

    def _refuse_a_second(self, task_id: TaskId) -> None:
        if task_id in self._bought:
            raise TaskHeld("another job of this session holds the task", task_id=task_id)

    # --- places ------------------------------------------------------------------------------------------------------

    async def _enter(self) -> None:
        async with self._turn:
            while not self.limiter.enter(now=anyio.current_time()):
                self._freed = anyio.Event()
                wake_at = self.limiter.wake_at(now=anyio.current_time())
                with anyio.move_on_after(None if wake_at is None else wake_at - anyio.current_time()):
                    await self._freed.wait()

    def _vacate(self) -> None:
        self.limiter.withdraw()
        self._freed.set()

    def _no_room(self) -> None:
        now = anyio.current_time()
        self.limiter.refused(now=now)
        self._freed.set()
        self.tell(Waiting(reason="capacity", seconds=(self.limiter.wake_at(now=now) or now) - now))


def _unknown_there(error: RHError) -> bool:
    """Whether the server itself says that it does not know a task: a 404 of some other server proves nothing."""
    return isinstance(error, NotFound) and not error.code.startswith("HTTP")


def _about(job: Job, error: RHError) -> RHError:
    error.task_id, error.key, error.maybe_billed = job.task_id, job.key, True
    return error
