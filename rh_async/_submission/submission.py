"""Submit jobs: claim the key, upload the media, wait for a slot, send the POST, record the answer.

A submit is paid, and there is no idempotency key: sent twice, it is billed twice (contract 3). So:

* The POST is repeated only if it provably was not sent, or the server refused it with a code that says "later". After
  any other failure once its request headers were sent, the job ends with `SubmitUnknown` and is not submitted again.
* Each step is durable in the journal before the next: *submitting* before the POST, the task id before a caller sees
  it. A process that is killed in between leaves a record that says what may have been billed.
* A job is submitted by a task of the session (`submission_queue`). Cancelled before the request headers are sent, it
  sends nothing; after that, the POST is finished and its answer recorded, whatever is cancelled.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
from attrs import define, evolve, field

from rh_async._api.standard_tasks import submit_unknown
from rh_async._api.task_family import TaskFamily
from rh_async._api.wire import ApiCall
from rh_async._http.rate_limit import Priority
from rh_async._http.transport import Transport
from rh_async._job_updates import apply_snapshot, assign_task
from rh_async._journal.records import SubmitOptions
from rh_async._journal.store import TaskConflict
from rh_async._polling.poller import Poller
from rh_async._printable import one_line
from rh_async._transfer.media_spool import Spool
from rh_async._transfer.uploads import Uploads
from rh_async.errors import (
    ApiError,
    AtCapacity,
    InvalidResponse,
    RequestRejected,
    ResponseLost,
    RHError,
    SubmitUnknown,
)
from rh_async.events import Event, Flawed, Submitted
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Snapshot, TaskId, Upload

from .deduplication import SubmissionRegistry
from .job_log import log_job
from .refused_task import LONGEST_CHECK, is_unknown_task, query_refused_task
from .slots import ConcurrencySlots

log = logging.getLogger(__name__)

_TASKS_REMEMBERED = 10_000
"""How many submitted tasks are remembered, to notice one that is named in the answers to two submits."""


@define(eq=False, kw_only=True, repr=False)
class Submitter:
    """Submits one job at a time, from its claim to its first status.

    :param on_accepted: called with a job and the answer that accepted it.
    :param utc_now: the clock for times that are stored.
    :ivar posts_awaiting_response: jobs whose POST was sent, while neither an acceptance nor an error is recorded for
        it: each may be billed.
    :ivar posts_sent: how many POSTs were sent, repeated ones included.
    """

    transport: Transport
    uploads: Uploads
    spool: Spool
    slots: ConcurrencySlots
    poller: Poller
    registry: SubmissionRegistry
    on_accepted: Callable[[Job, Snapshot], Awaitable[None]]
    emit: Callable[[Event], None]
    utc_now: Callable[[], datetime]
    posts_sent: int = field(default=0, init=False)
    posts_awaiting_response: set[Job] = field(factory=set, init=False)
    #: Jobs whose POST was sent, while the poll scheduler does not track their task yet.
    _posts_unaccounted: set[Job] = field(factory=set, init=False)
    _submitted_tasks: dict[TaskId, None] = field(factory=dict, init=False)  #: of this session, oldest first

    def may_be_billed(self, job: Job) -> bool:
        """Whether the job's POST was sent, unless it is known to be refused."""
        return job in self.posts_awaiting_response or job.task_id is not None

    async def submit(self, job: Job, options: SubmitOptions) -> None:
        """Submit one job; return when the server has accepted it, or when another job with its key has taken its place.

        :raises SubmitUnknown: the POST was sent, and whether it was accepted is unknown.
        :raises RHError: the job was not accepted.
        """
        assert job.request is not None  # noqa: S101 - for the type checker: only jobs with a request are queued
        async with self.spool.files(job.request) as with_files:
            await self._submit_files(job, _with_webhook(with_files, options.webhook_url), options)

    async def _submit_files(self, job: Job, request: Request, options: SubmitOptions) -> None:
        media = list(request.media())
        # Hashed before the claim: the derived key, and the comparison with an earlier submission, are made of hashes.
        files = {one.path: await self.uploads.read(one) for one in media}
        sha256s = {path: file.sha256 for path, file in files.items()}
        job.driving = max((file.seconds for file in files.values() if file.seconds), default=None)
        while await self.registry.claim(job, request, options, sha256s):
            uploads: dict[Path | Upload, Upload] = {upload: upload for upload in request.uploads()}
            for one in media:
                uploads[one.path] = await self.uploads.ensure_uploaded(files[one.path], one.limits)
            try:
                while not await self._send_in_slot(job, request, uploads):
                    pass  # the server had no capacity; the next acquire waits until a submit has a chance again
            except RequestRejected:
                # Nothing is billed for an invalid request. If it used uploads that an earlier session made, the server
                # may have dropped one: upload again, once. Fresh uploads were not the cause, so the error stands.
                if not await self.uploads.invalidate(uploads.values()):
                    raise
            else:
                return

    async def _send_in_slot(self, job: Job, request: Request, uploads: dict[Path | Upload, Upload]) -> bool:
        """Send the POST while holding a concurrency slot, and keep the slot if the job is accepted.

        :return: False if the server had no capacity: nothing is billed, and the same POST may be sent again.
        """
        with ExitStack() as slot:
            await self.slots.acquire()
            slot.callback(self.slots.cancel)
            try:
                # A capacity refusal is not retried in place, where it would block a slot: the limiter decides when.
                await self.transport.with_retries(partial(self._post, job, request, uploads), unless=AtCapacity)
            except AtCapacity:
                slot.pop_all()
                self.slots.refused()
                return False
            slot.pop_all()  # the job holds its slot until it settles
            return True

    async def _post(self, job: Job, request: Request, uploads: dict[Path | Upload, Upload]) -> None:
        """Send one POST, and record its answer."""
        # Before the journal says "submitting": this wait may take minutes, and a process killed during it must not
        # leave a record that says the job may be billed.
        let_through_at = await self.transport.wait_for_rate_limit(Priority.SUBMIT)
        # Just before the POST: upload links live a day (contract 0.7), and the job may have waited longer for its slot.
        fresh = {source: await self.uploads.refresh_url(upload) for source, upload in uploads.items()}
        token = self.registry.webhook_token(job)
        body = request.to_body(fresh.__getitem__, webhook_token=token)
        call = _family(job).encode_submit(self.transport.api_key, request.endpoint, body)
        # post_scope is shielded once the request headers were sent, so all that follows in it finishes, too.
        with anyio.CancelScope() as post_scope, ExitStack() as accounting:
            accounting.callback(self._mark_accounted, job)
            try:
                snapshot = await self._send(job, call, post_scope, let_through_at)
            except (ApiError, SubmitUnknown) as error:
                if error.task_id is None or await self._is_submitted_task(error.task_id):
                    await self.record_failure(job, error)
                    raise
                snapshot = await self._query_refused(job, error.task_id, error)
            await self._accept(job, request, snapshot)

    async def _send(self, job: Job, call: ApiCall, post_scope: anyio.CancelScope, let_through_at: float) -> Snapshot:
        """Send the POST and decode its answer.

        Cancelled before the request headers are sent, nothing is sent. After that, the POST is finished: its time-out
        bounds the wait, and only its answer says whether there is a task to pay for.
        """
        # Durable before the POST: after a crash, the record says that the submit may have been billed.
        await self.registry.mark_submitting(job)
        try:
            decode = partial(_family(job).decode_submit, currency=self.poller.currency)
            return await self.transport.send(
                call, decode, on_sent=partial(self._mark_sent, job, post_scope), let_through_at=let_through_at
            )
        except (ResponseLost, InvalidResponse) as error:
            raise submit_unknown(error) from error
        finally:
            # The shield is the proof: `on_sent` is called by the HTTP client as it sends the headers, and an error's
            # class cannot tell on which side of that instant it happened. Without it, nothing is billed, and the record
            # goes back to "claimed"; shielded, because a record left at "submitting" would block the key.
            if not post_scope.shield:
                post_scope.shield = True
                await self.registry.mark_unsent(job)

    def _mark_sent(self, job: Job, post_scope: anyio.CancelScope) -> None:
        """Note that the request headers of the POST were sent: from here on, the job may be billed."""
        post_scope.shield = True
        self.posts_sent += 1
        self.posts_awaiting_response.add(job)
        if job not in self._posts_unaccounted:
            # The server's task counters may now include this job, which the poll scheduler does not track yet. Told
            # so, the scheduler does not take the difference for a finished or a foreign task.
            self._posts_unaccounted.add(job)
            self.poller.scheduler.adjust_submits_in_flight(1)

    def _mark_accounted(self, job: Job) -> None:
        """Mark the POST as accounted for, so that the server's task counters can be compared with the tracked jobs."""
        if job in self._posts_unaccounted:
            self._posts_unaccounted.remove(job)
            self.poller.scheduler.adjust_submits_in_flight(-1)

    async def record_failure(self, job: Job, error: ApiError | SubmitUnknown) -> None:
        """Record that the POST was not accepted: to be repeated, refused for good, or unknown."""
        self.posts_awaiting_response.discard(job)
        if error.retryable:
            await self.registry.mark_unsent(job)
        else:
            await self.registry.mark_not_submitted(job, error)

    # --- the answer --------------------------------------------------------------------------------------------------

    async def _is_submitted_task(self, task_id: TaskId) -> bool:
        """Whether the task belongs to another submission, so that a refusal that names it is just a refusal."""
        return task_id in self._submitted_tasks or await self.registry.has_task(task_id)

    async def _query_refused(self, job: Job, task_id: TaskId, refusal: ApiError | SubmitUnknown) -> Snapshot:
        """Ask about the task that a refusal names; its status, if it exists, is the answer to the submit.

        :raises ApiError: the server does not know the task: the refusal stands.
        :raises SubmitUnknown: the queries failed, so a paid task may exist.
        """
        cause: BaseException | None = None
        with anyio.move_on_after(LONGEST_CHECK):
            try:
                return await query_refused_task(partial(self._query, _family(job)), task_id)
            except RHError as error:
                if is_unknown_task(error):
                    await self.record_failure(job, refusal)
                    raise refusal from None
                cause = error
        unknown = submit_unknown(refusal)
        await self.record_failure(job, unknown)
        raise unknown from cause

    async def _query(self, family: TaskFamily, task_id: TaskId) -> Snapshot:
        return await self.transport.with_retries(partial(self.poller.get_status, task_id, family))

    async def _accept(self, job: Job, request: Request, snapshot: Snapshot) -> None:
        """Record the task, keep the slot, and start polling; in this order, so that a failure gives the slot back."""
        await self._record_task(job, snapshot)
        self.slots.keep(job)
        self.posts_awaiting_response.discard(job)
        apply_snapshot(job, snapshot)
        log_job("accepted", job, says=snapshot.status)
        self.emit(Submitted(task_id=snapshot.task_id, endpoint=request.endpoint))
        self._report_flaw(snapshot.task_id, snapshot.flaw)
        await self.on_accepted(job, snapshot)

    def _report_flaw(self, task_id: TaskId, flaw: str) -> None:
        """Log what the server finds wrong with a workflow that it accepted: the task is paid, so it is polled."""
        if flaw:
            log.warning("rh_async.flawed %s: %s", task_id, one_line(flaw), extra={"task_ids": [task_id]})
            self.emit(Flawed(task_id=task_id, flaw=flaw))

    async def _record_task(self, job: Job, snapshot: Snapshot) -> None:
        """Make the task id durable, then show it on the job.

        :raises SubmitUnknown: another submission has this very task, so this POST may have made one that has no name.
        """
        try:
            self._refuse_known_task(snapshot.task_id)
            job.submitted_utc = self.utc_now()
            await self.registry.mark_submitted(job, snapshot)
        except TaskConflict as held:
            job.submitted_utc = None
            words = f"the submit was answered with task {snapshot.task_id}, which another submit has made"
            unknown = SubmitUnknown(f"{words}: whether this one made a task, too, is unknown", phase="submit")
            await self.record_failure(job, unknown)
            raise unknown from held
        if len(self._submitted_tasks) >= _TASKS_REMEMBERED:
            del self._submitted_tasks[next(iter(self._submitted_tasks))]
        self._submitted_tasks[snapshot.task_id] = None
        assign_task(job, snapshot.task_id, job.submitted_utc)

    def _refuse_known_task(self, task_id: TaskId) -> None:
        """Refuse a task of an earlier job of this session, which only this memory knows if there is no journal."""
        if task_id in self._submitted_tasks:
            raise TaskConflict("another job of this session holds the task", task_id=task_id)


def _family(job: Job) -> TaskFamily:
    assert job.request is not None  # noqa: S101 - for the type checker: only jobs with a request are submitted
    return job.request.task_family


def _with_webhook(request: Request, webhook_url: str | None) -> Request:
    """Add the session's webhook address to a request that names none."""
    if webhook_url is None or request.webhook_url is not None or "webhookUrl" in request.parameters():
        return request
    return evolve(request, webhook_url=webhook_url)
