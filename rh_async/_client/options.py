"""The per-call options of a session, and what they mean for one job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from rh_async._runtime.settings import on_exit_from, webhook_url_from
from rh_async._submission.arguments import output_dir_from
from rh_async.job import Job
from rh_async.types import OnExit

if TYPE_CHECKING:
    from rh_async._transfer.download_stream import Naming
    from rh_async.batch import OutputNaming


@frozen(kw_only=True)
class CallOptions:
    """What a call uses where its own argument is not given; parameters as in `Session.with_options`."""

    output_dir: Path | None = None
    naming: OutputNaming | None = None
    overwrite: bool = False
    on_exit: OnExit = "detach"
    webhook_url: str | None = None

    def updated(
        self,
        *,
        output_dir: str | os.PathLike[str] | None = None,
        naming: OutputNaming | None = None,
        overwrite: bool | None = None,
        on_exit: OnExit | None = None,
        webhook_url: str | None = None,
    ) -> CallOptions:
        """Return the options with those replaced that are given.

        :raises ConfigurationError: an option breaks its rule.
        :raises InvalidRequestError: the folder is no path.
        """
        return evolve(
            self,
            output_dir=output_dir_from(output_dir) or self.output_dir,
            naming=naming or self.naming,
            overwrite=self.overwrite if overwrite is None else overwrite,
            on_exit=self.on_exit if on_exit is None else on_exit_from(on_exit),
            webhook_url=webhook_url_from(webhook_url) or self.webhook_url,
        )

    def naming_of(self, job: Job, number: int) -> Naming | None:
        """Return what names the outputs of a job; None for the names by task id.

        :param number: of the job among those of its call.
        """
        if self.naming is None or job.request is None:
            return None
        from rh_async._batch.outputs.job_naming import naming_of  # noqa: PLC0415 - loaded by an open session

        return naming_of(job, self.naming, number)
