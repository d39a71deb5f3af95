"""The methods of `Session` for one job: submit and run it, attach to it, and take its webhook."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rh_async._client.session_base import _SessionBase
from rh_async._journal.records import SubmitOptions
from rh_async._submission.arguments import task_id_from
from rh_async._submission.recovery import Recovery
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Result

if TYPE_CHECKING:  # loaded only by an open session
    from rh_async.batch import OutputNaming


class _SingleJobs(_SessionBase):
    """Submits one job at a time."""

    def submit_nowait(self, request: Request, *, idempotency_key: str | None = None, resubmit: bool = False) -> Job:
        """Queue a job and return at once; `Job.accepted` waits until the server has it.

        :param idempotency_key: the caller's name for the submission, stable over restarts. With a journal, a key that
            is live or settled returns that job: nothing is uploaded, nothing is bought; without one, while the job
            lives. A key that was given to a job with other inputs ends this one with `KeyConflict`; files count by
            their content, links without their query. By default, with a journal, the key is derived from the inputs;
            signed links differ each time, so give a key then.
        :param resubmit: buy it once more, knowingly, as the key's next attempt; what the server had lost, only if it
            still does not know it.
        :raises SessionError: the session is not open here.
        """
        return self._submit(request, SubmitOptions(key=idempotency_key, resubmit=resubmit), self._options)

    async def submit(self, request: Request, *, idempotency_key: str | None = None, resubmit: bool = False) -> Job:
        """Submit a job, and return when the server has accepted it. Cancelled before its POST is sent, nothing is sent.

        :param idempotency_key: as in `submit_nowait`.  :param resubmit: as in `submit_nowait`.
        :raises SubmitUnknown: whether it was accepted is unknown; it was not sent again.
        :raises RHError: it was not accepted.
        """
        job = self.submit_nowait(request, idempotency_key=idempotency_key, resubmit=resubmit)
        with self._withdrawn_if_cancelled(job):
            await job.accepted()
        return job

    async def run(
        self,
        request: Request,
        *,
        idempotency_key: str | None = None,
        resubmit: bool = False,
        output_dir: str | os.PathLike[str] | None = None,
        naming: OutputNaming | None = None,
        overwrite: bool | None = None,
    ) -> Result:
        """Submit a job, wait for it, and save its outputs if ``output_dir`` names a folder.

        :param idempotency_key: as in `submit_nowait`.  :param resubmit: as in `submit_nowait`.
        :param naming: names the files; a name without ``{task_id}`` gets the task id at its end. By default, files are
            named by task id and index.
        :param overwrite: whether a file that is there already is downloaded again; by default not.
        :raises JobError: the job did not succeed.
        :raises RHError: it was not accepted, or could not be saved.
        """
        call = self._options.updated(output_dir=output_dir, naming=naming, overwrite=overwrite)
        options = SubmitOptions(key=idempotency_key, resubmit=resubmit, output_dir=call.output_dir)
        job = self._submit(request, options, call)
        with self._withdrawn_if_cancelled(job):
            result = await job
        return await self._save_outputs(job, result, call, number=1)

    def attach(self, task_id: str) -> Job:
        """Attach to a task submitted elsewhere, or by an earlier session; it takes no slot of ``in_flight``.

        :raises InvalidRequestError: that is no task id.
        """
        runtime, known = self._lifetime.require_open(), task_id_from(task_id)
        if known in runtime.services.poller.jobs:
            return runtime.services.poller.jobs[known][0]
        job = runtime.services.new_job(task_id=known)
        runtime.services.poller.track(job, known)
        return job

    async def handle_webhook(self, body: bytes, *, token: str = "") -> Job | None:
        """Take a webhook's delivery: query the task it names. The body decides nothing, since it is not signed.

        :param token: ``rh_nonce`` from the address that was called; with a journal each attempt's differs, so that a
            delivery can adopt a submission that was unconfirmed until now.
        :return: the job it is about; None if this session has nothing to do with it.
        :raises RHError: an unconfirmed submission could not be looked up.
        """
        from rh_async._api.endpoints import decode_webhook  # noqa: PLC0415 - loaded with the runtime

        runtime, task_id = self._lifetime.require_open(), decode_webhook(body)
        if task_id is None:
            return None
        if task_id in runtime.services.poller.jobs:
            runtime.services.poller.poll_soon(task_id)
            return runtime.services.poller.jobs[task_id][0]
        return None if runtime.journal is None else await runtime.services.recovery.adopt_delivery(task_id, token)

    @property
    def recovery(self) -> Recovery:
        """Come back to what earlier sessions submitted: resume, unconfirmed, confirm, discard."""
        return Recovery(lambda: self._lifetime.require_open().services.recovery, self._options.output_dir)
