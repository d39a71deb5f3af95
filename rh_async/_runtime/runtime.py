"""One open session: open its services, run them in a task group, and close them in order.

The task group lives in a task of its own. So a session may be opened in one task and closed in another, no cancel scope
wraps the caller's code, and no exception group reaches the caller. If the group crashes, every job ends with its error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

import anyio
from attrs import define, field

from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._concurrency.single_flight import SingleFlight
from rh_async._http.transport import Transport
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async._media.local_file import LocalFiles
from rh_async._polling.policy import PollingPolicy
from rh_async._transfer.download_policy import DownloadPolicy
from rh_async.errors import RHError, SessionError
from rh_async.events import Waiting
from rh_async.job import Job
from rh_async.types import OnExit

from .notifier import EventNotifier
from .services import SessionServices

log = logging.getLogger(__name__)

T = TypeVar("T")


@define(eq=False, kw_only=True, repr=False)
class SessionRuntime:
    """The lifetime of one open session, from `open` to `close`.

    :param in_flight: how many jobs may be in flight; None to learn it.
    :ivar exit_policies: the ``on_exit`` of jobs that do not follow the session's.
    """

    transport: Transport
    polling: PollingPolicy
    in_flight: int | None
    notifier: EventNotifier
    journal: SubmissionJournal | None = None
    on_exit: OnExit = "detach"
    download_policy: DownloadPolicy = field(factory=DownloadPolicy)
    files: LocalFiles = field(factory=LocalFiles)
    services: SessionServices = field(init=False)
    exit_policies: WeakKeyDictionary[Job, OnExit] = field(factory=WeakKeyDictionary, init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _host: asyncio.Task[None] = field(init=False)  #: the task in which the task group lives
    _ready: anyio.Event = field(factory=anyio.Event, init=False)
    _stop: anyio.Event = field(factory=anyio.Event, init=False)
    _key_error: RHError | None = field(default=None, init=False)  #: why the server rejects the API key
    _crash: SessionError | None = field(default=None, init=False)
    _closing: bool = field(default=False, init=False)

    # --- open and close ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the journal and the connection pools, and start the task group.

        :raises JournalError: the journal cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        if self.journal is not None:
            self.journal.on_held = lambda seconds: self.notifier(Waiting(reason="journal", seconds=seconds))
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
        """Withdraw the jobs that were not sent, finish the POSTs that were, and stop polling.

        However often the caller is cancelled meanwhile, closing is finished first: a POST that has been sent is a paid
        job, and only its answer names the task.

        :return: why the task group crashed; None if it did not.
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
        self._closing = True
        await self._ready.wait()
        self.services.submissions.withdraw_all()
        if not self._host.done() and self._crash is None:
            await self._apply_on_exit()
        self._stop.set()
        await asyncio.wait({self._host})
        if ids := sorted(self.services.poller.jobs):
            log.warning("rh_async.left_running %s", " ".join(ids), extra={"task_ids": ids})
        if self._crash is None:  # else the jobs have ended, and the schedule may be in any state
            self.services.settlement.detach_all(
                SessionError("the session ended while the job was running; it goes on remotely")
            )
        self.services.submissions.break_all(SessionError("the session ended"))
        self.services.settlement.end_unsaved()
        await self.transport.close()
        await self.services.spool.close()
        if self.journal is not None:  # last: all of the above may still record something
            await self.journal.close()

    async def _apply_on_exit(self) -> None:
        """Cancel the running jobs, or wait for them, as ``on_exit`` says."""
        if {self.on_exit, *self.exit_policies.values()} != {"detach"}:
            # A POST that has been sent may yet bring a task that is to be cancelled, or waited for.
            await self.services.submissions.wait_tasks_done()
        jobs = [job for several in self.services.poller.jobs.values() for job in several]
        for job in jobs:
            if self._exit_policy(job) == "cancel":
                with _errors_logged():
                    await self.services.calls.cancel(job)
        for job in (*jobs, *self.services.settlement.saving):
            if self._exit_policy(job) == "drain":
                with _errors_logged():
                    await job

    def _exit_policy(self, job: Job) -> OnExit:
        return self.exit_policies.get(job, self.on_exit)

    def check(self, *, asking: bool = True) -> None:
        """Raise where the session cannot be used: after its end, in another event loop.

        :param asking: whether the server is to be called, which a rejected API key forbids.
        :raises RHError: the session cannot be used.
        """
        if asking and self._key_error is not None:
            raise self._key_error.fresh()
        if self._crash is not None:
            raise self._crash.fresh()
        if self._closing:
            raise SessionError("the session has ended")
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            raise SessionError("there is no running event loop here") from None
        if here is not self._loop:
            raise SessionError("the session belongs to another event loop")

    # --- the task group ----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        async with anyio.create_task_group() as group:
            self.services = SessionServices(
                transport=self.transport,
                polling=self.polling,
                in_flight=self.in_flight,
                notifier=self.notifier,
                journal=self.journal,
                download_policy=self.download_policy,
                files=self.files,
                tasks=SessionTasks(group, self._crashed),
                now=self._loop.time,
                reject_key=self._reject_key,
                is_closing=lambda: self._closing,
            )
            self.services.tasks.start_soon(self.services.poller.run)
            self._ready.set()
            await self._stop.wait()
            group.cancel_scope.cancel()

    # --- crashes -----------------------------------------------------------------------------------------------------

    def _host_ended(self, host: asyncio.Task[None]) -> None:
        self._ready.set()
        if not host.cancelled() and (cause := host.exception()) is not None:
            self._crashed(cause)
        elif not self._stop.is_set():
            self._break_all(SessionError("the session's services were cancelled from outside"))

    def _crashed(self, cause: BaseException) -> None:
        """End every job at once: the group's last task may take long to end, if it is a POST that is being finished."""
        if self._crash is None:
            self._break_all(_services_failed(cause))

    def _break_all(self, crash: SessionError) -> None:
        self._crash = crash
        self.services.settlement.break_all(crash)

    def cut_short(self, words: str) -> SessionError:
        """Make the error for work that the end of the session cut short, with the crash as its cause, if it crashed."""
        error = SessionError(words)
        error.__cause__ = None if self._crash is None else self._crash.__cause__
        return error

    def _reject_key(self, error: RHError) -> None:
        """Stop polling and submitting: the server rejects the API key. The tasks go on, and their records stay."""
        self._key_error = error.fresh()
        self.services.settlement.detach_all(error)
        self.services.submissions.withdraw_all(error)

    # --- for the client ----------------------------------------------------------------------------------------------

    async def run_in_session(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` in the session's task group. If the caller is cancelled, cancel it and wait until it stopped.

        :raises SessionError: the session ended first.
        :raises RHError: the work failed.
        """
        flight = SingleFlight[T]()
        self.services.tasks.start_soon(flight.run, work)
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


@contextmanager
def _errors_logged() -> Iterator[None]:
    try:
        yield
    except RHError as error:
        log.warning("rh_async.on_exit %s", error)


def _services_failed(cause: BaseException) -> SessionError:
    while isinstance(cause, BaseExceptionGroup):  # the same bug may have struck several tasks; one of them says enough
        cause = cause.exceptions[0]
    failure = SessionError(f"the session's services failed: {cause!r}")
    failure.__cause__ = cause
    return failure
