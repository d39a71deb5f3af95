"""What a caller can ask: submit, run, map, attach, upload, save. The only room a caller talks to."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from attrs import evolve

from ._api.endpoints import decode_webhook
from ._api.error_codes import GLOBAL_SITE
from ._api.wire import UNSTORABLE
from ._http.connection_pools import is_proxy
from ._http.transport import SSL, Connector, RetryPolicy, Timeouts, TraceConfig, Transport
from ._journal.records import SubmissionRecord, SubmissionState, SubmitOptions
from ._media.local_file import LocalFiles
from ._polling.policy import PollingPolicy
from ._runtime.bulk_runner import BulkRunner, Outcome, R, Requests
from ._runtime.notifier import EventNotifier
from ._runtime.outcome_stream import OutcomeStream
from ._runtime.statistics import Statistics
from ._submission.arguments import output_dir_from, states_from, task_id_from
from ._submission.recovery import Recovery
from ._transfer.download_policy import DownloadPolicy
from .errors import ConfigurationError, InvalidRequestError, SessionError
from .events import Event, Waiting
from .job import Job
from .models.base import Request
from .models.media_input import BinaryFile, Media, Picture, media_from
from .types import Account, OnExit, Result, Secret, Snapshot, Upload

if TYPE_CHECKING:
    from ._runtime.runtime import SessionRuntime
    from .batch import Batch, Issue, OutputNaming, Plan, Price  # loaded only by a session that runs one

_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb"
_API_SUFFIX = "/openapi/v2"  # the vendor's own plug-in writes it into its address (contract 1.4)


class Session:
    """Submits motion-transfer jobs, watches them all with one shared poller, saves what they make.

    Use it in ``async with``; entering and leaving may happen in different tasks of one event loop. Before that nothing
    touches the network and no loop is needed.

    :param api_key: by default ``RUNNINGHUB_API_KEY`` or ``RH_API_KEY`` from the environment.
    :param base_url: the site; by default ``RUNNINGHUB_BASE_URL`` or ``RH_API_BASE_URL``, else `GLOBAL_SITE`.
    :param journal: a file that remembers every submission, so that none is bought twice and none is lost; made if
        missing. None: nothing is written, and an ``idempotency_key`` counts only while its job lives.
    :param in_flight: how many jobs may be between their POST and their settlement, at most. ``auto`` learns how many
        the account takes: from what it says of itself, and from refusals, which cost nothing and fail no job.
    :param polling: how often the status of jobs is asked for.
    :param retry: how what is harmless to repeat is repeated; a submit that may have arrived never is.
    :param timeouts: how long to wait for the network.
    :param ssl: as aiohttp takes it.  :param proxy: an http proxy's URL.
    :param trust_env: whether proxies are taken from the environment (``HTTPS_PROXY``, ``NO_PROXY``); no netrc is read.
    :param trace_configs: aiohttp's own tracing hooks.
    :param on_event: called with every `events.Event`; what it raises is logged and disturbs nobody.
    :param on_exit: what becomes of jobs in flight when the session is left: ``detach`` lets them go on remotely,
        ``cancel`` asks that they be stopped, ``drain`` waits for them.
    :param downloads: how slow and how large an output may come.
    :param allow_private_links: whether an output is also fetched from a link to this machine or its network. Else only
        public addresses are, unless the API's own address is private, as an emulator's is.
    :param connector: your own aiohttp connector, for every call of the API, made with ``force_close=True``: of a submit
        on a kept-alive connection that the server has just closed, nobody could know whether it arrived. You close it.
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
        downloads: DownloadPolicy | None = None,
        allow_private_links: bool = False,
        connector: Connector | None = None,
        files: LocalFiles | None = None,
    ) -> None:
        api_key = None if api_key is None else Secret(api_key)  # what fails below may be sent to a crash reporter
        if in_flight != "auto" and (isinstance(in_flight, bool) or not isinstance(in_flight, int) or in_flight < 1):
            raise ConfigurationError(f"in_flight = {in_flight!r}: must be 'auto' or a whole number of at least 1")
        if on_exit not in get_args(OnExit):
            raise ConfigurationError(f"on_exit = {on_exit!r}: must be one of {', '.join(get_args(OnExit))}")
        tell = EventNotifier(on_event)
        self._transport = Transport(
            base_url=resolve_base_url(base_url),
            api_key=_api_key(api_key),
            timeouts=timeouts or Timeouts(),
            retry=retry or RetryPolicy(),
            ssl=ssl,
            proxy=_proxy(proxy),
            trust_env=trust_env,
            trace_configs=trace_configs,
            private_links=allow_private_links,
            connector=_connector(connector),
            on_pause=lambda seconds: tell(Waiting(reason="rate", seconds=seconds)),
        )
        self._furnish = partial(
            _furnished,
            transport=self._transport,
            polling=polling or PollingPolicy(),
            in_flight=None if in_flight == "auto" else in_flight,
            notifier=tell,
            on_exit=on_exit,
            download_policy=downloads or DownloadPolicy(),
            journal=None if journal is None else Path(journal),
            files=files or LocalFiles(),
        )
        self._entered = False
        self._runtime: SessionRuntime | None = None

    def __repr__(self) -> str:
        transport: Transport | None = getattr(self, "_transport", None)  # none yet, where a setting was refused
        return "<Session>" if transport is None else f"<Session {transport.base_url}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SessionError("a session is entered once; make another")
        self._entered = True
        self._runtime = await asyncio.to_thread(self._furnish)
        await self._runtime.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runtime is not None and (failure := await self._runtime.close()) and error is None:
            raise failure

    def submit_nowait(self, request: Request, *, idempotency_key: str | None = None, resubmit: bool = False) -> Job:
        """Take a job in and return at once; `Job.accepted` tells when the server has it.

        :param idempotency_key: the caller's name for the submission, stable over restarts. With a journal, a key that
            is live or settled returns that job: nothing is uploaded, nothing is bought; without one, while the job
            lives. A key that was given to a job with other inputs ends this one with `KeyConflict`; files count by
            their content, links without their query. By default, with a journal, the key is derived from the inputs;
            signed links differ each time, so give a key then.
        :param resubmit: buy it once more, knowingly, as the key's next attempt; what the server had lost, only if it
            still does not know it.
        :raises SessionError: the session is not open here.
        """
        return self._start(request, SubmitOptions(key=idempotency_key, resubmit=resubmit))

    def _start(self, request: Request, options: SubmitOptions) -> Job:
        runtime = self._open()
        if not isinstance(request, Request):
            raise InvalidRequestError(f"{request!r:.80} is no request")
        if options.key is not None and not (isinstance(options.key, str) and 0 < len(options.key) <= 500):
            raise InvalidRequestError(f"idempotency_key = {options.key!r:.80}: must be text of 1 to 500 characters")
        if options.key is not None and UNSTORABLE.search(options.key):
            raise InvalidRequestError(
                f"idempotency_key = {options.key!r:.80}: must hold no NUL and no half of a surrogate pair"
            )
        job = runtime.services.new_job(request, key=options.key)
        runtime.services.submissions.put(job, options)
        return job

    async def submit(self, request: Request, *, idempotency_key: str | None = None, resubmit: bool = False) -> Job:
        """Submit a job, and return when the server has accepted it. Cancelled before its POST leaves, nothing is sent.

        :param idempotency_key: as in `submit_nowait`.  :param resubmit: as in `submit_nowait`.
        :raises SubmitUnknown: nobody knows whether it was accepted; it was not sent again.
        :raises RHError: it was not accepted.
        """
        job = self._start(request, SubmitOptions(key=idempotency_key, resubmit=resubmit))
        with self._withdrawn_if_given_up(job):
            await job.accepted()
        return job

    async def run(
        self,
        request: Request,
        *,
        idempotency_key: str | None = None,
        resubmit: bool = False,
        output_dir: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Result:
        """Submit a job, wait for it, and save what it made if ``output_dir`` names a folder.

        :param idempotency_key: as in `submit_nowait`.  :param resubmit: as in `submit_nowait`.
        :raises JobError: it did not end well.
        :raises RHError: it was not accepted, or could not be saved.
        """
        job = self._start(
            request, SubmitOptions(key=idempotency_key, resubmit=resubmit, output_dir=output_dir_from(output_dir))
        )
        with self._withdrawn_if_given_up(job):
            result = await job
        return result if output_dir is None else await self._saved(output_dir, overwrite, result)

    def map(
        self, requests: Requests[R], *, output_dir: str | os.PathLike[str] | None = None, overwrite: bool = False
    ) -> OutcomeStream[Outcome[R]]:
        """Run many requests, and iterate over how they ended, as they end.

        :param requests: any iterable, also an asynchronous one; taken from as there is room.
        :param output_dir: a folder for what they make.
        """
        from ._runtime.bulk_port import BulkPort  # noqa: PLC0415 - loaded with the runtime

        runtime = self._open()
        save = None if output_dir is None else partial(self._saved, output_dir, overwrite)
        submit = partial(self._start, options=SubmitOptions(output_dir=output_dir_from(output_dir)))
        return BulkRunner(host=BulkPort(runtime), requests=requests, submit=submit, save=save).stream

    def batch(
        self,
        plan: Plan,
        output_dir: str | os.PathLike[str],
        *,
        naming: OutputNaming | None = None,
        budget: Decimal | float | None = None,
        retry_failed: bool = False,
    ) -> Batch:
        """Run a plan, and iterate over how its entries end; nothing starts before the first is asked for.

        With a journal, the same plan run again continues: what is done is not redone, what runs is not resubmitted. The
        network's trouble is waited out; the account's, the disk's and a reached budget start nothing more, and what
        runs is finished. Without a journal nothing of that is remembered: every run buys everything.

        :param output_dir: the folder for outputs; ``batch.jsonl`` in it gets a line per outcome.
        :param names: names them.
        :param budget: what the batch may cost, with what earlier runs into ``output_dir`` bought of it, in the
            account's currency: USD on the global site, CNY on the China site. The server is asked for the price of one
            job of each kind, and the others follow in proportion to the list; where it tells none, the list's price
            counts, if that is in the same currency. A job without a price in the account's currency is not started.
        :param retry_failed: whether what failed or was refused before is submitted, and paid, once more.
        :raises ConfigurationError: the budget is no amount.
        :raises SessionError: the session is not open here.
        """
        from ._runtime.bulk_port import BulkPort  # noqa: PLC0415
        from .batch import Batch  # noqa: PLC0415 - as above

        limit = None if budget is None else _money(budget)
        folder = (output_dir_from(output_dir) or Path()).absolute()
        runtime = self._open()
        runtime.files.include(plan.files)
        return Batch(plan, folder, port=BulkPort(runtime), naming=naming, budget=limit, retry_failed=retry_failed)

    async def price(self, request: Request) -> Price:
        """What the server says that a request would cost; nothing is bought. What it needs uploaded goes up.

        :raises ApiError: the server has no price for it, or would not take it.
        :raises RHError: nothing could be learnt.
        """
        from .models.prices import Price  # noqa: PLC0415 - as above

        runtime = self._open()
        quote = await runtime.run_in_session(partial(runtime.services.calls.price, request))
        return Price(quote.amount, quote.currency)

    def attach(self, task_id: str) -> Job:
        """Attach to a task submitted elsewhere, or by an earlier session; it takes no place in ``in_flight``.

        :raises InvalidRequestError: that is no task id.
        """
        runtime, known = self._open(), task_id_from(task_id)
        if known in runtime.services.poller.jobs:
            return runtime.services.poller.jobs[known][0]
        job = runtime.services.new_job(task_id=known)
        runtime.services.poller.track(job, known)
        return job

    async def check(self, request: Request) -> tuple[Issue, ...]:
        """Find what is wrong with a request, or doubtful, before it is submitted; nothing is sent.

        Its files are looked into and held against what the model is documented to take, as a batch's are. Without the
        ``media`` extra they are judged by kind, size and length alone, and an issue says so.

        :return: every problem; those that `Issue.is_error` would be refused. Empty if there is none.
        """
        from .batch import check_request  # noqa: PLC0415 - as above

        if not isinstance(request, Request):
            raise InvalidRequestError(f"{request!r:.80} is no request")
        if not any(request.sources()):
            return await check_request(request)
        async with self._open(asking=False).services.spool.files(request) as with_files:
            return await check_request(with_files)

    async def find(self, key: str) -> SubmissionRecord | None:
        """Tell what the journal has of a key: its last attempt; None if it was never submitted. Nobody is asked.

        :raises RHError: there is no journal, or it cannot be used.
        """
        return await self._open(asking=False).services.recovery.open_journal().find(key)

    def jobs(
        self, *, state: SubmissionState | str | Iterable[SubmissionState | str] | None = None, prefix: str = ""
    ) -> AsyncIterator[SubmissionRecord]:
        """Iterate over what the journal has, in the order of submission, read as it is asked for; nobody is asked.

        :param state: only attempts in this state, or in one of these.
        :param prefix: only those whose key begins so.
        :raises InvalidRequestError: there is no such state.
        :raises SessionError: there is no journal, or the session is not open here.
        """
        return self._open(asking=False).services.recovery.records(states_from(state), prefix)

    async def get_status(self, task_id: str) -> Snapshot:
        """Ask about a task once, now.

        :raises InvalidRequestError: that is no task id.
        :raises NotFound: the server does not know the task, or no longer.
        :raises RHError: nothing could be learnt.
        """
        runtime = self._open()
        return await runtime.run_in_session(partial(runtime.services.calls.get_status, task_id_from(task_id)))

    async def cancel(self, task_id: str) -> Snapshot:
        """Ask that a task be stopped, and tell what became of it: it may have been over already.

        :raises InvalidRequestError: that is no task id.
        :raises NotFound: the server does not know the task, or no longer.
        :raises RHError: nothing could be learnt.
        """
        runtime = self._open()
        return await runtime.run_in_session(partial(runtime.services.account_api.cancel, task_id_from(task_id)))

    @property
    def unanswered_for(self) -> float:
        """How many seconds ago the first call began, if none was ever answered: the address may be wrong. Else 0."""
        transport = self._transport
        if transport.server_responded or transport.first_call_at is None:
            return 0.0
        return asyncio.get_running_loop().time() - transport.first_call_at

    def statistics(self) -> Statistics:
        """How the session stands: jobs, questions, lateness, and what was learnt of run times.

        :raises SessionError: the session is not open here.
        """
        return self._open(asking=False).services.statistics()

    async def account(self) -> Account:
        """Key type, limit, tasks and wallet.

        :raises AuthenticationFailed: the key is refused.
        :raises RHError: nothing could be learnt.
        """
        runtime = self._open()
        return await runtime.run_in_session(runtime.services.account_api.account)

    @property
    def recovery(self) -> Recovery:
        """Come back to what earlier sessions submitted: resume, unconfirmed, confirm, discard."""
        return Recovery(lambda: self._open().services.recovery)

    async def handle_webhook(self, body: bytes, *, token: str = "") -> Job | None:
        """Take a webhook's delivery. It wakes, it never decides: bodies are unsigned, so the server is asked.

        :param token: ``rh_nonce`` from the address that was called; with a journal each attempt's differs, so that a
            delivery can adopt a submission that was uncertain until now.
        :return: the job it is about; None if this session has nothing to do with it.
        :raises RHError: an uncertain submission could not be looked into.
        """
        runtime, task_id = self._open(), decode_webhook(body)
        if task_id is None:
            return None
        if task_id in runtime.services.poller.jobs:
            runtime.services.poller.poll_soon(task_id)
            return runtime.services.poller.jobs[task_id][0]
        return None if runtime.journal is None else await runtime.services.recovery.adopt_delivery(task_id, token)

    async def upload(
        self, source: str | os.PathLike[str] | Media | BinaryFile | Picture | AsyncIterable[bytes]
    ) -> Upload:
        """Bring media to the server; the `Upload` can stand in a request wherever a path can.

        :param source: a local file's path, or `Media`, or what becomes it: an open binary file, a Pillow image, an
            asynchronous iterable of bytes.
        :raises InvalidRequestError: it is none of these.
        :raises InvalidMedia: it cannot be read.
        :raises RHError: it could not be brought up.
        """
        runtime = self._open()
        return await runtime.run_in_session(partial(runtime.services.calls.upload, _source(source)))

    async def save(
        self, result: Result, output_dir: str | os.PathLike[str], *, overwrite: bool = False
    ) -> tuple[Path, ...]:
        """Bring every output of a result to disk, named after task and place.

        :param overwrite: whether a file that is there already is fetched again.
        :raises SaveError: the disk refused.
        :raises RHError: an output could not be fetched.
        """
        runtime = self._open(asking=False)
        where = output_dir_from(output_dir) or Path()
        return await runtime.run_in_session(partial(runtime.services.calls.save, result, where, overwrite=overwrite))

    async def _saved(self, folder: str | os.PathLike[str], overwrite: bool, result: Result) -> Result:
        return evolve(result, paths=await self.save(result, folder, overwrite=overwrite))

    @contextmanager
    def _withdrawn_if_given_up(self, job: Job) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError as error:
            if self._runtime is not None and self._runtime.services.submissions.withdraw(job):
                error.add_note("It had not been sent, and was taken back: nothing is paid.")
            raise

    def _open(self, *, asking: bool = True) -> SessionRuntime:
        if self._runtime is None:
            raise SessionError("the session is not open: use it inside 'async with'")
        self._runtime.check(asking=asking)
        return self._runtime


def _furnished(*, transport: Transport, journal: Path | None, **settings: Any) -> SessionRuntime:
    """What runs while the session is open: a third of the package, loaded when the first one is, off the event loop."""
    from . import batch  # noqa: F401, PLC0415 - named while jobs run, it could not be loaded without a descriptor
    from ._api.wire import prepare  # noqa: PLC0415
    from ._runtime import bulk_port  # noqa: F401, PLC0415 - likewise
    from ._runtime.runtime import SessionRuntime  # noqa: PLC0415
    from ._runtime.services import journal_at  # noqa: PLC0415

    prepare()
    for name in ("idna", "ascii"):  # the resolver's, for a host's name, and a terminal's
        codecs.lookup(name)
    book = None if journal is None else journal_at(journal, transport.base_url)
    return SessionRuntime(transport=transport, journal=book, **settings)


def _money(given: object) -> Decimal:
    try:
        return Decimal(str(given))
    except InvalidOperation:
        raise ConfigurationError(f"budget = {given!r:.80}: must be an amount of money") from None


def _connector(given: Connector | None) -> Connector | None:
    if given is not None and not (isinstance(given, Connector) and given.force_close):
        raise ConfigurationError(f"connector = {given!r:.80}: must be an aiohttp connector with force_close=True")
    return given


def _source(given: object) -> Path | Media:
    if isinstance(given, str) and given.lower().startswith(("http://", "https://", "data:")):
        raise InvalidRequestError(f"{given!r:.80} is a link: it can stand in a request as it is")
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        return Path(os.fsdecode(given))
    if (media := media_from(given)) is not None:
        return media
    hint = ": give Media.from_bytes(data, name)" if isinstance(given, bytes | bytearray | memoryview) else ""
    raise InvalidRequestError(f"{type(given).__name__} is no path, open binary file, image, stream or Media{hint}")


def _api_key(given: Secret | None) -> Secret:
    named = Secret(os.environ.get("RUNNINGHUB_API_KEY") or os.environ.get("RH_API_KEY") or "")
    key = Secret((given or named).strip())
    if not key:
        raise ConfigurationError("there is no API key: give api_key= or set RUNNINGHUB_API_KEY")
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        raise ConfigurationError("the API key stands in quotes: paste it without them")
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigurationError("the API key has spaces or characters no key has: check what was pasted")
    return key


def _proxy(given: str | None) -> str | None:
    if given is not None and not is_proxy(given):  # not shown: it may hold a password
        raise ConfigurationError(
            "proxy must look like http://host:port, with user:password@ before the host if need be"
        )
    return given


def resolve_base_url(given: str | None) -> str:
    """Return the address of the server: as given, else from the environment, else the global site.

    Needs no API key: a journal is read by its site without one.

    :raises ConfigurationError: it is no address.
    """
    named = given or os.environ.get("RUNNINGHUB_BASE_URL") or os.environ.get("RH_API_BASE_URL") or GLOBAL_SITE
    url = named.strip().rstrip("/").removesuffix(_API_SUFFIX)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:  # not shown: it may hold a password
        raise ConfigurationError(f"base_url must look like {GLOBAL_SITE}, without user name or password")
    return url
