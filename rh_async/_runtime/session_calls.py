"""What a caller asks an open session besides submitting: a status, a price, an upload, a save, a cancellation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
from attrs import define

from rh_async._api.standard_tasks import PriceQuote
from rh_async._api.task_family import TaskFamily
from rh_async._http.transport import Transport
from rh_async._polling.poller import Poller
from rh_async._submission.deduplication import SubmissionRegistry
from rh_async._submission.job_log import log_change
from rh_async._submission.record_mapping import PriorAttempt
from rh_async._submission.submission_queue import SubmissionQueue
from rh_async._transfer.download_stream import Naming
from rh_async._transfer.downloads import Downloads
from rh_async._transfer.media_spool import Spool
from rh_async._transfer.uploads import Uploads
from rh_async.errors import ResponseLost
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.models.media_input import Media
from rh_async.models.media_limits import MediaFile
from rh_async.types import Result, Snapshot, TaskId, Upload

from .account import AccountApi

_CANCEL_TIMEOUT = 60.0
"""Seconds for a cancellation and the queries after it: a session that is being closed waits for them."""


@define(eq=False, kw_only=True, repr=False)
class SessionCalls:
    """Answers what the callers of one session ask; the controller of its jobs.

    :param now: the clock of the event loop.
    """

    transport: Transport
    poller: Poller
    spool: Spool
    uploads: Uploads
    downloads: Downloads
    registry: SubmissionRegistry
    queue: SubmissionQueue
    account_api: AccountApi
    now: Callable[[], float]

    async def cancel(self, job: Job) -> Snapshot | None:
        """Cancel a job: withdraw one that was not sent, ask the server to stop one that was.

        :return: its status afterwards; None if the server does not have the job.
        :raises RHError: the server did not answer.
        """
        if job.task_id is None:
            self.queue.withdraw(job)
            return None
        # Shielded: a caller that gives up half-way would leave open whether a paid job was stopped.
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CANCEL_TIMEOUT):
            snapshot = await self.account_api.cancel(job.task_id)
            await self.poller.on_snapshot(snapshot)
            return snapshot
        raise ResponseLost("nothing could be learnt of the cancellation", phase="cancel", task_id=job.task_id)

    def eta(self, job: Job) -> float | None:
        """Estimate how many seconds a job will still take; None where no run time is known."""
        return None if job.task_id is None else self.poller.scheduler.eta(job.task_id, now=self.now())

    async def get_status(self, task_id: TaskId, family: TaskFamily | None = None) -> Snapshot:
        """Query a task now, and again after failures that a repetition may cure.

        :param family: of the task, where it is known; else that of the polled job, or the standard one.
        :raises RHError: the server did not answer, or does not know the task.
        """
        return await self.transport.with_retries(partial(self.poller.get_status, task_id, family))

    async def save(
        self, result: Result, folder: Path, *, overwrite: bool = False, name: Naming | None = None
    ) -> tuple[Path, ...]:
        """Download a result's outputs to a folder, and record that in the journal.

        :raises RHError: an output could not be downloaded or written.
        """
        paths = await self.downloads.save(result, folder, overwrite=overwrite, name=name)
        log_change("saved", task_id=result.task_id, says=" ".join(map(str, paths)))
        await self.registry.mark_saved(result.task_id, paths)
        return paths

    async def price(self, request: Request) -> PriceQuote:
        """Ask the server what a request would cost; its media are uploaded for that, and nothing is submitted.

        :raises RHError: the server has no price for it, or did not answer.
        """
        async with self.spool.files(request) as asked:
            uploads: dict[Path | Upload, Upload] = {one: await self.uploads.refresh_url(one) for one in asked.uploads()}
            for file in asked.media():
                uploads[file.path] = await self.uploads.upload(file)
            return await self.account_api.price(asked, asked.to_body(uploads.__getitem__))

    async def upload(self, source: Path | Media) -> Upload:
        """Upload a local file, or media that are not a file.

        :raises InvalidMedia: it cannot be read.
        :raises RHError: it could not be uploaded.
        """
        if isinstance(source, Path):
            return await self.uploads.upload(MediaFile(source, "file"))
        async with self.spool.file(source) as path:
            return await self.uploads.upload(MediaFile(path, "file"))

    async def prior_attempt(self, request: Request, key: str | None) -> PriorAttempt:
        """Look a request's earlier submission up in the journal; nothing is changed.

        :raises InvalidMedia: a file cannot be read, or is not what its field takes.
        :raises JournalError: the journal cannot be used.
        """
        async with self.spool.files(request) as asked:
            files = {media.path: await self.uploads.read(media) for media in asked.media()}
            return await self.registry.prior_attempt(asked, key, {path: file.sha256 for path, file in files.items()})
