"""Submits each key once: within this session by its key, and with a journal across all sessions that share it.

Each change is durable before what follows from it: *submitting* before the POST leaves, the task id before `submit`
returns, *settled* before any caller that waits wakes, *saved* after the files are whole.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from attrs import define, evolve, field

from rh_async._api.task_family import TaskFamily, family_of
from rh_async._job_updates import assign_task, mirror
from rh_async._journal.claims import Insert, Refuse, Reuse, Wait
from rh_async._journal.records import ACTIVE_STATES, SubmissionRecord, SubmissionState, SubmitOptions
from rh_async._journal.store import TaskConflict
from rh_async._journal.submission_journal import Claim, SubmissionJournal
from rh_async.errors import JournalError, NotFound, RHError
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.models.derived_key import derived_key
from rh_async.types import Snapshot, TaskId

from .input_comparison import check_same_inputs
from .record_mapping import (
    PriorAttempt,
    new_claim,
    parse_time,
    prior_attempt,
    run_time_of,
    settle_from_record,
    show_progress,
    stored_error,
    unconfirmed_error,
)

log = logging.getLogger(__name__)

_PAST_GRACE_PERIOD = 1e-6
"""The least age, in seconds, of an earlier session's task: it is never new, so its first poll is due at once."""
_READ_EVERY = 0.5
"""How often the record of a key that another running session has in hand is read, in seconds; no request is sent."""


@define(eq=False, kw_only=True, repr=False)
class SubmissionRegistry:
    """The submissions of one session, by key and by job.

    The first job with a key is its *primary*. A later one with the same key, a *duplicate*, mirrors the primary.

    :param journal: None: only explicit keys count, and only while their job is under way.
    :param watch: polls a task until it ends.
    :param get_status: asks the server about a task once, now.
    """

    journal: SubmissionJournal | None
    currency: str | None
    wall: Callable[[], datetime]
    watch: Callable[..., Awaitable[None]]
    get_status: Callable[[TaskId, TaskFamily], Awaitable[Snapshot]]
    _primaries: dict[str, Job] = field(factory=dict, init=False)  #: by key
    _records: dict[Job, SubmissionRecord] = field(factory=dict, init=False)  #: as they are, or are about to be, written
    _unclaimed: dict[Job, SubmissionRecord] = field(factory=dict, init=False)  #: what is to be claimed
    _waiting: set[Job] = field(factory=set, init=False)  #: for another session that has their key in hand

    # --- claiming ----------------------------------------------------------------------------------------------------

    async def claim(self, job: Job, request: Request, options: SubmitOptions, sha256s: Mapping[Path, str]) -> bool:
        """Claim a job's key.

        :param sha256s: of the request's local files.
        :return: whether the job is to be submitted; if not, it has the outcome of the key's earlier submission.
        :raises SubmitUnknown: an earlier attempt may have been bought.
        :raises KeyConflict: the key was given to a job with other inputs, or under another API key.
        :raises RHError: the journal cannot be used, or the server could not be asked about a lost attempt.
        """
        job.key = options.key or (None if self.journal is None else derived_key(request, sha256s))
        if job.key is None:
            return True
        fresh = new_claim(job.key, request, options, sha256s)
        while (primary := self._primaries.get(job.key)) is not None and primary is not job:
            # A primary without a task may still turn out not to be bought: even who pays again waits for it.
            if not options.resubmit or primary.task_id is None:
                if (known := self._records.get(primary) or self._unclaimed.get(primary)) is not None:
                    check_same_inputs(known, fresh)
                await mirror(primary, job)
                return False
            del self._primaries[job.key]
        self._primaries[job.key], self._unclaimed[job] = job, fresh
        return self.journal is None or await self._claim(self.journal, job, fresh, options)

    async def prior_attempt(self, request: Request, key: str | None, sha256s: Mapping[Path, str]) -> PriorAttempt:
        """Look a submission up in the journal, and change nothing.

        :param key: None for the derived one.
        :raises JournalError: the journal cannot be used.
        """
        name = key or derived_key(request, sha256s)
        record = None if self.journal is None else await self.journal.find(name)
        return prior_attempt(name, request, sha256s, record, self.currency)

    async def _claim(self, journal: SubmissionJournal, job: Job, fresh: SubmissionRecord, asked: SubmitOptions) -> bool:
        claim = await journal.claim(fresh, resubmit=asked.resubmit, after=asked.after)
        while not isinstance(claim.decision, Insert):
            last, gone = claim.record, None
            check_same_inputs(last, fresh)  # before its outcome is used: it would be another video
            if last.state is SubmissionState.LOST and asked.resubmit and await self._is_gone(last):
                gone = last.attempt
            elif await self._reuse(job, claim):
                return False
            elif isinstance(claim.decision, Wait):
                await self._wait_for_owner(journal, job, last)
            # The key may be another session's by now, so it is always the journal that decides anew.
            claim = await journal.claim(fresh, resubmit=asked.resubmit, after=asked.after, gone=gone)
        self._records[job] = claim.record
        del self._unclaimed[job]  # the record says what was asked for, too
        return True

    async def _reuse(self, job: Job, claim: Claim) -> bool:
        """Settle the job from the key's last attempt, or take that over; return False if neither can be done.

        :raises SubmitUnknown: the last attempt may have been bought.
        """
        if isinstance(claim.decision, Refuse):
            raise unconfirmed_error(claim.record)
        if claim.decision == Reuse():
            settle_from_record(job, claim.record, self.currency)
            return True
        if claim.decision == Reuse(take_over=True):
            # Another session may take it over first, and is waited for then. A journal that cannot be written fails
            # the next claim as well, which says so.
            with suppress(JournalError):
                await self.attach(job, claim.record)
                return True
        return False

    async def _wait_for_owner(self, journal: SubmissionJournal, job: Job, record: SubmissionRecord | None) -> None:
        """Read the journal until the session that has the key in hand has settled it, released it, or ended.

        If this wait is cancelled, the job stays in `waits_for_other_session`: it may show a task that this session
        neither submitted nor polls.
        """
        while record is not None and record.state in ACTIVE_STATES and await journal.is_alive(record.owner):
            self._waiting.add(job)
            show_progress(job, record)
            await anyio.sleep(_READ_EVERY)
            record = await journal.find(record.key)
        self._waiting.discard(job)

    def waits_for_other_session(self, job: Job) -> bool:
        """Return whether a job only shows what another running session does with its key."""
        return job in self._waiting

    async def attach(self, job: Job, record: SubmissionRecord) -> None:
        """Take a submitted or lost task over, and poll it for this job.

        :raises JournalError: another running session has it, or the journal cannot be written.
        """
        assert self.journal is not None  # noqa: S101 - for the type checker: there is a record
        assert record.task_id is not None  # noqa: S101 - a submitted record has one
        mine = await self.journal.take_over(record)
        if mine.state is SubmissionState.LOST:
            mine = await self.journal.transition(mine, SubmissionState.SUBMITTED, error=None, noticed_utc=None)
        self._records[job] = mine
        self._primaries[record.key] = job
        self._unclaimed.pop(job, None)
        job.key, job.driving = record.key, record.driving
        assign_task(job, record.task_id, parse_time(record.submitted_utc))
        age = (self.wall() - (job.submitted_utc or self.wall())).total_seconds()
        await self.watch(job, record.task_id, record.endpoint, age=max(age, _PAST_GRACE_PERIOD))

    async def _is_gone(self, record: SubmissionRecord) -> bool:
        """Ask the server, before a lost attempt is paid for again, whether it still does not know the task.

        :raises RHError: the server could not be asked.
        """
        assert record.task_id is not None  # noqa: S101 - a lost record has one
        try:
            await self.get_status(record.task_id, family_of(record.endpoint))
        except NotFound as error:
            if error.code != "1004":  # a 404 of some other server proves nothing
                raise
            return True
        return False

    async def run_times(self, endpoint: str, *, limit: int = 200) -> list[tuple[float, float | None]]:
        """Return how long the last jobs of a model took, and how long their driving videos last.

        In seconds, oldest first. Tasks that the server did not end itself are left out.
        """
        records: list[SubmissionRecord] = []
        try:
            records = [] if self.journal is None else await self.journal.last_settled(endpoint, limit=limit)
        except JournalError as error:
            log.error("rh_async.journal_failed %s", error)  # noqa: TRY400 - polling goes on without
        return [(run_time_of(record), record.driving) for record in reversed(records)]

    # --- recording ---------------------------------------------------------------------------------------------------

    async def mark_submitting(self, job: Job) -> None:
        """Record that the POST is about to leave: after a crash, the submission may have been bought.

        :raises JournalError: it could not be recorded, so the POST may not leave.
        """
        if self.journal is not None and (record := self._records.get(job)) is not None:
            self._records[job] = await self.journal.mark_submitting(record)

    async def mark_unsent(self, job: Job) -> None:
        """Record that the POST never left, or was refused for now: it may be repeated."""
        if (record := self._records.get(job)) is not None and record.state is SubmissionState.SUBMITTING:
            await self._transition(job, SubmissionState.CLAIMED)

    async def mark_submitted(self, job: Job, snapshot: Snapshot) -> None:
        """Record the task with which the server accepted the job.

        :raises TaskConflict: another submission has this very task.
        """
        accepted = (job.submitted_utc or self.wall()).isoformat()
        task = {"task_id": snapshot.task_id, "status": snapshot.status, "submitted_utc": accepted}
        await self._record(job, SubmissionState.SUBMITTED, **task, driving=job.driving)

    async def mark_not_submitted(self, job: Job, error: RHError) -> None:
        """Record that the server refused the job for good, or that it may have been bought: then as uncertain."""
        to = SubmissionState.UNCERTAIN if error.maybe_billed else SubmissionState.REFUSED
        await self._record(job, to, error=stored_error(error))

    def notice_status(self, job: Job, snapshot: Snapshot) -> bool:
        """Take note of a running job's status; return whether it is to be written with `record_status`."""
        record = self._records.get(job)
        if record is None or record.state is not SubmissionState.SUBMITTED or record.status == snapshot.status:
            return False
        self._records[job] = evolve(record, status=snapshot.status)
        return True

    async def record_status(self, job: Job) -> None:
        """Write a running job's status down, for other sessions whose jobs wait for it."""
        if self.journal is not None and (record := self._records.get(job)) is not None:
            await self.journal.record_status(record)

    async def mark_settled(self, job: Job, snapshot: Snapshot, noticed: datetime) -> None:
        """Record the end that the server reported."""
        await self._record(job, SubmissionState.SETTLED, raw=snapshot.raw, noticed_utc=noticed.isoformat())

    async def mark_lost(self, job: Job, error: RHError) -> None:
        """Record that the server does not know the task; it is asked again before the job is paid for again."""
        await self._record(job, SubmissionState.LOST, error=stored_error(error), noticed_utc=self.wall().isoformat())

    async def mark_saved(self, task_id: TaskId, paths: tuple[Path, ...]) -> None:
        """Record that a job's outputs are on disk."""
        if self.journal is not None:
            await self.journal.mark_saved(task_id, tuple(str(path.absolute()) for path in paths))

    async def release(self, job: Job) -> None:
        """Forget a job that is over for this session; a claim that was never sent is given back."""
        if job.key is not None and self._primaries.get(job.key) is job:
            del self._primaries[job.key]
        self._unclaimed.pop(job, None)
        self._waiting.discard(job)
        record = self._records.pop(job, None)
        if self.journal is not None and record is not None and record.state is SubmissionState.CLAIMED:
            with suppress(JournalError):  # an ended session's claim is free anyway
                await self.journal.release(record)

    def webhook_token(self, job: Job) -> str:
        """Return what travels in the webhook's address, so that a delivery can name the attempt."""
        record = self._records.get(job)
        return "" if record is None else record.webhook_token

    async def has_task(self, task_id: TaskId) -> bool:
        """Return whether some submission is known to have bought the task."""
        with suppress(JournalError):  # then the write that would give one task to two submissions refuses it
            return self.journal is not None and await self.journal.find_by_task(task_id) is not None
        return False

    async def _record(self, job: Job, to: SubmissionState, **changes: object) -> None:
        """Write down what has happened; the job goes on though that fails, and the next session asks the server."""
        try:
            await self._transition(job, to, **changes)
        except TaskConflict:
            raise
        except JournalError as error:
            log.error("rh_async.journal_failed %s", error)  # noqa: TRY400 - one line; the error says it all

    async def _transition(self, job: Job, to: SubmissionState, **changes: Any) -> None:
        if self.journal is not None and (record := self._records.get(job)) is not None:
            # At once, not when it is written: what follows is queued behind it, and must build on it.
            self._records[job] = evolve(record, state=to, **changes)
            try:
                await self.journal.record_transition(record, to, **changes)
            except JournalError:
                self._records[job] = record
                raise
