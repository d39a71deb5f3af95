"""`Session`, the public asynchronous client, and `run`, which runs one request without a session of your own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from weakref import WeakKeyDictionary

from attrs import evolve

from ._client.lifetime import SessionLifetime, make_runtime
from ._client.options import CallOptions
from ._concurrency.blocking import run_blocking
from ._http.transport import SSL, Connector, RetryPolicy, Timeouts, TraceConfig, Transport
from ._journal.records import SubmissionRecord, SubmissionState, SubmitOptions
from ._media.local_file import LocalFiles
from ._polling.policy import PollingPolicy
from ._runtime.notifier import EventNotifier
from ._runtime.settings import (
    api_key_from,
    budget_from,
    connector_from,
    in_flight_from,
    proxy_from,
    resolve_base_url,
)
from ._submission.arguments import (
    idempotency_key_from,
    media_source_from,
    output_dir_from,
    request_from,
    states_from,
    task_id_from,
)
from ._submission.recovery import Recovery
from ._transfer.download_policy import DownloadPolicy
from .errors import InvalidRequestError
from .job import Job
from .models.base import Request
from .models.media_input import BinaryFile, Media, Picture
from .types import Account, OnExit, Result, Secret, Snapshot, Upload

if TYPE_CHECKING:  # loaded only by an open session
    from ._runtime.bulk_runner import Outcome, R, Requests
    from ._runtime.outcome_stream import OutcomeStream
    from ._runtime.statistics import Statistics
    from .batch import Batch, Issue, OutputNaming, Plan, Price
    from .events import Event

__all__ = ["Session", "resolve_base_url", "run"]


class Session:
    """Submits jobs, polls them all together, and saves their outputs.

    Use it in ``async with``, or call `open` and `aclose`; that may happen in different tasks of one event loop. Before
    it is opened, a session touches no network and needs no event loop.

    :param api_key: by default ``RUNNINGHUB_API_KEY`` or ``RH_API_KEY`` from the environment.
    :param base_url: the site; by default ``RUNNINGHUB_BASE_URL`` or ``RH_API_BASE_URL``, else `GLOBAL_SITE`.
    :param journal: a file that records every submission, so that none is bought twice and none is lost; created if
        missing. None: nothing is recorded, and an ``idempotency_key`` counts only while its job lives.
    :param in_flight: how many jobs may be between their POST and their settlement, at most. ``auto`` learns how many
        the account takes: from the limit it reports, and from refusals, which cost nothing and fail no job.
    :param polling: how often the status of jobs is queried.
    :param retry: how calls that are harmless to repeat are repeated; a submit that may have arrived never is.
    :param timeouts: how long to wait for the network.
    :param ssl: as aiohttp takes it.  :param proxy: an http proxy's URL.
    :param trust_env: whether proxies are taken from the environment (``HTTPS_PROXY``, ``NO_PROXY``); no netrc is read.
    :param trace_configs: aiohttp's own tracing hooks.
    :param on_event: called with every `events.Event`; what it raises is logged, and changes nothing else.
    :param on_exit: what becomes of running jobs when the session is closed: ``detach`` lets them go on remotely,
        ``cancel`` asks the server to cancel them, ``drain`` waits for them.
    :param webhook_url: where the server announces the end of tasks, for requests that name no ``webhook_url``.
    :param downloads: how slow and how large an output may come.
    :param allow_private_links: whether an output is also fetched from a link to this machine or its network. Else only
        public addresses are, unless the API's own address is private, as an emulator's is.
    :param connector: your own aiohttp connector, for every call of the API, made with ``force_close=True``: whether a
        submit arrived on a kept-alive connection that the server has just closed could not be known. You close it.
        Outputs are fetched without it, since links are checked when they are connected.
    :param files: local files that were read already, for instance a plan's: they are not hashed once more.
    :raises ConfigurationError: a setting breaks its rule, or there is no key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        in_flight: int | Literal["auto"] = "auto",
        polling: PollingPolicy | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        ssl: SSL = None,
        proxy: str | None = None,
        trust_env: bool = False,
        trace_configs: Sequence[TraceConfig] = (),
        on_event: Callable[[Event], object] | None = None,
        on_exit: OnExit = "detach",
        webhook_url: str | None = None,
        downloads: DownloadPolicy | None = None,
        allow_private_links: bool = False,
        connector: Connector | None = None,
        files: LocalFiles | None = None,
    ) -> None:
        api_key = None if api_key is None else Secret(api_key)  # what fails below may be sent to a crash reporter
        in_flight_limit = in_flight_from(in_flight)
        self._options = CallOptions().updated(on_exit=on_exit, webhook_url=webhook_url)
        notifier = EventNotifier(on_event)
        transport = Transport(
            base_url=resolve_base_url(base_url),
            api_key=api_key_from(api_key),
            timeouts=timeouts or Timeouts(),
            retry=retry or RetryPolicy(),
            ssl=ssl,
            proxy=proxy_from(proxy),
            trust_env=trust_env,
            trace_configs=trace_configs,
            private_links=allow_private_links,
            connector=connector_from(connector),
            on_pause=notifier.report_pause,
        )
        make = partial(
            make_runtime,
            transport=transport,
            polling=polling or PollingPolicy(),
            in_flight=in_flight_limit,
            notifier=notifier,
            on_exit=on_exit,
            download_policy=downloads or DownloadPolicy(),
            journal=None if journal is None else os.fspath(journal),
            files=files or LocalFiles(),
        )
        self._lifetime = SessionLifetime(transport, make)

    def __repr__(self) -> str:
        lifetime: SessionLifetime | None = getattr(self, "_lifetime", None)  # none yet, where a setting was refused
        return "<Session>" if lifetime is None else f"<Session {lifetime.transport.base_url}>"

    # --- open and close ----------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Open the session, as ``async with`` does. Close it with `aclose`.

        :return: the session.
        :raises SessionError: it is open already, or has been closed.
        :raises JournalError: the journal cannot be used.
        """
        await self._lifetime.open()
        return self

    async def aclose(self) -> None:
        """Close the session, from any task: withdraw jobs that were not sent, finish submits that were, stop polling.

        Running jobs are treated as ``on_exit`` says. Closing it again, or without having opened it, does nothing.

        :raises SessionError: the session's services had crashed.
        """
        if failure := await self._lifetime.close():
            raise failure

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (failure := await self._lifetime.close()) and error is None:
            raise failure

    def with_options(
        self,
        *,
        output_dir: str | os.PathLike[str] | None = None,
        naming: OutputNaming | None = None,
        overwrite: bool | None = None,
        on_exit: OnExit | None = None,
        webhook_url: str | None = None,
    ) -> Session:
        """Return a view of this session whose calls use other options, where their own arguments name none.

        The view shares everything else with this session: connections, slots, journal, jobs. Making one is cheap, opens
        nothing, and is possible before and after opening; closing either closes both. What jobs share belongs to the
        session and cannot differ between views: retries, time-outs, polling, how many jobs may be in flight.

        An option that is not given stays as it is.

        :param output_dir: where `run`, `map` and `batch` save outputs, and `recovery` those whose job named no folder.
        :param naming: names the files of `run`, `map` and `batch`.
        :param overwrite: whether `run` and `map` download a file again that is there already.
        :param on_exit: what becomes of jobs of this view that run when the session is closed.
        :param webhook_url: where the server announces the end of tasks, for requests that name no ``webhook_url``.
        :raises ConfigurationError: an option breaks its rule.
        :raises InvalidRequestError: ``output_dir`` is no path.
        """
        view = copy(self)
        view._options = self._options.updated(  # noqa: SLF001 - the view is a session, too
            output_dir=output_dir, naming=naming, overwrite=overwrite, on_exit=on_exit, webhook_url=webhook_url
        )
        return view

    # --- one job -----------------------------------------------------------------------------------------------------

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

    def _submit(self, request: Request, options: SubmitOptions, call: CallOptions) -> Job:
        runtime = self._lifetime.require_open()
        idempotency_key_from(options.key)
        job = runtime.services.submit(request_from(request), evolve(options, webhook_url=call.webhook_url))
        if call.on_exit != runtime.on_exit:
            runtime.exit_policies[job] = call.on_exit
        return job

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
        from ._api.endpoints import decode_webhook  # noqa: PLC0415 - loaded with the runtime

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

    # --- many jobs ---------------------------------------------------------------------------------------------------

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
        from ._runtime.bulk_port import BulkPort  # noqa: PLC0415 - loaded with the runtime
        from ._runtime.bulk_runner import BulkRunner  # noqa: PLC0415 - likewise

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
        from ._runtime.bulk_port import BulkPort  # noqa: PLC0415 - loaded with the runtime
        from .batch import Batch  # noqa: PLC0415 - loaded with the runtime

        limit = budget_from(budget)
        call = self._options.updated(output_dir=output_dir, naming=naming)
        if call.output_dir is None:
            raise InvalidRequestError("output_dir = None: a batch needs a folder")
        runtime = self._lifetime.require_open()
        runtime.files.include(plan.files)
        folder = call.output_dir.absolute()
        port = BulkPort(runtime, partial(self._submit, call=call))
        return Batch(plan, folder, port=port, naming=call.naming, budget=limit, retry_failed=retry_failed)

    # --- without submitting ------------------------------------------------------------------------------------------

    async def price(self, request: Request) -> Price:
        """Ask the server what a request would cost. Its media are uploaded for that; nothing is submitted.

        :raises ApiError: the server has no price for the request, or rejects it.
        :raises RHError: the server did not answer.
        """
        from .models.prices import Price  # noqa: PLC0415 - loaded by an open session

        runtime = self._lifetime.require_open()
        quote = await runtime.run_in_session(partial(runtime.services.calls.price, request))
        return Price(quote.amount, quote.currency)

    async def check(self, request: Request) -> tuple[Issue, ...]:
        """Find what is wrong with a request, or doubtful, before it is submitted; nothing is sent.

        Its files are read and compared with what the model is documented to take, as a batch's are. Without the
        ``media`` extra, only their kind, size and length are compared, and an issue says so.

        :return: every issue; the server would refuse those with `Issue.is_error`. Empty if there is none.
        """
        from .batch import check_request  # noqa: PLC0415 - loaded by an open session

        if not any(request_from(request).sources()):
            return await check_request(request)
        async with self._lifetime.require_open(asking=False).services.spool.files(request) as with_files:
            return await check_request(with_files)

    async def find(self, key: str) -> SubmissionRecord | None:
        """Find the last attempt of a key in the journal; None if it was never submitted. The server is not asked.

        :raises RHError: there is no journal, or it cannot be used.
        """
        return await self._lifetime.require_open(asking=False).services.recovery.open_journal().find(key)

    def jobs(
        self, *, state: SubmissionState | str | Iterable[SubmissionState | str] | None = None, prefix: str = ""
    ) -> AsyncIterator[SubmissionRecord]:
        """Iterate over the journal's records, in the order of submission, read as they are asked for.

        :param state: only attempts in this state, or in one of these.
        :param prefix: only those whose key begins with it.
        :raises InvalidRequestError: there is no such state.
        :raises SessionError: there is no journal, or the session is not open here.
        """
        return self._lifetime.require_open(asking=False).services.recovery.records(states_from(state), prefix)

    async def get_status(self, task_id: str) -> Snapshot:
        """Query a task once, now.

        :raises InvalidRequestError: that is no task id.
        :raises NotFound: the server does not know the task, or no longer.
        :raises RHError: the server did not answer.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(partial(runtime.services.calls.get_status, task_id_from(task_id)))

    async def cancel(self, task_id: str) -> Snapshot:
        """Ask the server to cancel a task, and return its status afterwards; it may have been done already.

        :raises InvalidRequestError: that is no task id.
        :raises NotFound: the server does not know the task, or no longer.
        :raises RHError: the server did not answer.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(partial(runtime.services.account_api.cancel, task_id_from(task_id)))

    def statistics(self) -> Statistics:
        """Summarize the session: its jobs and requests, how late ends are detected, and learnt run times.

        :raises SessionError: the session is not open here.
        """
        return self._lifetime.require_open(asking=False).services.statistics()

    async def account(self) -> Account:
        """Query the account: kind of key, concurrency limit, tasks and wallet.

        :raises AuthenticationFailed: the key is refused.
        :raises RHError: the server did not answer.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(runtime.services.account_api.account)

    async def upload(
        self, source: str | os.PathLike[str] | Media | BinaryFile | Picture | AsyncIterable[bytes]
    ) -> Upload:
        """Upload media; the `Upload` can be used in a request wherever a path can.

        :param source: a local file's path, or `Media`, or what `Media` is made of: an open binary file, a Pillow image,
            an asynchronous iterable of bytes.
        :raises InvalidRequestError: it is none of these.
        :raises InvalidMedia: it cannot be read.
        :raises RHError: it could not be uploaded.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(partial(runtime.services.calls.upload, media_source_from(source)))

    async def save(
        self, result: Result, output_dir: str | os.PathLike[str], *, overwrite: bool = False
    ) -> tuple[Path, ...]:
        """Download every output of a result to a folder, named by task id and index.

        :param overwrite: whether a file that is there already is downloaded again.
        :raises SaveError: the file cannot be written.
        :raises RHError: an output could not be downloaded.
        """
        runtime = self._lifetime.require_open(asking=False)
        folder = output_dir_from(output_dir) or Path()
        return await runtime.run_in_session(partial(runtime.services.calls.save, result, folder, overwrite=overwrite))

    @property
    def unanswered_for(self) -> float:
        """How many seconds ago the first call began, if none was ever answered: the address may be wrong. Else 0."""
        transport = self._lifetime.transport
        if transport.server_responded or transport.first_call_at is None:
            return 0.0
        return asyncio.get_running_loop().time() - transport.first_call_at

    # -----------------------------------------------------------------------------------------------------------------

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


def run(
    request: Request,
    *,
    session: Session | None = None,
    idempotency_key: str | None = None,
    resubmit: bool = False,
    output_dir: str | os.PathLike[str] | None = None,
    naming: OutputNaming | None = None,
    overwrite: bool | None = None,
) -> Result:
    """Run one request, wait for its result, and save the outputs: for scripts and notebooks, without ``await``.

    Where an event loop runs already, as in a notebook, the work is done in a thread, and this call blocks the loop. In
    asynchronous code, use `Session.run`. Ctrl-C closes the session as usual: a job that was not sent is withdrawn, a
    submit that was sent is finished, and the task ids that still run are logged.

    :param session: made for this call and not opened, with settings of your own; by default ``Session()``.
    :param idempotency_key: as in `Session.submit_nowait`.  :param resubmit: as in `Session.submit_nowait`.
    :param output_dir: as in `Session.run`.  :param naming: as in `Session.run`.  :param overwrite: as in `Session.run`.
    :raises JobError: the job did not succeed.
    :raises RHError: it was not accepted, or could not be saved.
    """

    async def main() -> Result:
        async with session or Session() as opened:
            return await opened.run(
                request,
                idempotency_key=idempotency_key,
                resubmit=resubmit,
                output_dir=output_dir,
                naming=naming,
                overwrite=overwrite,
            )

    return run_blocking(main)
