"""Coming back: what another session left behind is watched, saved, or shown for a person to decide about.

Nothing is ever submitted here. An uncertain submission is adopted when somebody names its task, or given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from attrs import define, evolve

from rh_async._journal.lease import ProcessLease
from rh_async._journal.records import SubmissionRecord, SubmissionState
from rh_async._journal.sqlite import Journal
from rh_async.errors import JournalError, KeyConflict, NotFound, RHError, SessionError
from rh_async.job import Job
from rh_async.types import Result, Snapshot, TaskId

from .deduplication import SubmissionRegistry
from .recovery import ResumeReport

T = TypeVar("T")

_ASKED_AT_ONCE = 8


@define(eq=False, kw_only=True, repr=False)
class RecoveryService:
    """The coming back of one session.

    :param look: asks the server about a task now.
    :param ask: the same, and gives up at the first failure.
    :param save: brings a result to disk, and writes that down.
    :param save_at_end: has a job's outputs brought to a folder before the job counts as ended.
    :param new_job: makes a handle.
    """

    journal: Journal | None
    registry: SubmissionRegistry
    look: Callable[[TaskId], Awaitable[Snapshot]]
    ask: Callable[[TaskId], Awaitable[Snapshot]]
    save: Callable[[Result, Path], Awaitable[tuple[Path, ...]]]
    save_at_end: Callable[[Job, Path], None]
    new_job: Callable[[], Job]

    async def resume(self, folder: Path | None) -> ResumeReport:
        """Take over whatever dead sessions left, and what the server knows after all of the tasks it had lost.

        :param folder: where outputs go whose submission named none; None leaves those where they are.
        :raises JournalError: there is no journal, or it cannot be used.
        """
        unfinished = await self._open().list_in_states(_UNFINISHED)
        found = [record for record in unfinished if self._left(record)]
        uncertain = [
            await self._taken(self._doubt, record) for record in found if record.state is SubmissionState.SUBMITTING
        ]
        lost = await self._still_lost(record for record in found if record.state is SubmissionState.LOST)
        running = [
            record
            for record in found
            if record.state in {SubmissionState.SUBMITTED, SubmissionState.LOST} and record not in lost
        ]
        jobs = [await self._taken(partial(self._watched, folder=folder), record) for record in running]
        ends = [
            (record, await self._saved(record, folder)) for record in found if record.state is SubmissionState.SETTLED
        ]
        return ResumeReport(
            jobs=tuple(job for job in jobs if job is not None),
            saved=tuple(end for _, end in ends if isinstance(end, Result)),
            failed=tuple((record, end) for record, end in ends if isinstance(end, RHError)),
            unconfirmed=tuple(record for record in uncertain if record is not None),
            lost=tuple(lost),
            held=tuple(await asyncio.to_thread(self._held, unfinished)),
        )

    async def find(self, key: str) -> SubmissionRecord | None:
        """The last attempt of a key.

        :raises JournalError: there is no journal, or it cannot be used.
        """
        return await self._open().find(key)

    def records(self, states: Collection[SubmissionState], prefix: str) -> AsyncIterator[SubmissionRecord]:
        """Every attempt in one of some states whose key begins so, oldest first, a page at a time.

        :raises SessionError: there is no journal.
        """
        return _records(self._open(), states, prefix)

    async def unconfirmed(self) -> tuple[SubmissionRecord, ...]:
        """Every submission that nobody knows the fate of, oldest first.

        :raises JournalError: there is no journal, or it cannot be used.
        """
        return tuple(
            record for record in await self._open().list_in_states([SubmissionState.UNCERTAIN]) if not record.foreign
        )

    async def confirm(self, key: str, task_id: TaskId) -> Job:
        """Adopt a task for an uncertain submission, once the server has said that it knows it.

        :raises JournalError: the key is not uncertain, or another key holds the task.
        :raises NotFound: the server does not know the task.
        :raises RHError: nothing could be learnt.
        """
        record = await self._uncertain(key)
        if (holder := await self._open().find_by_task(task_id)) is not None:
            raise JournalError(f"task {task_id} belongs to {holder.key}", task_id=task_id, advice=_NAME_ANOTHER)
        snapshot = await self.look(task_id)
        mine = await self._open().take_over(record)
        moved = await self._open().transition(mine, SubmissionState.SUBMITTED, task_id=snapshot.task_id, error=None)
        return await self._attach(moved)

    async def discard(self, key: str) -> None:
        """Give an uncertain submission up: the same key may be submitted again.

        :raises JournalError: the key is not uncertain.
        """
        await self._open().transition(await self._uncertain(key), SubmissionState.ABANDONED)

    async def delivered(self, task_id: TaskId, webhook_token: str) -> Job | None:
        """Adopt a delivery's task for the uncertain submission whose webhook token it brings, once that is confirmed.

        :param webhook_token: from the address that was called; "" if it had none.
        :return: the job it adopts; None if no submission waits for exactly this.
        :raises RHError: nothing could be learnt.
        """
        record = await self._open().find_by_webhook_token(webhook_token)
        if (
            record is not None
            and record.state is SubmissionState.LOST
            and record.task_id == task_id
            and not record.foreign
        ):
            return await self._taken(self._attach, record)
        if record is None or record.state is not SubmissionState.UNCERTAIN:
            return None
        return await self.confirm(record.key, task_id)

    async def _taken(self, take: Callable[[SubmissionRecord], Awaitable[T]], record: SubmissionRecord) -> T | None:
        """Take over what is left; None if another session that came back at the same time was faster."""
        try:
            return await take(record)
        except JournalError:
            now = await self._open().find(record.key)
            if now is None or (now.state, now.owner) == (record.state, record.owner):
                raise
            return None

    async def _doubt(self, record: SubmissionRecord) -> SubmissionRecord:
        return await self._open().transition(record, SubmissionState.UNCERTAIN)

    async def _attach(self, record: SubmissionRecord) -> Job:
        job = self.new_job()
        await self.registry.attach(job, record)
        return job

    async def _watched(self, record: SubmissionRecord, *, folder: Path | None) -> Job:
        """Watch a job again; once it ends, its outputs are saved where they are wanted."""
        job, wanted = self.new_job(), record.folder or folder
        if wanted is not None:
            self.save_at_end(job, Path(wanted))
        await self.registry.attach(job, record)
        return job

    async def _still_lost(self, records: Iterable[SubmissionRecord]) -> list[SubmissionRecord]:
        """Ask about every lost task once, and return those that the server still does not know."""
        left, lost = iter(records), list[SubmissionRecord]()

        async def work(left: Iterator[SubmissionRecord]) -> None:
            lost.extend([record for record in left if await self._is_unknown(record)])

        async with anyio.create_task_group() as askers:
            for _ in range(_ASKED_AT_ONCE):
                askers.start_soon(work, left)
        return lost

    async def _is_unknown(self, record: SubmissionRecord) -> bool:
        assert record.task_id is not None  # noqa: S101 - a lost record has one
        try:
            await self.ask(record.task_id)
        except NotFound as error:
            return error.code == "1004"
        except RHError:
            return False  # it is watched, and so asked about until an answer comes
        return False

    async def _saved(self, record: SubmissionRecord, folder: Path | None) -> Result | RHError | None:
        """Save a settled result where it is wanted; None if there is none, or nobody said where."""
        result, wanted = self.registry.outcome_of(record), record.folder or folder
        if not isinstance(result, Result) or wanted is None:
            return None
        try:
            return evolve(result, paths=await self.save(result, Path(wanted)))
        except RHError as error:
            return error

    async def _uncertain(self, key: str) -> SubmissionRecord:
        record = await self._open().find(key)
        if record is None or record.state is not SubmissionState.UNCERTAIN:
            state = "unknown here" if record is None else record.state
            raise JournalError(f"{key} is {state}, not uncertain", key=key, advice="See which keys are uncertain.")
        if record.foreign:
            raise KeyConflict("it was submitted under another API key", key=key)
        return record

    def _held(self, records: Iterable[SubmissionRecord]) -> list[tuple[SubmissionRecord, int]]:
        """Which of these another session carries that lives, each with its process. Blocks: call it off the loop."""
        owner = self._open().owner
        carried = [record for record in records if record.state in _CARRIED and record.owner != owner.name]
        living = {name for name in {record.owner for record in carried} if owner.alive(name)}
        pids = {name: _pid(owner, name) for name in living}
        return [(record, pids[record.owner]) for record in carried if record.owner in living]

    def _left(self, record: SubmissionRecord) -> bool:
        if record.state is SubmissionState.LOST:  # nobody asks about it, whoever is alive
            return not record.foreign
        return not record.foreign and not self._open().owner.alive(record.owner)

    def _open(self) -> Journal:
        if self.journal is None:
            raise SessionError("this session has no journal", advice="Give it one: Session(journal=...).")
        return self.journal


_UNFINISHED = (SubmissionState.SUBMITTING, SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.LOST)
_CARRIED = frozenset({SubmissionState.SUBMITTING, SubmissionState.SUBMITTED})
_NAME_ANOTHER = "Name the task that this submission bought, not another's."


def _pid(owner: ProcessLease, name: str) -> int:
    try:
        return owner.other(name).pid
    except OSError:
        return 0


async def _records(
    journal: Journal, states: Collection[SubmissionState], prefix: str
) -> AsyncIterator[SubmissionRecord]:
    after = 0
    while page := await journal.page(states, prefix, after=after):
        after = page[-1][0]
        for _, record in page:
            yield record
