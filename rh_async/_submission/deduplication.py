"""Sees to it that one submission is bought once: in this session by its key, and with a journal in every other one too.

Each move is durable before its consequence: *submitting* before the POST leaves, the task id before `submit` returns,
*settled* before anybody who waits wakes, *saved* after the files are whole.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
from attrs import define, evolve, field, frozen

from rh_async import errors
from rh_async._api.task_family import TaskFamily, family_of
from rh_async._api.wire import ApiResponse
from rh_async._job_updates import apply_snapshot, assign_task, mirror, outcome_of, set_outcome
from rh_async._journal.claims import Insert, Refuse, Reuse
from rh_async._journal.records import ACTIVE_STATES, REUSABLE_STATES, SubmissionRecord, SubmissionState, SubmitOptions
from rh_async._journal.store import TaskConflict
from rh_async._journal.submission_journal import Claim, SubmissionJournal
from rh_async.errors import STORED_NAMES, JobError, JobLost, JournalError, KeyConflict, NotFound, RHError, SubmitUnknown
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.models.derived_key import derived_key
from rh_async.types import Result, Snapshot, TaskId

from .input_comparison import check_same_inputs, new_record

log = logging.getLogger(__name__)

_OLD_ENOUGH = 1e-6
"""What an earlier session submitted is never new, in seconds: it is asked about at once."""
_READ_EVERY = 0.5
"""How often the row of a key that another live session carries is read, in seconds; the server is asked nothing."""


@frozen(kw_only=True)
class PriorAttempt:
    """What is known of a submission before it is made.

    :param sha256s: of its local files.
    :param record: its last attempt, None where there is none or no journal.
    :param outcome: how that ended: a result, the job's error, the refusal, or that nobody knows. None while it runs.
    :param conflict: that the caller's key names a submission that asked for something else; None if it does not.
    """

    key: str
    sha256s: Mapping[Path, str]
    record: SubmissionRecord | None = None
    outcome: Result | RHError | None = None
    conflict: KeyConflict | None = None

    @property
    def was_submitted(self) -> bool:
        """Whether the last attempt may have reached the server: only then may it have been billed."""
        not_sent = REUSABLE_STATES | {SubmissionState.CLAIMED}
        return self.record is not None and self.record.state not in not_sent


@define(eq=False, kw_only=True, repr=False)
class SubmissionRegistry:
    """What one session knows of its submissions.

    :param journal: None: only explicit keys count, and only while their job lives.
    :param watch: asks the server about a job that has a task id, until it ends.
    :param look: asks the server about a task once, now.
    """

    journal: SubmissionJournal | None
    currency: str | None
    wall: Callable[[], datetime]
    watch: Callable[..., Awaitable[None]]
    look: Callable[[TaskId, TaskFamily], Awaitable[Snapshot]]
    _carried: dict[str, Job] = field(factory=dict, init=False)
    _records: dict[Job, SubmissionRecord] = field(factory=dict, init=False)
    _following: set[Job] = field(factory=set, init=False)
    _asked: dict[Job, SubmissionRecord] = field(
        factory=dict, init=False
    )  #: what carries a key and has no record is for

    # --- claiming ----------------------------------------------------------------------------------------------------

    async def claim(self, job: Job, request: Request, options: SubmitOptions, sha256s: Mapping[Path, str]) -> bool:
        """Claim a job's key.

        :param sha256s: of the request's local files.
        :return: whether the job is to be submitted; if not, it ends as whoever has the key ends.
        :raises SubmitUnknown: an earlier attempt may have been bought.
        :raises KeyConflict: the key was given to a job with other inputs, or under another API key.
        :raises RHError: the journal cannot be used, or nothing could be learnt of a lost attempt.
        """
        job.key = options.key or (None if self.journal is None else derived_key(request, sha256s))
        if job.key is None:
            return True
        fresh = _fresh(job.key, request, options, sha256s)
        while (carrier := self._carried.get(job.key)) is not None and carrier is not job:
            if not options.resubmit or carrier.task_id is None:
                if (known := self._records.get(carrier) or self._asked.get(carrier)) is not None:
                    check_same_inputs(known, fresh)
                await mirror(carrier, job)
                return False
            del self._carried[job.key]
        self._carried[job.key], self._asked[job] = job, fresh
        return self.journal is None or await self._claim(self.journal, job, fresh, options)

    async def prior_attempt(self, request: Request, key: str | None, sha256s: Mapping[Path, str]) -> PriorAttempt:
        """What is known of a submission, without touching it.

        :param key: None for the derived one.
        :raises JournalError: the journal cannot be used.
        """
        name = key or derived_key(request, sha256s)
        record = None if self.journal is None else await self.journal.find(name)
        return PriorAttempt(
            key=name,
            sha256s=sha256s,
            record=record,
            outcome=None if record is None else self._known_end(record),
            conflict=None if record is None else _conflict(record, _fresh(name, request, SubmitOptions(), sha256s)),
        )

    def _known_end(self, record: SubmissionRecord) -> Result | RHError | None:
        if record.state is SubmissionState.UNCERTAIN:
            return uncertain(record)
        if record.state is SubmissionState.REFUSED:
            return rejection_error(record)
        return (
            self.outcome_of(record)
            if record.state in {SubmissionState.SETTLED, SubmissionState.SAVED, SubmissionState.LOST}
            else None
        )

    async def _claim(
        self, journal: SubmissionJournal, job: Job, fresh: SubmissionRecord, options: SubmitOptions
    ) -> bool:
        claim = await journal.claim(fresh, resubmit=options.resubmit, after=options.after)
        while not isinstance(claim.decision, Insert):
            last = claim.record
            check_same_inputs(last, fresh)
            gone = None
            if last.state is SubmissionState.LOST and options.resubmit and await self._is_gone(last):
                gone = last.attempt
            elif await self._reused(job, claim):
                return False
            else:
                await self._wait_for_owner(journal, job, last)
            claim = await journal.claim(fresh, resubmit=options.resubmit, after=options.after, gone=gone)
        self._records[job] = claim.record
        del self._asked[job]  # the record says it, too
        return True

    async def _wait_for_owner(self, journal: SubmissionJournal, job: Job, record: SubmissionRecord | None) -> None:
        """Follow the key's row until the live session that carries it has settled it, given it up, or died.

        Cancelled, the job still follows, as `follows` tells: it has a task that it neither bought nor watches.
        """
        while record is not None and record.state in ACTIVE_STATES and await journal.is_alive(record.owner):
            self._following.add(job)
            _show(job, record)
            await anyio.sleep(_READ_EVERY)
            record = await journal.find(record.key)
        self._following.discard(job)

    def follows(self, job: Job) -> bool:
        """Whether a job only goes the way of another live session's."""
        return job in self._following

    async def _reused(self, job: Job, claim: Claim) -> bool:
        """Settle the job from the key's last attempt, or take that over; return False if it must be waited for.

        :raises SubmitUnknown: the last attempt may have been bought.
        """
        match claim.decision:
            case Refuse():
                raise uncertain(claim.record)
            case Reuse(take_over=False):
                self.settle_from_record(job, claim.record)
                return True
            case Reuse():
                # Another session may take it over first: then that one is waited for. A journal that cannot be
                # written fails the next claim as well, and says so there.
                with suppress(JournalError):
                    await self.attach(job, claim.record)
                    return True
            case _:
                pass
        return False

    async def attach(self, job: Job, record: SubmissionRecord) -> None:
        """Take a submitted or a lost job over, and ask the server about it again."""
        assert self.journal is not None  # noqa: S101 - for the type checker: there is a record
        assert record.task_id is not None  # noqa: S101 - a submitted record has one
        mine = await self.journal.take_over(record)
        self._records[job] = mine if mine.state is SubmissionState.SUBMITTED else await self._reopened(mine)
        self._carried[record.key] = job
        self._asked.pop(job, None)
        job.key, job.driving = record.key, record.driving
        assign_task(job, record.task_id, _moment(record.submitted_utc))
        since = job.submitted_utc or self.wall()
        age = (self.wall() - since).total_seconds()
        await self.watch(job, record.task_id, record.endpoint, age=max(age, _OLD_ENOUGH))

    async def _reopened(self, record: SubmissionRecord) -> SubmissionRecord:
        assert self.journal is not None  # noqa: S101 - for the type checker: there is a record
        return await self.journal.transition(record, SubmissionState.SUBMITTED, error=None, noticed_utc=None)

    async def _is_gone(self, record: SubmissionRecord) -> bool:
        """Ask the server, before a lost attempt is bought again, whether it still does not know the task.

        :raises RHError: nothing could be learnt.
        """
        assert record.task_id is not None  # noqa: S101 - a lost record has one
        try:
            await self.look(record.task_id, family_of(record.endpoint))
        except NotFound as error:
            if error.code != "1004":
                raise
            return True
        return False

    def settle_from_record(self, job: Job, record: SubmissionRecord) -> None:
        """End a job as its settled record says; a result stays readable after its links have expired."""
        job.key = record.key
        if record.task_id is not None:
            assign_task(job, record.task_id, _moment(record.submitted_utc))
        if record.raw:
            apply_snapshot(job, self._snapshot(record))
        set_outcome(job, self.outcome_of(record))

    def _snapshot(self, record: SubmissionRecord) -> Snapshot:
        assert record.task_id is not None  # noqa: S101 - a settled record has one
        response = ApiResponse(status=200, body=record.raw)
        return family_of(record.endpoint).decode_query(response, record.task_id, currency=self.currency)

    def outcome_of(self, record: SubmissionRecord) -> Result | RHError:
        """How a settled record ended."""
        if record.error is not None:
            return _error(record)
        known = Job(request=None, key=record.key, task_id=record.task_id)
        known.submitted_utc = _moment(record.submitted_utc)
        noticed = datetime.fromisoformat(record.noticed_utc or record.claimed_utc)
        return outcome_of(known, self._snapshot(record), noticed_utc=noticed)

    async def run_times(self, endpoint: str, *, limit: int = 200) -> list[tuple[float, float | None]]:
        """How long the last jobs of a model took from acceptance to notice, and how long their driving videos last.

        In seconds, oldest first; what the server did not end itself is left out.
        """
        rows: list[SubmissionRecord] = []
        try:
            rows = [] if self.journal is None else await self.journal.last_settled(endpoint, limit=limit)
        except JournalError as error:
            log.error("rh_async.journal_failed %s", error)  # noqa: TRY400 - what is watched goes on without
        return [(_run_time(row), row.driving) for row in reversed(rows)]

    # --- moving ------------------------------------------------------------------------------------------------------

    async def mark_submitting(self, job: Job) -> None:
        """The POST is about to leave."""
        if self.journal is not None and (record := self._records.get(job)) is not None:
            self._records[job] = await self.journal.mark_submitting(record)

    async def mark_unsent(self, job: Job) -> None:
        """The POST never left, or was refused for now: it may be repeated."""
        if (record := self._records.get(job)) is not None and record.state is SubmissionState.SUBMITTING:
            await self._moved(job, SubmissionState.CLAIMED)

    async def mark_submitted(self, job: Job, snapshot: Snapshot) -> None:
        """The server has accepted the job.

        :raises TaskConflict: another submission has this very task.
        """
        accepted = (job.submitted_utc or self.wall()).isoformat()
        told = {"task_id": snapshot.task_id, "status": snapshot.status, "submitted_utc": accepted}
        await self._written(job, SubmissionState.SUBMITTED, **told, driving=job.driving)

    async def mark_not_submitted(self, job: Job, error: RHError) -> None:
        """The server refused the job for good, or nobody knows: then the costlier is taken for true."""
        to = SubmissionState.UNCERTAIN if error.maybe_billed else SubmissionState.REFUSED
        await self._written(job, to, error=_facts(error))

    def notice_status(self, job: Job, snapshot: Snapshot) -> bool:
        """Take the server's word on a running job; whether the journal does not have it yet."""
        record = self._records.get(job)
        if record is None or record.state is not SubmissionState.SUBMITTED or record.status == snapshot.status:
            return False
        self._records[job] = evolve(record, status=snapshot.status)
        return True

    async def record_status(self, job: Job) -> None:
        """Write the server's word down, for the jobs of other sessions that follow this one."""
        if self.journal is not None and (record := self._records.get(job)) is not None:
            await self.journal.record_status(record)

    async def mark_settled(self, job: Job, snapshot: Snapshot, noticed: datetime) -> None:
        """The server has told the job's end."""
        await self._written(job, SubmissionState.SETTLED, raw=snapshot.raw, noticed_utc=noticed.isoformat())

    async def mark_lost(self, job: Job, error: RHError) -> None:
        """The server does not tell the job's end; it is asked again before the job is bought again."""
        await self._written(job, SubmissionState.LOST, error=_facts(error), noticed_utc=self.wall().isoformat())

    async def mark_saved(self, task_id: TaskId, paths: tuple[Path, ...]) -> None:
        """A job's outputs are on disk."""
        if self.journal is not None:
            await self.journal.mark_saved(task_id, tuple(str(path.absolute()) for path in paths))

    async def release(self, job: Job) -> None:
        """The job is over for this session; a claim that was never sent is given back."""
        if job.key is not None and self._carried.get(job.key) is job:
            del self._carried[job.key]
        self._asked.pop(job, None)
        self._following.discard(job)
        record = self._records.pop(job, None)
        if self.journal is not None and record is not None and record.state is SubmissionState.CLAIMED:
            with suppress(JournalError):  # a claim whose owner is gone is free anyway
                await self.journal.release(record)

    def webhook_token(self, job: Job) -> str:
        """What travels in the webhook's address, so that a delivery can name the attempt."""
        record = self._records.get(job)
        return "" if record is None else record.webhook_token

    async def has_task(self, task_id: TaskId) -> bool:
        """Whether some submission is known to have bought the task."""
        with suppress(JournalError):  # then the write that would give one task to two refuses it
            return self.journal is not None and await self.journal.find_by_task(task_id) is not None
        return False

    async def _written(self, job: Job, to: SubmissionState, **facts: object) -> None:
        """Write down what has happened; the job goes on though that fails, and the next session asks the server."""
        try:
            await self._moved(job, to, **facts)
        except TaskConflict:
            raise
        except JournalError as error:
            log.error("rh_async.journal_failed %s", error)  # noqa: TRY400 - one line; the error says it all

    async def _moved(self, job: Job, to: SubmissionState, **facts: Any) -> None:
        if self.journal is not None and (record := self._records.get(job)) is not None:
            self._records[job] = evolve(record, state=to, **facts)  # at once: what follows is written after it
            try:
                await self.journal.record_transition(record, to, **facts)
            except JournalError:
                self._records[job] = record
                raise


def _show(job: Job, record: SubmissionRecord) -> None:
    """Show on a job that follows another session's what the journal says of that one."""
    if record.state is SubmissionState.SUBMITTED and record.task_id is not None:
        if job.task_id is None:
            assign_task(job, record.task_id, _moment(record.submitted_utc))
        if record.status:
            apply_snapshot(job, Snapshot(task_id=record.task_id, status=record.status))


def _moment(utc: str | None) -> datetime | None:
    return None if utc is None else datetime.fromisoformat(utc)


def uncertain(record: SubmissionRecord) -> SubmitUnknown:
    """What an uncertain record is called."""
    what = f"the submit of {record.claimed_utc} to {record.endpoint} was never answered"
    error = SubmitUnknown(what, phase="submit", key=record.key, task_id=record.task_id)
    error.advice += (
        " Say what became of it with recovery.confirm or recovery.discard, or pay again knowingly with resubmit=True."
    )
    return error


def _fresh(key: str, request: Request, options: SubmitOptions, sha256s: Mapping[Path, str]) -> SubmissionRecord:
    folder = None if options.output_dir is None else str(options.output_dir.absolute())
    return evolve(new_record(key, request, sha256s), webhook_token=uuid4().hex, folder=folder)


def _conflict(known: SubmissionRecord, asked: SubmissionRecord) -> KeyConflict | None:
    try:
        check_same_inputs(known, asked)
    except KeyConflict as error:
        return error
    return None


def _run_time(record: SubmissionRecord) -> float:
    noticed, submitted = (datetime.fromisoformat(at or "") for at in (record.noticed_utc, record.submitted_utc))
    return (noticed - submitted).total_seconds()


def _facts(error: RHError) -> tuple[str, str, str]:
    return type(error).__name__, error.code, error.message


def rejection_error(record: SubmissionRecord) -> RHError:
    """Rebuild the error of a submit that was rejected, from its record."""
    name, code, message = record.error or ("ApiError", "", "it was refused")
    kind = getattr(errors, STORED_NAMES.get(name, name), errors.ApiError)
    known = isinstance(kind, type) and issubclass(kind, errors.ApiError | errors.ValidationError)
    return (kind if known else errors.ApiError)(message, phase="submit", code=code, key=record.key)


def _error(record: SubmissionRecord) -> JobError:
    name, code, message = record.error or ("JobLost", "", "")
    kind = getattr(errors, STORED_NAMES.get(name, name), JobLost)
    if isinstance(kind, type) and issubclass(kind, JobError):
        return kind(message, task_id=record.task_id, code=code)
    return JobLost(message, task_id=record.task_id, code=code)
