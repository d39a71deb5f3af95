"""Make the services of one session, and connect them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from attrs import define, field

from rh_async._api.endpoints import CURRENCIES
from rh_async._api.task_family import TaskFamily
from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._http.transport import Transport
from rh_async._journal.records import SubmitOptions
from rh_async._journal.sqlite import SqliteStore
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async._media.local_file import LocalFiles
from rh_async._polling.policy import PollingPolicy
from rh_async._polling.poller import Poller
from rh_async._polling.scheduler import PollScheduler
from rh_async._submission.concurrency import ConcurrencyLimiter
from rh_async._submission.deduplication import SubmissionRegistry
from rh_async._submission.recovery_service import RecoveryService
from rh_async._submission.slots import ConcurrencySlots
from rh_async._submission.submission import Submitter
from rh_async._submission.submission_queue import SubmissionQueue
from rh_async._transfer.download_policy import DownloadPolicy
from rh_async._transfer.downloads import Downloads
from rh_async._transfer.media_spool import Spool
from rh_async._transfer.uploads import Uploads
from rh_async.errors import RHError
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Output, Result, Snapshot, TaskId

from .account import AccountApi
from .notifier import EventNotifier
from .session_calls import SessionCalls
from .settlement import Settlement
from .statistics import RunTimeSummary, Statistics, mean_and_p99


@define(eq=False, kw_only=True, repr=False)
class SessionServices:
    """The services of one open session.

    :param in_flight: how many jobs may be in flight; None to learn it.
    :param tasks: the session's task group.
    :param now: the clock of the event loop.
    :param reject_key: called when the server rejects the API key.
    :param is_closing: whether the session is being closed in order.
    """

    transport: Transport
    polling: PollingPolicy
    in_flight: int | None
    notifier: EventNotifier
    journal: SubmissionJournal | None
    download_policy: DownloadPolicy
    files: LocalFiles
    tasks: SessionTasks
    now: Callable[[], float]
    reject_key: Callable[[RHError], None]
    is_closing: Callable[[], bool]
    settlement: Settlement = field(init=False)
    poller: Poller = field(init=False)
    registry: SubmissionRegistry = field(init=False)
    spool: Spool = field(init=False)
    uploads: Uploads = field(init=False)
    downloads: Downloads = field(init=False)
    submitter: Submitter = field(init=False)
    submissions: SubmissionQueue = field(init=False)
    account_api: AccountApi = field(init=False)
    calls: SessionCalls = field(init=False)
    recovery: RecoveryService = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Each is made after those it uses.
        self.settlement = Settlement(tasks=self.tasks, emit=self.notifier, save=self._save, utc_now=utc_now)
        self.settlement.poller = self.poller = self._make_poller()
        self.account_api = AccountApi(self.transport, self.poller)
        self.settlement.registry = self.registry = SubmissionRegistry(
            journal=self.journal,
            currency=self.poller.currency,
            wall=utc_now,
            watch=self.settlement.poll,
            get_status=self._get_status,
        )
        self._make_transfers()
        self._make_submissions()
        self.calls = SessionCalls(
            transport=self.transport,
            poller=self.poller,
            spool=self.spool,
            uploads=self.uploads,
            downloads=self.downloads,
            registry=self.registry,
            queue=self.submissions,
            account_api=self.account_api,
            now=self.now,
        )
        self.recovery = RecoveryService(
            journal=self.journal,
            registry=self.registry,
            get_status=self.calls.get_status,
            ask=self.poller.get_status,
            save=self.calls.save,
            save_at_end=self.settlement.output_dirs.__setitem__,
            new_job=self.new_job,
        )

    def _make_poller(self) -> Poller:
        return Poller(
            transport=self.transport,
            scheduler=PollScheduler(self.polling),
            currency=CURRENCIES.get(self.transport.base_url),
            on_settled=self.settlement.on_settled,
            on_lost=self.settlement.on_lost,
            on_defect=self.settlement.on_defect,
            on_changed=self.settlement.on_changed,
            on_counters=self.settlement.on_account,
            on_key_rejected=self.reject_key,
        )

    def _make_transfers(self) -> None:
        self.spool = Spool(tasks=self.tasks)
        self.uploads = Uploads(
            transport=self.transport,
            tasks=self.tasks,
            emit=self.notifier,
            wall=utc_now,
            journal=self.journal,
            files=self.files,
        )
        self.downloads = Downloads(
            transport=self.transport,
            refresh_outputs=self._fresh_outputs,
            emit=self.notifier,
            policy=self.download_policy,
        )
        if self.journal is not None:
            self.downloads.session_id = self.journal.owner

    def _make_submissions(self) -> None:
        slots = ConcurrencySlots(limiter=ConcurrencyLimiter(self.in_flight), emit=self.notifier)
        self.submitter = Submitter(
            transport=self.transport,
            uploads=self.uploads,
            spool=self.spool,
            slots=slots,
            poller=self.poller,
            registry=self.registry,
            on_accepted=self.settlement.on_accepted,
            emit=self.notifier,
            utc_now=utc_now,
        )
        self.settlement.queue = self.submissions = SubmissionQueue(
            tasks=self.tasks,
            slots=slots,
            submitter=self.submitter,
            registry=self.registry,
            poller=self.poller,
            on_not_accepted=self.settlement.end_safely,
            is_closing=self.is_closing,
        )

    async def _get_status(self, task_id: TaskId, family: TaskFamily) -> Snapshot:
        return await self.calls.get_status(task_id, family)

    async def _fresh_outputs(self, task_id: TaskId) -> tuple[Output, ...]:
        return (await self.calls.get_status(task_id)).outputs

    async def _save(self, result: Result, output_dir: Path) -> tuple[Path, ...]:
        return await self.calls.save(result, output_dir)

    def submit(self, request: Request, options: SubmitOptions) -> Job:
        """Queue a job, and return it at once."""
        job = self.new_job(request, key=options.key)
        self.submissions.put(job, options)
        return job

    def new_job(self, request: Request | None = None, *, key: str | None = None, task_id: TaskId | None = None) -> Job:
        """Make a job that this session controls."""
        return Job(request=request, key=key, task_id=task_id, controller=self.calls)

    def statistics(self) -> Statistics:
        """Summarize the session."""
        scheduler = self.poller.scheduler
        detection_latency, p99 = mean_and_p99(scheduler.detection_latencies)
        return Statistics(
            waiting=self.submissions.not_accepted,
            in_flight=len(self.poller.jobs),
            limit=self.submissions.slots.limiter.limit,
            settled=self.settlement.settled,
            requests={"submit": self.submitter.posts_sent, "query": 0, "queue_status": 0, **self.poller.requests},
            detection_latency=detection_latency,
            detection_latency_p99=p99,
            run_times={endpoint: RunTimeSummary.of(known.unscaled) for endpoint, known in scheduler.estimators.items()},
            counter_confidence=scheduler.detector.confidence,
        )


def journal_at(location: str, site: str) -> SubmissionJournal:
    """Make the journal of one site; here a location selects its store."""
    return SubmissionJournal(store=SqliteStore(Path(location), site), wall=utc_now)


def utc_now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)
