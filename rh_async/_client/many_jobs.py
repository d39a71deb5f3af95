"""The methods of `Session` for many jobs: `map` over requests, and `batch` for a plan."""

from __future__ import annotations

import os
from decimal import Decimal
from functools import partial
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from rh_async._client.session_base import _SessionBase
from rh_async._journal.records import SubmitOptions
from rh_async._runtime.settings import budget_from
from rh_async.errors import InvalidRequestError
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Result

if TYPE_CHECKING:  # loaded only by an open session
    from rh_async._runtime.bulk_runner import Outcome, R, Requests
    from rh_async._runtime.outcome_stream import OutcomeStream
    from rh_async.batch import Batch, OutputNaming, Plan


class _ManyJobs(_SessionBase):
    """Submits many jobs, as slots come free."""

    def map(
        self,
        requests: Requests[R],
        *,
        output_dir: str | os.PathLike[str] | None = None,
        naming: OutputNaming | None = None,
        overwrite: bool | None = None,
    ) -> OutcomeStream[Outcome[R]]:
        """Run many requests, and iterate over their outcomes as the jobs end.

        :param requests: any iterable, also an asynchronous one; read as there is room for another job.
        :param output_dir: a folder for the outputs.
        :param naming: as in `run`; ``{number}`` counts the requests.
        :param overwrite: as in `run`.
        """
        from rh_async._runtime.bulk_port import BulkPort  # noqa: PLC0415 - loaded with the runtime
        from rh_async._runtime.bulk_runner import BulkRunner  # noqa: PLC0415 - likewise

        call = self._options.updated(output_dir=output_dir, naming=naming, overwrite=overwrite)
        numbers: WeakKeyDictionary[Job, int] = WeakKeyDictionary()
        numbering = count(1)

        def submit(request: Request) -> Job:
            job = self._submit(request, SubmitOptions(output_dir=call.output_dir), call)
            numbers[job] = next(numbering)
            return job

        async def save(job: Job, result: Result) -> Result:
            return await self._save_outputs(job, result, call, number=numbers[job])

        host = BulkPort(self._lifetime.require_open(), partial(self._submit, call=call))
        saving = None if call.output_dir is None else save
        return BulkRunner(host=host, requests=requests, submit=submit, save=saving).stream

    def batch(
        self,
        plan: Plan,
        output_dir: str | os.PathLike[str] | None = None,
        *,
        naming: OutputNaming | None = None,
        budget: Decimal | float | None = None,
        retry_failed: bool = False,
    ) -> Batch:
        """Run a plan, and iterate over how its entries end; nothing starts before the first outcome is asked for.

        With a journal, the same plan run again continues: what is done is not redone, what runs is not resubmitted.
        Network trouble is waited out. After trouble of the account or the disk, or when the budget is reached, nothing
        more is started, and what runs is finished. Without a journal, every run submits everything.

        :param output_dir: the folder for outputs; ``batch.jsonl`` in it gets a line per outcome.
        :param naming: names the files.
        :param budget: what the batch may cost, with what earlier runs into ``output_dir`` spent of it, in the account's
            currency: USD on the global site, CNY on the China site. The server is asked for the price of one job of
            each kind, and the others follow in proportion to the list; where it names none, the list's price counts,
            if that is in the same currency. A job without a price in the account's currency is not started then.
        :param retry_failed: whether what failed or was refused before is submitted, and paid, once more.
        :raises ConfigurationError: the budget is no amount.
        :raises InvalidRequestError: no folder is named.
        :raises SessionError: the session is not open here.
        """
        from rh_async._runtime.bulk_port import BulkPort  # noqa: PLC0415 - loaded with the runtime
        from rh_async.batch import Batch  # noqa: PLC0415 - loaded with the runtime

        limit = budget_from(budget)
        call = self._options.updated(output_dir=output_dir, naming=naming)
        if call.output_dir is None:
            raise InvalidRequestError("output_dir = None: a batch needs a folder")
        runtime = self._lifetime.require_open()
        runtime.files.include(plan.files)
        folder = call.output_dir.absolute()
        port = BulkPort(runtime, partial(self._submit, call=call))
        return Batch(plan, folder, port=port, naming=call.naming, budget=limit, retry_failed=retry_failed)
