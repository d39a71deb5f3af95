"""What every part of `Session` needs: its options and lifetime, one way to submit a job and one to save its outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from attrs import evolve

from rh_async._client.lifetime import SessionLifetime
from rh_async._client.options import CallOptions
from rh_async._journal.records import SubmitOptions
from rh_async._submission.arguments import idempotency_key_from, request_from
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Result


class _SessionBase:
    """Holds what a view of a session calls its runtime with."""

    _options: CallOptions
    _lifetime: SessionLifetime

    def _submit(self, request: Request, options: SubmitOptions, call: CallOptions) -> Job:
        runtime = self._lifetime.require_open()
        idempotency_key_from(options.key)
        job = runtime.services.submit(request_from(request), evolve(options, webhook_url=call.webhook_url))
        if call.on_exit != runtime.on_exit:
            runtime.exit_policies[job] = call.on_exit
        return job

    async def _save_outputs(self, job: Job, result: Result, call: CallOptions, *, number: int) -> Result:
        if call.output_dir is None:
            return result
        runtime = self._lifetime.require_open(asking=False)
        save = partial(
            runtime.services.calls.save,
            result,
            call.output_dir,
            overwrite=call.overwrite,
            name=call.naming_of(job, number),
        )
        return evolve(result, paths=await runtime.run_in_session(save))

    @contextmanager
    def _withdrawn_if_cancelled(self, job: Job) -> Iterator[None]:
        """Withdraw the job if the wait for it is cancelled: no other caller knows a job that was submitted here."""
        try:
            yield
        except asyncio.CancelledError as error:
            runtime = self._lifetime.runtime
            if runtime is not None and runtime.services.submissions.withdraw(job):
                error.add_note("It had not been sent, and was withdrawn: nothing is paid.")
            raise
