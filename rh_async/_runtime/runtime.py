"""What runs while a session is open: the rooms, joined, opened and closed in order.

They live in one task of their own, so that a session may be entered and left in different tasks and no cancel scope
wraps the caller's code. If they crash, every job is broken with that error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
from attrs import define, evolve, field

from rh_async._api.endpoints import CURRENCIES, PriceQuote
from rh_async._concurrency.defects import unexpected
from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._concurrency.single_flight import SingleFlight
from rh_async._http.transport import Transport
from rh_async._job_updates import apply_snapshot, outcome_of, set_outcome
from rh_async._journal.records import SubmitOptions
from rh_async._journal.sqlite import Journal
from rh_async._media.local_file import LocalFiles
from rh_async._polling.policy import PollingPolicy
from rh_async._polling.poller import Poller
from rh_async._polling.scheduler import PollScheduler
from rh_async._submission.concurrency import ConcurrencyLimiter
from rh_async._submission.deduplication import PriorAttempt, SubmissionRegistry
from rh_async._submission.job_log import log_change, log_job
from rh_async._submission.recovery_service import RecoveryService
from rh_async._submission.slots import ConcurrencySlots
from rh_async._submission.submission import Submitter
from rh_async._submission.submission_queue import SubmissionQueue
from rh_async._transfer.download_policy import DownloadPolicy
from rh_async._transfer.download_stream import Naming
from rh_async._transfer.downloads import Downloads
from rh_async._transfer.media_spool import Spool
from rh_async._transfer.uploads import Uploads
from rh_async.errors import JournalError, ResponseLost, RHError, SessionError
from rh_async.events import Changed, Event, Settled, Waiting
from rh_async.job import Job
from rh_async.models.base import MediaFile, Request
from rh_async.models.media_input import Media
from rh_async.types import Account, OnExit, Output, Result, Snapshot, TaskId, Upload

from .account import AccountApi
from .notifier import EventNotifier
from .statistics import RunTimeSummary, Statistics, mean_and_p99

log = logging.getLogger(__name__)

T = TypeVar("T")

_CANCEL_PATIENCE = 60.0  # seconds
_SAVE_LATER = "It is done and paid: session.recovery.resume saves it, and so does the same submission again."


@define(eq=False, kw_only=True, repr=False)
class SessionRuntime:
    """The rooms of one open session."""

    transport: Transport
    polling: PollingPolicy
    in_flight: int | None
    tell: EventNotifier
    journal: Journal | None = None
    on_exit: OnExit = "detach"
    files: LocalFiles = field(factory=LocalFiles)
    download_policy: DownloadPolicy = field(factory=DownloadPolicy)
    recovery: RecoveryService = field(init=False)
    registry: SubmissionRegistry = field(init=False)
    poller: Poller = field(init=False)
    uploads: Uploads = field(init=False)
    spool: Spool = field(init=False)
    downloads: Downloads = field(init=False)
    limiter: ConcurrencyLimiter = field(init=False)
    submitter: Submitter = field(init=False)
    submissions: SubmissionQueue = field(init=False)
    account_api: AccountApi = field(init=False)
    tasks: SessionTasks = field(init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _host: asyncio.Task[None] = field(init=False)
    _ready: anyio.Event = field(factory=anyio.Event, init=False)
    _stop: anyio.Event = field(factory=anyio.Event, init=False)
    _refused: RHError | None = field(default=None, init=False)
    _crash: SessionError | None = field(default=None, init=False)
    _wanted: dict[Job, Path] = field(factory=dict, init=False)  #: where a job's outputs go before it ends
    _saving: set[Job] = field(factory=set, init=False)  #: whose outputs are on the way there
    settled: int = field(default=0, init=False)  #: jobs whose end the server has told
    _leaving: bool = field(default=False, init=False)

    # --- one lifetime ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the rooms.

        :raises JournalError: the journal cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        if self.journal is not None:
            self.journal.on_held = lambda seconds: self.tell(Waiting(reason="journal", seconds=seconds))
            await self.journal.open(self.transport.api_key)
        self.transport.open()
        self._host = asyncio.create_task(self._serve(), name="rh_async services")
        self._host.add_done_callback(self._host_ended)
        try:
            await self._ready.wait()
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> RHError | None:
        """Withdraw what has not been sent, finish open POSTs, let go of what runs; why the services crashed, if so.

        However often the caller is cancelled meanwhile, the closing is finished first.
        """
        closing = asyncio.create_task(self._close(), name="rh_async closing")
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        closing.result()
        return None if self._crash is None else self._crash.fresh()

    async def _close(self) -> None:
        self._leaving = True
        await self._ready.wait()
        self.submissions.withdraw_all()
        if not self._host.done() and self._crash is None:
            await self._leave_as_told()
        self._stop.set()
        await asyncio.wait({self._host})
        if ids := sorted(self.poller.jobs):
            log.warning("rh_async.left_running %s", " ".join(ids), extra={"task_ids": ids})
        if self._crash is None:  # else they have ended, and the timetable may be in any state
            self._break(SessionError("the session ended while the job was running; it goes on remotely"))
        self.submissions.break_all(SessionError("the session ended"))
        self._end_unsaved()
        await self.transport.close()
        await self.spool.close()
        if self.journal is not None:
            await self.journal.close()

    def check(self, *, asking: bool = True) -> None:
        """Refuse use from elsewhere, or after the end.

        :param asking: whether the server is to be asked anything, which a refused key forbids.
        :raises RHError: the services are not to be used.
        """
        if asking and self._refused is not None:
            raise self._refused.fresh()
        if self._crash is not None:
            raise self._crash.fresh()
        if self._leaving:
            raise SessionError("the session has ended")
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            raise SessionError("there is no running event loop here") from None
        if here is not self._loop:
            raise SessionError("the session belongs to another event loop")

    async def _serve(self) -> None:
        async with anyio.create_task_group() as group:
            self.tasks = SessionTasks(group, self._crashed)
            self._open_rooms()
            self.tasks.start_soon(self.poller.run)
            self._ready.set()
            await self._stop.wait()
            group.cancel_scope.cancel()

    def _open_rooms(self) -> None:
        self.poller = Poller(
            transport=self.transport,
            scheduler=PollScheduler(self.polling),
            currency=CURRENCIES.get(self.transport.base_url),
            on_settled=self._settled,
            on_lost=self._lost,
            on_defect=self._failed,
            on_changed=self._changed,
            on_counters=self._counted,
            on_key_rejected=self._key_refused,
        )
        self.limiter = ConcurrencyLimiter(self.in_flight)
        self.registry = SubmissionRegistry(
            journal=self.journal, currency=self.poller.currency, wall=wall, watch=self._watch, look=self.get_status
        )
        self.account_api = AccountApi(self.transport, self.poller)
        self.uploads = Uploads(
            transport=self.transport,
            tasks=self.tasks,
            emit=self.tell,
            wall=wall,
            journal=self.journal,
            files=self.files,
        )
        self.spool = Spool(tasks=self.tasks)
        self.downloads = Downloads(
            transport=self.transport, refresh_outputs=self._fresh, emit=self.tell, policy=self.download_policy
        )
        if self.journal is not None:
            self.downloads.session_id = self.journal.owner.name
        self.recovery = RecoveryService(
            journal=self.journal,
            registry=self.registry,
            look=self.get_status,
            ask=self.poller.get_status,
            save=self.save,
            save_at_end=self._wanted.__setitem__,
            new_job=self.new_job,
        )
        slots = ConcurrencySlots(limiter=self.limiter, emit=self.tell)
        self.submitter = Submitter(
            transport=self.transport,
            uploads=self.uploads,
            spool=self.spool,
            slots=slots,
            poller=self.poller,
            registry=self.registry,
            on_accepted=self._accepted,
            emit=self.tell,
            utc_now=wall,
        )
        self.submissions = SubmissionQueue(
            tasks=self.tasks,
            slots=slots,
            submitter=self.submitter,
            registry=self.registry,
            poller=self.poller,
            on_not_accepted=self._never_accepted,
            is_closing=lambda: self._leaving,
        )

    def _host_ended(self, host: asyncio.Task[None]) -> None:
        self._ready.set()
        if not host.cancelled() and (cause := host.exception()) is not None:
            self._crashed(cause)
        elif not self._stop.is_set():
            self._end_all(SessionError("the session's services were cancelled from outside"))

    def _crashed(self, cause: BaseException) -> None:
        """End every wait at once: the last task may take a while to end, with a POST to be finished."""
        if self._crash is None:
            self._end_all(_services_failed(cause))

    def _end_all(self, crash: SessionError) -> None:
        """End every job with the crash. It may have left anything half done, so that nothing here relies on anything.

        Nor is it known to run in a task: the host's end is told by a callback of the loop.
        """
        self._crash = crash
        known = ((id_, job) for id_, jobs in self.poller.jobs.items() for job in jobs)
        for task_id, job in [*known, *((job.task_id, job) for job in (*self.poller.settling, *self._saving))]:
            own = crash.fresh()
            own.task_id, own.maybe_billed = task_id, True
            self._told_whatever(job, own)
        self.submissions.break_all(crash)

    def _told_whatever(self, job: Job, error: RHError) -> None:
        try:
            self._told(job, error)
        except Exception:  # the other jobs must end, too
            log.exception("rh_async.crashing %r", job)

    def cut_short(self, words: str) -> SessionError:
        """The error that tells that the session ended, and why it crashed if it did."""
        error = SessionError(words)
        error.__cause__ = None if self._crash is None else self._crash.__cause__
        return error

    def _break(self, error: RHError) -> None:
        """End the wait for every job in flight, though none has settled: it may be attached to again."""
        for task_id, jobs in list(self.poller.jobs.items()):
            self.poller.forget(task_id)
            for job in jobs:
                own = error.fresh()
                own.task_id, own.key, own.maybe_billed = task_id, job.key, True
                self._told(job, own)

    # --- what the rooms report ---------------------------------------------------------------------------------------

    async def _accepted(self, job: Job, snapshot: Snapshot) -> None:
        if snapshot.settled and (snapshot.outputs or not snapshot.succeeded):
            await self._settled(job, snapshot)
        else:
            assert job.request is not None  # noqa: S101 - for the type checker: only requests are submitted
            await self._watch(job, snapshot.task_id, job.request.endpoint)

    async def _watch(self, job: Job, task_id: TaskId, endpoint: str, *, age: float = 0.0) -> None:
        """Ask about a job that the server accepted so many seconds ago."""
        accepted_at, known = self._loop.time() - age, endpoint in self.poller.scheduler.estimators
        self.poller.track(job, task_id, accepted_at=accepted_at, endpoint=endpoint, at_once=age > 0.0)
        if age > 0.0:
            self.submissions.slots.adopt(job)
        if not known:
            for run_time, driving in await self.registry.run_times(endpoint):
                self.poller.scheduler.learn(endpoint, run_time, driving)

    def _changed(self, snapshot: Snapshot) -> None:
        self.tell(Changed(snapshot=snapshot))
        for job in self.poller.jobs.get(snapshot.task_id, ()):
            log_job("status", job, says=snapshot.status)
            if self.registry.notice_status(job, snapshot):
                self.tasks.start_soon(self._noted, job)

    async def _noted(self, job: Job) -> None:
        try:
            await self.registry.record_status(job)
        except JournalError as error:
            log.error("rh_async.journal_failed %s", error)  # noqa: TRY400 - one line; the error says it all

    def _counted(self, account: Account) -> None:
        if account.limit is not None:
            self.submissions.set_limit(account.limit)

    async def _settled(self, job: Job, snapshot: Snapshot) -> None:
        noticed = wall()
        await self.registry.mark_settled(job, snapshot, noticed)
        if apply_snapshot(job, snapshot):
            self.tell(Changed(snapshot=snapshot))
        await self._end(job, outcome_of(job, snapshot, noticed_utc=noticed))

    async def _lost(self, job: Job, error: RHError) -> None:
        await self.registry.mark_lost(job, error)
        await self._end(job, error)

    def _failed(self, job: Job, error: RHError) -> None:
        """End the wait for a job that goes on remotely: its record stays, and the next session asks about it."""
        own = error.fresh()
        own.task_id, own.key, own.maybe_billed, own.phase = job.task_id, job.key, True, "query"
        self.submissions.release_slot(job)
        self._told(job, own)

    async def _end(self, job: Job, outcome: Result | RHError) -> None:
        self.settled += 1
        await self.registry.release(job)
        self.submissions.release_slot(job)
        folder = self._wanted.pop(job, None)
        if folder is None or not isinstance(outcome, Result):
            self._told(job, outcome)
        else:
            log_job("settled", job, says=job.status)
            self.tell(Settled(task_id=job.task_id, result=outcome, error=None))
            self._saving.add(job)
            self.tasks.start_soon(self._save_and_end, job, outcome, folder)

    async def _save_and_end(self, job: Job, result: Result, folder: Path) -> None:
        """Save what a job made, and only then end it: whoever awaits the job has its files."""
        try:
            set_outcome(job, evolve(result, paths=await self.save(result, folder)))
        except RHError as error:
            set_outcome(job, error)
        except Exception as defect:  # noqa: BLE001 - the seam: what one save meets ends that job, and no other
            set_outcome(job, unexpected(defect))
        self._saving.discard(job)

    def _end_unsaved(self) -> None:
        """End the jobs whose outputs were still being saved: they are paid, and another session saves them."""
        for job in self._saving:
            why = "the session ended before the outputs were saved"
            set_outcome(job, SessionError(why, task_id=job.task_id, key=job.key, maybe_billed=True, advice=_SAVE_LATER))

    def _never_accepted(self, job: Job, error: RHError) -> None:
        self._told_whatever(job, error)

    def _told(self, job: Job, outcome: Result | RHError) -> None:
        set_outcome(job, outcome)
        log_job("settled", job, says=job.error or job.status)
        self.tell(Settled(task_id=job.task_id, result=job.result, error=job.error))

    def _key_refused(self, error: RHError) -> None:
        """Nothing more is asked and nothing more is sent; the jobs stay as the server has them."""
        self._refused = error.fresh()
        self._break(error)
        self.submissions.withdraw_all(error)

    async def run_in_session(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do a caller's work as the session's own, so that it ends with the session; given up, it is stopped first.

        :raises SessionError: the session ended first.
        :raises RHError: the work failed.
        """
        flight = SingleFlight[T]()
        self.tasks.start_soon(flight.run, work)
        try:
            return await flight.value()
        except SessionError:
            if self._crash is not None and flight.error is None:
                raise self._crash.fresh() from self._crash.__cause__
            raise
        except asyncio.CancelledError:
            flight.scope.cancel()
            with anyio.CancelScope(shield=True):
                await flight.done.wait()
            raise

    def new_job(self, request: Request | None = None, **facts: Any) -> Job:
        """A handle that can be stopped."""
        return Job(request=request, controller=self, **facts)

    def eta(self, job: Job) -> float | None:
        """How many seconds a job will probably still take; None where nothing is known."""
        return None if job.task_id is None else self.poller.scheduler.eta(job.task_id, now=self._loop.time())

    def statistics(self) -> Statistics:
        """How the session stands."""
        scheduler = self.poller.scheduler
        detection_latency, p99 = mean_and_p99(scheduler.detection_latencies)
        return Statistics(
            waiting=self.submissions.not_accepted,
            in_flight=len(self.poller.jobs),
            limit=self.limiter.limit,
            settled=self.settled,
            requests={"submit": self.submitter.posts_sent, "query": 0, "queue_status": 0, **self.poller.requests},
            detection_latency=detection_latency,
            detection_latency_p99=p99,
            run_times={endpoint: RunTimeSummary.of(known.unscaled) for endpoint, known in scheduler.estimators.items()},
            counter_confidence=scheduler.detector.confidence,
        )

    async def cancel(self, job: Job) -> Snapshot | None:
        """Stop a job: one that has not been sent is withdrawn, one that has is asked to stop.

        :return: what became of it; None if the server does not have it.
        :raises RHError: nothing could be learnt.
        """
        if job.task_id is None:
            self.submissions.withdraw(job)
            return None
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CANCEL_PATIENCE):
            snapshot = await self.account_api.cancel(job.task_id)
            await self.poller.on_snapshot(snapshot)
            return snapshot
        raise ResponseLost("nothing could be learnt of the cancellation", phase="cancel", task_id=job.task_id)

    async def save(
        self, result: Result, folder: Path, *, overwrite: bool = False, name: Naming | None = None
    ) -> tuple[Path, ...]:
        """Bring a result to disk, and write that down.

        :raises RHError: it could not be.
        """
        paths = await self.downloads.save(result, folder, overwrite=overwrite, name=name)
        log_change("saved", task_id=result.task_id, says=" ".join(map(str, paths)))
        await self.registry.mark_saved(result.task_id, paths)
        return paths

    @property
    def currency(self) -> str | None:
        """What the site bills in; None for a host that is neither site."""
        return self.poller.currency

    async def account(self) -> Account:
        """What the account says of itself.

        :raises RHError: nothing could be learnt.
        """
        return await self.account_api.account()

    async def price(self, request: Request) -> PriceQuote:
        """What the server says that a request would cost; what it needs uploaded goes up.

        :raises RHError: nothing could be learnt.
        """
        async with self.spool.files(request) as asked:
            uploads: dict[Path | Upload, Upload] = {one: await self.uploads.refresh_url(one) for one in asked.uploads()}
            for file in asked.media():
                uploads[file.path] = await self.uploads.upload(file)
            return await self.account_api.price(asked.endpoint, asked.to_body(uploads.__getitem__))

    async def upload(self, source: Path | Media) -> Upload:
        """Bring a local file, or media that is none, to the server.

        :raises InvalidMedia: it cannot be read.
        :raises RHError: it could not be brought up.
        """
        if isinstance(source, Path):
            return await self.uploads.upload(MediaFile(source, "file"))
        async with self.spool.file(source) as path:
            return await self.uploads.upload(MediaFile(path, "file"))

    # --- what a batch asks for ---------------------------------------------------------------------------------------

    async def prior_attempt(self, request: Request, key: str | None) -> PriorAttempt:
        """What is known of a submission before it is made.

        :raises InvalidMedia: a file cannot be read, or is not what its field takes.
        :raises JournalError: the journal cannot be used.
        """
        async with self.spool.files(request) as asked:
            files = {media.path: await self.uploads.read(media) for media in asked.media()}
            return await self.registry.prior_attempt(asked, key, {path: file.sha256 for path, file in files.items()})

    def begin(self, request: Request, options: SubmitOptions) -> Job:
        """Take a job in and return at once.

        :raises RHError: the session is not to be used.
        """
        self.check()
        job = self.new_job(request, key=options.key)
        self.submissions.put(job, options)
        return job

    def withdraw(self, job: Job) -> None:
        """Stop a job whose POST has not left; harmless for any other."""
        self.submissions.withdraw(job)

    @property
    def window(self) -> int:
        """How many jobs may be under way at once, from upload to settlement."""
        return self.submissions.window

    @property
    def on_capacity(self) -> list[Callable[[], object]]:
        """Called when more jobs could be carried."""
        return self.submissions.on_capacity

    @property
    def event_listeners(self) -> list[Callable[[Event], object]]:
        """The functions that are called with every event of the session."""
        return self.tell.listeners

    async def _leave_as_told(self) -> None:
        """Cancel what runs, or wait for it, if that is how the session is to be left."""
        if self.on_exit != "detach":
            await self.submissions.wait_tasks_done()
        jobs = [job for several in self.poller.jobs.values() for job in several]
        if self.on_exit == "cancel":
            for job in jobs:
                with self._told_only():
                    await self.cancel(job)
        if self.on_exit == "drain":
            for job in (*jobs, *self._saving):
                with self._told_only():
                    await job

    @contextmanager
    def _told_only(self) -> Iterator[None]:
        try:
            yield
        except RHError as error:
            log.warning("rh_async.on_exit %s", error)

    async def get_status(self, task_id: TaskId) -> Snapshot:
        """Ask about a job now, and again while that is of use.

        :raises RHError: nothing could be learnt.
        """
        return await self.transport.with_retries(partial(self.poller.get_status, task_id))

    async def _fresh(self, task_id: TaskId) -> tuple[Output, ...]:
        return (await self.get_status(task_id)).outputs


def journal_at(path: Path, site: str) -> Journal:
    """One site's journal, on the wall's clock."""
    return Journal(path=path, site=site, wall=wall)


def wall() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


def _services_failed(cause: BaseException) -> SessionError:
    while isinstance(cause, BaseExceptionGroup):  # the same bug may have struck several tasks; one says enough
        cause = cause.exceptions[0]
    failure = SessionError(f"the session's services failed: {cause!r}")
    failure.__cause__ = cause
    return failure
