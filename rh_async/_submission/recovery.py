"""What a caller holds to come back to earlier submissions: `Session.recovery`, and the report of what it found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, frozen

from rh_async._journal.records import SubmissionRecord
from rh_async.errors import RHError
from rh_async.job import Job
from rh_async.types import Result

from .arguments import output_dir_from, task_id_from

if TYPE_CHECKING:
    from .recovery_service import RecoveryService  # loaded with the session's runtime, off the event loop


@frozen(kw_only=True)
class ResumeReport:
    """What `Recovery.resume` found in the journal, and what became of it.

    :param jobs: submitted by an earlier session, and polled again; so are tasks that the server had lost and knows
        after all. Where a folder is known, a job ends once its outputs are saved, with their paths in its result.
    :param saved: settled before, and on disk now.
    :param failed: settled with a result that could not be saved, each with the reason.
    :param unconfirmed: submissions left in the middle of their POST: they may have been bought. Only those found by
        this call; `Recovery.unconfirmed` lists all.
    :param lost: which the server did not know, and still does not; each call of `Recovery.resume` asks again.
    :param held: which another running session carries, each with the id of its process (0 where that is not known);
        they are left to that session.
    """

    jobs: tuple[Job, ...] = ()
    saved: tuple[Result, ...] = ()
    failed: tuple[tuple[SubmissionRecord, RHError], ...] = ()
    unconfirmed: tuple[SubmissionRecord, ...] = ()
    lost: tuple[SubmissionRecord, ...] = ()
    held: tuple[tuple[SubmissionRecord, int], ...] = ()


@define(eq=False, repr=False)
class Recovery:
    """Comes back to what earlier sessions submitted, by the journal. Nothing is ever submitted here.

    Each call needs an open session with a journal.
    """

    _service: Callable[[], RecoveryService]
    _output_dir: Path | None = None

    async def resume(self, *, output_dir: str | os.PathLike[str] | None = None) -> ResumeReport:
        """Take over what ended sessions left: poll what runs, save what is done, report what is unconfirmed.

        What runs is saved when it ends, where its submission or *output_dir* names a folder: awaiting the job then
        gives a result with paths. Tasks that the server had lost are asked about once more.

        :param output_dir: a folder for outputs whose submission named none.
        :raises RHError: there is no journal, or it cannot be used.
        """
        return await self._service().resume(output_dir_from(output_dir) or self._output_dir)

    async def unconfirmed(self) -> tuple[SubmissionRecord, ...]:
        """List the submissions that may or may not have been bought, oldest first; they are never resent by themselves.

        :raises RHError: there is no journal, or it cannot be used.
        """
        return await self._service().unconfirmed()

    async def confirm(self, key: str, *, task_id: str) -> Job:
        """Confirm that an unconfirmed submission bought a task, once the server has said that it knows the task.

        :raises JournalError: the key is not unconfirmed, or another key holds the task.
        :raises NotFound: the server does not know the task.
        :raises RHError: the server could not be asked.
        """
        return await self._service().confirm(key, task_id_from(task_id))

    async def discard(self, key: str) -> None:
        """Give an unconfirmed submission up: its key may be submitted again, and that is paid again.

        :raises JournalError: the key is not unconfirmed.
        """
        await self._service().discard(key)
