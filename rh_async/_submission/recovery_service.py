"""Takes over what ended sessions left in the journal: polls it, saves it, or lists it for the caller to decide about.

Nothing is ever submitted here. An unconfirmed submission is adopted once the caller names its task, or discarded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Container, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from attrs import define, evolve

from rh_async._api.task_family import TaskFamily, family_of
from rh_async._journal.records import ACTIVE_STATES, SubmissionRecord, SubmissionState
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async.errors import JournalError, KeyConflict, NotFound, RHError, SessionError
from rh_async.job import Job
from rh_async.types import Result, Snapshot, TaskId

from .deduplication import SubmissionRegistry
from .record_mapping import settled_outcome
from .recovery import ResumeReport

T = TypeVar("T")

_S = SubmissionState
_UNFINISHED = (_S.SUBMITTING, _S.SUBMITTED, _S.SETTLED, _S.LOST)

_ASKED_AT_ONCE = 8
"""How many lost tasks are asked about at the same time, so that a long list of them does not hold resume up."""


@define(eq=False, kw_only=True, repr=False)
class RecoveryService:
    """Does what `Recovery` offers, in one session.

    :param get_status: asks the server about a task now.
    :param ask: the same, and gives up at the first failure.
    :param save: brings a result to disk, and writes that down.
    :param save_at_end: has a job's outputs brought to a folder before the job counts as ended.
    :param new_job: makes a handle.
    """

    journal: SubmissionJournal | None
    registry: SubmissionRegistry
    get_status: Callable[[TaskId, TaskFamily], Awaitable[Snapshot]]
    ask: Callable[[TaskId, TaskFamily], Awaitable[Snapshot]]
    save: Callable[[Result, Path], Awaitable[tuple[Path, ...]]]
    save_at_end: Callable[[Job, Path], None]
    new_job: Callable[[], Job]

    async def resume(self, output_dir: Path | None) -> ResumeReport:
        """Take over what ended sessions left, and what the server knows after all of the tasks it had lost.

        :param output_dir: where outputs go whose submission named no folder; None leaves those on the server.
        :raises JournalError: there is no journal, or it cannot be used.
        """
        unfinished = await self.open_journal().list_in_states(_UNFINISHED)
        running = await self.open_journal().running(record.owner for record in unfinished)
        left = [record for record in unfinished if _is_left(record, running)]
        unconfirmed = [await self._take(self._mark_uncertain, record) for record in left if _is(record, _S.SUBMITTING)]
        lost = await self._still_lost(record for record in left if _is(record, _S.LOST))
        known = [record for record in left if _is(record, _S.SUBMITTED, _S.LOST) and record not in lost]
        jobs = [await self._take(partial(self._poll, output_dir=output_dir), record) for record in known]
        ends = [(record, await self._saved(record, output_dir)) for record in left if _is(record, _S.SETTLED)]
        return ResumeReport(
            jobs=tuple(job for job in jobs if job is not None),
            saved=tuple(end for _, end in ends if isinstance(end, Result)),
            failed=tuple((record, end) for record, end in ends if isinstance(end, RHError)),
            unconfirmed=tuple(record for record in unconfirmed if record is not None),
            lost=tuple(lost),
            held=tuple(self._held(unfinished, running)),
        )

    async def unconfirmed(self) -> tuple[SubmissionRecord, ...]:
        """List every submission that may or may not have been bought, oldest first.

        :raises JournalError: there is no journal, or it cannot be used.
        """
        records = await self.open_journal().list_in_states([_S.UNCERTAIN])
        return tuple(record for record in records if not record.foreign)

    async def confirm(self, key: str, task_id: TaskId) -> Job:
        """Adopt a task for an unconfirmed submission, once the server has said that it knows the task.

        :raises JournalError: the key is not unconfirmed, or another key holds the task.
        :raises NotFound: the server does not know the task.
        :raises RHError: the server could not be asked.
        """
        record = await self._find_uncertain(key)
        if (holder := await self.open_journal().find_by_task(task_id)) is not None:
            raise JournalError(f"task {task_id} belongs to {holder.key}", task_id=task_id, advice=_NAME_ANOTHER)
        # A mistyped id must not end the search for the task that was submitted.
        snapshot = await self.get_status(task_id, family_of(record.endpoint))
        mine = await self.open_journal().take_over(record)
        submitted = await self.open_journal().transition(mine, _S.SUBMITTED, task_id=snapshot.task_id, error=None)
        return await self._attach(submitted)

    async def discard(self, key: str) -> None:
        """Give an unconfirmed submission up: the same key may be submitted again.

        :raises JournalError: the key is not unconfirmed.
        """
        await self.open_journal().transition(await self._find_uncertain(key), _S.ABANDONED)

    async def adopt_delivery(self, task_id: TaskId, webhook_token: str) -> Job | None:
        """Adopt a webhook delivery's task for the submission whose token it brings, once the server confirms the task.

        :param webhook_token: from the address that was called; "" if it had none.
        :return: the job; None if no unconfirmed or lost submission has this token.
        :raises RHError: the server could not be asked.
        """
        record = await self.open_journal().find_by_webhook_token(webhook_token)
        if record is None:
            return None
        if record.state is _S.LOST and record.task_id == task_id and not record.foreign:
            return await self._take(self._attach, record)  # a delivery is the server's word that it knows the task
        return await self.confirm(record.key, task_id) if record.state is _S.UNCERTAIN else None

    def records(self, states: Collection[SubmissionState], prefix: str) -> AsyncIterator[SubmissionRecord]:
        """Iterate over every attempt in one of some states whose key begins so, in order of submission.

        :raises SessionError: there is no journal.
        """
        return _iter_records(self.open_journal(), states, prefix)

    def open_journal(self) -> SubmissionJournal:
        """Return the journal.

        :raises SessionError: there is none.
        """
        if self.journal is None:
            raise SessionError("this session has no journal", advice="Give it one: Session(journal=...).")
        return self.journal

    # --- taking over -------------------------------------------------------------------------------------------------

    async def _take(self, take: Callable[[SubmissionRecord], Awaitable[T]], record: SubmissionRecord) -> T | None:
        """Take over what is left; return None if another session that resumed at the same time was faster."""
        try:
            return await take(record)
        except JournalError:
            now = await self.open_journal().find(record.key)
            if now is None or (now.state, now.owner) == (record.state, record.owner):
                raise  # the record is as it was: the journal itself is at fault
            return None

    async def _mark_uncertain(self, record: SubmissionRecord) -> SubmissionRecord:
        return await self.open_journal().transition(record, _S.UNCERTAIN)

    async def _attach(self, record: SubmissionRecord) -> Job:
        job = self.new_job()
        await self.registry.attach(job, record)
        return job

    async def _poll(self, record: SubmissionRecord, *, output_dir: Path | None) -> Job:
        """Poll a task again; once it ends, its outputs are saved where they are wanted."""
        job, wanted = self.new_job(), record.folder or output_dir
        if wanted is not None:  # before the job is attached: it may end with the first answer
            self.save_at_end(job, Path(wanted))
        await self.registry.attach(job, record)
        return job

    async def _still_lost(self, records: Iterable[SubmissionRecord]) -> list[SubmissionRecord]:
        """Ask about every lost task once, and return those that the server still does not know."""
        left, lost = iter(records), list[SubmissionRecord]()

        async def work(left: Iterator[SubmissionRecord]) -> None:
            lost.extend([record for record in left if await self._is_unknown(record)])

        async with anyio.create_task_group() as workers:
            for _ in range(_ASKED_AT_ONCE):
                workers.start_soon(work, left)
        return lost

    async def _is_unknown(self, record: SubmissionRecord) -> bool:
        assert record.task_id is not None  # noqa: S101 - a lost record has one
        try:
            await self.ask(record.task_id, family_of(record.endpoint))
        except NotFound as error:
            return error.code == "1004"  # a 404 of some other server proves nothing
        except RHError:
            return False  # it is polled, and so asked about until an answer comes
        return False

    async def _saved(self, record: SubmissionRecord, output_dir: Path | None) -> Result | RHError | None:
        """Save a settled result where it is wanted; None if it failed, or no folder is known."""
        result, wanted = settled_outcome(record, self.registry.currency), record.folder or output_dir
        if not isinstance(result, Result) or wanted is None:
            return None
        try:
            return evolve(result, paths=await self.save(result, Path(wanted)))
        except RHError as error:
            return error

    async def _find_uncertain(self, key: str) -> SubmissionRecord:
        record = await self.open_journal().find(key)
        if record is None or record.state is not _S.UNCERTAIN:
            state = "unknown here" if record is None else record.state
            advice = "List the uncertain ones: recovery.unconfirmed(), or rh-async jobs --state uncertain."
            raise JournalError(f"the submission is {state}, not uncertain", key=key, advice=advice)
        if record.foreign:
            raise KeyConflict("it was submitted under another API key", key=key)
        return record

    def _held(
        self, records: Iterable[SubmissionRecord], running: Mapping[str, int]
    ) -> Iterator[tuple[SubmissionRecord, int]]:
        """Iterate over what another running session has in hand, with the id of its process."""
        for record in records:
            owned = record.state in ACTIVE_STATES and record.owner != self.open_journal().owner
            if owned and record.owner in running:
                yield record, running[record.owner]


_NAME_ANOTHER = "Name the task that this submission bought, not another's."


def _is(record: SubmissionRecord, *states: SubmissionState) -> bool:
    return record.state in states


def _is_left(record: SubmissionRecord, running: Container[str]) -> bool:
    """Return whether no running session takes care of a record."""
    if record.foreign:
        return False  # its task is another account's: this API key could not even ask about it
    return record.state is _S.LOST or record.owner not in running  # no session polls a lost task


async def _iter_records(
    journal: SubmissionJournal, states: Collection[SubmissionState], prefix: str
) -> AsyncIterator[SubmissionRecord]:
    after = 0
    while page := await journal.page(states, prefix, after=after):
        after = page[-1][0]
        for _, record in page:
            yield record
