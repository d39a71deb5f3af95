"""A plan on its way: told as it goes, stopped in order, and worth one exit code at its end."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any

from attrs import define, field
from rich.text import Text

from rh_async import RHError, Session
from rh_async._cli.exit_codes import ExitCode, Interrupted, UsageError
from rh_async._cli.options.connection import Connection
from rh_async._cli.output.batch_summary import BatchSummary
from rh_async._cli.output.job_view import run_periodically
from rh_async._cli.output.reporter import Reporter
from rh_async.batch import OutputNaming, Plan
from rh_async.events import Downloading, Event, Flawed, Submitted, Uploading

from .batch_preflight import offer
from .clock import now
from .first_contact import connected
from .network_activity import request_tracing
from .resubmit_cost import retry_words
from .signals import stop_on_signals
from .stall_monitor import StallMonitor

if TYPE_CHECKING:
    from pathlib import Path

    from rh_async._cli.options.batch_options import BatchRunOptions
    from rh_async.batch import Batch, BatchProgress

_STOPPING = "nothing more is started; what is being sent is finished first, in a minute or so at most"
_SILENCE = 10.0
_LOOKED_EVERY = 0.5


async def run_through(plan: Plan, running: BatchRunOptions, connection: Connection, reporter: Reporter) -> ExitCode:
    """Carry a plan out, and return what its end is worth to a shell.

    :raises Interrupted: it was stopped.
    :raises RHError: it could not be begun.
    """
    journal = None if running.journal_file is None else await asyncio.to_thread(running.journal_file.made)
    if running.retry_failed and journal is not None:
        words = await asyncio.to_thread(retry_words, plan, journal, connection.site)
        reporter.say(Text.assemble((f"{'retry':<10}", "bold"), words))
    folder = await asyncio.to_thread(running.out.absolute)
    batch_session = BatchSession(plan=plan, running=running, connection=connection, reporter=reporter, folder=folder)
    try:
        with stop_on_signals(reporter.view, stopping=_STOPPING, words=batch_session.resume_hint):
            async with (
                batch_session.connected(journal) as session,
                run_periodically(_LOOKED_EVERY, batch_session.stall_monitor.look),
            ):
                await batch_session.offer(session)
                await batch_session.follow(session)
    except Interrupted:
        batch_session.over(ExitCode.INTERRUPTED)
        raise
    except UsageError:
        batch_session.over(ExitCode.USAGE_ERROR)
        raise
    return batch_session.end()


@define(kw_only=True, eq=False)
class BatchSession:
    """One run of a plan.

    :param folder: for its outputs, whoever picks them up from wherever.
    """

    folder: Path
    plan: Plan
    running: BatchRunOptions
    connection: Connection
    reporter: Reporter
    summary: BatchSummary = field(factory=BatchSummary, init=False)
    stall_monitor: StallMonitor = field(init=False)
    _batch: Batch | None = field(default=None, init=False)
    _followed: bool = field(default=False, init=False)
    _left: BatchProgress | None = field(default=None, init=False)
    _sent: int = field(default=0, init=False)  #: since it was left: what was being sent is finished
    _began: float = field(factory=now, init=False)

    @stall_monitor.default
    def _listening(self) -> StallMonitor:
        who = self.connection.address
        return StallMonitor(
            console=self.reporter.view,
            words=f"nothing heard from {who} for {_SILENCE:.0f} s; it goes on by itself once the network is back",
            after=_SILENCE,
            back=f"heard from {who} again",
            say=self.reporter.log,
        )

    def connected(self, journal: Path | None) -> AbstractAsyncContextManager[Session]:
        """A session that is open while the server answers, or until it is clear that there is none."""
        return connected(self.session(journal), self.connection.address)

    def session(self, journal: Path | None) -> Session:
        """A session that is listened to."""
        return Session(
            base_url=self.connection.base_url,
            journal=journal,
            in_flight=self.running.in_flight,
            trace_configs=[request_tracing(self.stall_monitor)],
            on_event=self.tell,
            trust_env=True,
        )

    async def offer(self, session: Session) -> None:
        """Say what is left to buy and what it costs; at a terminal, ask whether to run.

        :raises Interrupted: the answer was no.
        """
        running = self.running
        self._batch = session.batch(
            self.plan,
            self.folder,
            naming=OutputNaming(running.naming),
            budget=running.budget,
            retry_failed=running.retry_failed,
        )
        await offer(self._batch, running, self.reporter)

    async def follow(self, session: Session) -> None:
        """Run the batch, and tell each end.

        :raises RHError: it could not be begun.
        """
        assert self._batch is not None  # noqa: S101 - for the type checker: it has been offered
        self._followed = True
        async with aclosing(self._batch), self.reporter.showing(self._batch, self.stall_monitor):
            try:
                async for outcome in self._batch:
                    self.summary.add(outcome)
                    self.reporter.ended(outcome)
            finally:
                self._left, self._sent = self._batch.progress(), 0

    def tell(self, event: Event) -> None:
        """Take an event of the session in."""
        self._sent += isinstance(event, Submitted)
        if isinstance(event, Uploading):
            self.stall_monitor.hear()  # and its answer is still to come
        elif isinstance(event, Flawed):
            self.reporter.event("flawed", task_id=event.task_id, flaw=event.flaw)
            self.reporter.log(f"task {event.task_id} will probably fail; the server says of its workflow: {event.flaw}")
        elif isinstance(event, Downloading):
            self.stall_monitor.rest()  # whatever else ends or waits may do so unheard

    def resume_hint(self) -> str:
        """What goes on remotely, for whoever stops it."""
        if self._batch is None or not self._followed:
            return "nothing was started"
        progress, sent = (self._batch.progress(), 0) if self._left is None else (self._left, self._sent)
        unstarted = progress.waiting + progress.uploading + progress.skipped - sent
        words = f"{_jobs(progress.in_flight + sent)} on remotely and paid for, {unstarted:,} not started"
        if self.running.journal_file is None:
            return f"{words}; without a journal, the same command would buy them again"
        return f"{words}; the same command again continues, and buys nothing twice"

    def end(self) -> ExitCode:
        """Sum it up."""
        assert self._batch is not None  # noqa: S101 - for the type checker: it has been followed
        progress, stopped = self._batch.progress(), self._batch.stopped
        code = self.summary.exit_code(stopped)
        self.reporter.say(*self.summary.outcome_lines(progress, self.running, self._seconds()))
        self.reporter.say(*self.summary.advice_lines(self.running, self.connection, stopped))
        self.over(code, stopped)
        return code

    def over(self, code: ExitCode, stopped: RHError | None = None) -> None:
        """Tell a machine that this was all."""
        counts, money = self.summary.counts, None if self._batch is None else as_event(self._batch.progress())
        self.reporter.event("end", exit=int(code), seconds=self._seconds(), counts=counts, money=money, stopped=stopped)

    def _seconds(self) -> float:
        return now() - self._began


def as_event(progress: BatchProgress) -> dict[str, Any]:
    """The money of a batch for a machine."""
    names = "currency", "spent", "spent_earlier", "reserved", "maybe_billed", "maybe_billed_jobs", "budget"
    return {name: getattr(progress, name) for name in names}


def _jobs(count: int) -> str:
    return "1 job goes" if count == 1 else f"{count:,} jobs go"
