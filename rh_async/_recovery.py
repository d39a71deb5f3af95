"""Coming back: what another session left behind is watched, saved, or shown for a person to decide about.

Nothing is ever submitted here. An uncertain submission is adopted when somebody names its task, or given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from attrs import define, evolve

from ._job import Job
from ._journal import Journal
from ._memory import Memory
from ._records import Record, State
from ._resumed import Resumed
from ._types import Result, Snapshot, TaskId
from .errors import JournalError, KeyInUse, RHError, SessionError

T = TypeVar("T")


@define(eq=False, kw_only=True, repr=False)
class Recovery:
    """The coming back of one session.

    :param look: asks the server about a task now.
    :param save: brings a result to disk, and writes that down.
    :param new_job: makes a handle.
    """

    journal: Journal | None
    memory: Memory
    look: Callable[[TaskId], Awaitable[Snapshot]]
    save: Callable[[Result, Path], Awaitable[tuple[Path, ...]]]
    new_job: Callable[[], Job]

    async def resume(self, folder: Path | None) -> Resumed:
        """Take over whatever dead sessions left.

        :param folder: where outputs go whose submission named none; None leaves those where they are.
        :raises JournalError: there is no journal, or it cannot be used.
        """
        found = [record for record in await self._open().in_states(_UNFINISHED) if self._left(record)]
        uncertain = [await self._taken(self._doubt, record) for record in found if record.state is State.SUBMITTING]
        jobs = [await self._taken(self._attach, record) for record in found if record.state is State.SUBMITTED]
        ends = [(record, await self._saved(record, folder)) for record in found if record.state is State.SETTLED]
        return Resumed(
            jobs=tuple(job for job in jobs if job is not None),
            saved=tuple(end for _, end in ends if isinstance(end, Result)),
            failed=tuple((record, end) for record, end in ends if isinstance(end, RHError)),
            uncertain=tuple(record for record in uncertain if record is not None),
        )

    async def uncertain(self) -> tuple[Record, ...]:
        """Every submission that nobody knows the fate of, oldest first.

        :raises JournalError: there is no journal, or it cannot be used.
        """
        return tuple(record for record in await self._open().in_states([State.UNCERTAIN]) if not record.foreign)

    async def resolve(self, key: str, task_id: TaskId) -> Job:
        """Adopt a task for an uncertain submission, once the server has said that it knows it.

        :raises JournalError: the key is not uncertain, or another key holds the task.
        :raises NotFound: the server does not know the task.
        :raises RHError: nothing could be learnt.
        """
        record = await self._uncertain(key)
        if (holder := await self._open().of_task(task_id)) is not None:
            raise JournalError(f"task {task_id} belongs to {holder.key}", task_id=task_id, advice=_NAME_ANOTHER)
        snapshot = await self.look(task_id)
        mine = await self._open().inherit(record)
        moved = await self._open().move(mine, State.SUBMITTED, task_id=snapshot.task_id, error=None)
        return await self._attach(moved)

    async def abandon(self, key: str) -> None:
        """Give an uncertain submission up: the same key may be submitted again.

        :raises JournalError: the key is not uncertain.
        """
        await self._open().move(await self._uncertain(key), State.ABANDONED)

    async def delivered(self, task_id: TaskId, nonce: str) -> Job | None:
        """Adopt a delivery's task for the uncertain submission whose nonce it brings, once that is confirmed.

        :param nonce: from the address that was called; "" if it had none.
        :return: the job it adopts; None if no submission waits for exactly this.
        :raises RHError: nothing could be learnt.
        """
        record = await self._open().of_nonce(nonce)
        if record is None or record.state is not State.UNCERTAIN:
            return None
        return await self.resolve(record.key, task_id)

    async def _taken(self, take: Callable[[Record], Awaitable[T]], record: Record) -> T | None:
        """Take over what is left; None if another session that came back at the same time was faster."""
        try:
            return await take(record)
        except JournalError:
            now = await self._open().find(record.key)
            if now is None or (now.state, now.owner) == (record.state, record.owner):
                raise
            return None

    async def _doubt(self, record: Record) -> Record:
        return await self._open().move(record, State.UNCERTAIN)

    async def _attach(self, record: Record) -> Job:
        job = self.new_job()
        await self.memory.attach(job, record)
        return job

    async def _saved(self, record: Record, folder: Path | None) -> Result | RHError | None:
        """Save a settled result where it is wanted; None if there is none, or nobody said where."""
        result, wanted = self.memory.outcome(record), record.folder or folder
        if not isinstance(result, Result) or wanted is None:
            return None
        try:
            return evolve(result, paths=await self.save(result, Path(wanted)))
        except RHError as error:
            return error

    async def _uncertain(self, key: str) -> Record:
        record = await self._open().find(key)
        if record is None or record.state is not State.UNCERTAIN:
            state = "unknown here" if record is None else record.state
            raise JournalError(f"{key} is {state}, not uncertain", key=key, advice="See which keys are uncertain.")
        if record.foreign:
            raise KeyInUse("it was submitted under another API key", key=key)
        return record

    def _left(self, record: Record) -> bool:
        return not record.foreign and not self._open().owner.alive(record.owner)

    def _open(self) -> Journal:
        if self.journal is None:
            raise SessionError("this session has no journal", advice="Give it one: Session(journal=...).")
        return self.journal


_UNFINISHED = (State.SUBMITTING, State.SUBMITTED, State.SETTLED)
_NAME_ANOTHER = "Name the task that this submission bought, not another's."
