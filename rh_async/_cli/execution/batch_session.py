"""Runs a plan: reports it as it goes, stops it in order on Ctrl-C, and returns the exit code."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any

from attrs import define, field

from rh_async import RHError, Session
from rh_async._cli.exit_codes import ExitCode, Interrupted, UsageError
from rh_async._cli.options.connection import Connection
from rh_async._cli.output.batch_summary import BatchSummary
from rh_async._cli.output.reporter import Reporter
from rh_async._cli.terminal.fields import field_line
from rh_async._cli.terminal.stall_monitor import StallMonitor, request_tracing
from rh_async._cli.terminal.timing import now, run_periodically
from rh_async.batch import OutputNaming, Plan
from rh_async.events import Downloading, Event, Flawed, Submitted, Uploading

from .batch_preflight import confirm_cost
from .first_contact import connected
from .resubmit_cost import resubmit_cost
from .signals import stop_on_signals

if TYPE_CHECKING:
    from pathlib import Path

    from rh_async._cli.options.batch_options import BatchRunOptions
    from rh_async.batch import Batch, BatchProgress

_STOPPING = "nothing more is started; what is being sent is finished first, in a minute or so at most"
_STALL_AFTER = 10.0
_CHECK_INTERVAL = 0.5


async def run_plan(plan: Plan, running: BatchRunOptions, connection: Connection, reporter: Reporter) -> ExitCode:
    """Run a plan, and return the exit code.

    :raises Interrupted: a signal stopped it.
    :raises RHError: it could not be begun.
    """
    journal = None if running.journal_file is None else await asyncio.to_thread(running.journal_file.prepare)
    if running.retry_failed and journal is not None:
        reporter.print(field_line("retry", await asyncio.to_thread(resubmit_cost, plan, journal, connection.site)))
    folder = await asyncio.to_thread(running.out.absolute)
    batch_session = BatchSession(plan=plan, running=running, connection=connection, reporter=reporter, folder=folder)
    try:
        with stop_on_signals(reporter.live_view, stopping=_STOPPING, hint=batch_session.resume_hint):
            monitored = run_periodically(_CHECK_INTERVAL, batch_session.stall_monitor.check)
            async with batch_session.connected(journal) as session, monitored:
                await batch_session.confirm_cost(session)
                await batch_session.run(session)
    except Interrupted:
        batch_session.emit_end(ExitCode.INTERRUPTED)
        raise
    except UsageError:
        batch_session.emit_end(ExitCode.USAGE_ERROR)
        raise
    return batch_session.finish()


@define(kw_only=True, eq=False)
class BatchSession:
    """One run of a plan.

    :param folder: for its outputs; absolute, since the journal keeps it for commands run elsewhere.
    """

    folder: Path
    plan: Plan
    running: BatchRunOptions
    connection: Connection
    reporter: Reporter
    summary: BatchSummary = field(factory=BatchSummary, init=False)
    stall_monitor: StallMonitor = field(init=False)
    _batch: Batch | None = field(default=None, init=False)
    _started: bool = field(default=False, init=False)
    _when_closed: BatchProgress | None = field(default=None, init=False)
    _submitted_since: int = field(default=0, init=False)  #: POSTs that were finished after the batch had been closed
    _began: float = field(factory=now, init=False)

    @stall_monitor.default
    def _monitor_stalls(self) -> StallMonitor:
        address = self.connection.address
        return StallMonitor(
            console=self.reporter.live_view,
            message=f"nothing heard from {address} for {_STALL_AFTER:.0f} s;"
            " it goes on by itself once the network is back",
            after=_STALL_AFTER,
            recovered=f"heard from {address} again",
            report=self.reporter.log,
        )

    def connected(self, journal: Path | None) -> AbstractAsyncContextManager[Session]:
        """Open a session, and end the command if the server never responds."""
        session = Session(
            base_url=self.connection.base_url,
            journal=journal,
            in_flight=self.running.in_flight,
            trace_configs=[request_tracing(self.stall_monitor)],
            on_event=self.on_event,
            trust_env=True,
        )
        return connected(session, self.connection.address)

    async def confirm_cost(self, session: Session) -> None:
        """Show what is left to submit and what it costs; at a terminal, ask whether to run.

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
        await confirm_cost(self._batch, running, self.reporter)

    async def run(self, session: Session) -> None:
        """Run the batch, and report each outcome.

        :raises RHError: it could not be begun.
        """
        assert self._batch is not None  # noqa: S101 - for the type checker: its cost has been confirmed
        self._started = True
        async with aclosing(self._batch), self.reporter.show_progress(self._batch, self.stall_monitor):
            try:
                async for outcome in self._batch:
                    self.summary.add(outcome)
                    self.reporter.report_outcome(outcome)
            finally:
                # POSTs that have left are finished while the session closes: they are counted from here on.
                self._when_closed, self._submitted_since = self._batch.progress(), 0

    def on_event(self, event: Event) -> None:
        """Take in an event of the session."""
        self._submitted_since += isinstance(event, Submitted)
        if isinstance(event, Uploading):
            self.stall_monitor.record_activity()  # the upload's response is still due
        elif isinstance(event, Flawed):
            self.reporter.emit("flawed", task_id=event.task_id, flaw=event.flaw)
            self.reporter.log(f"task {event.task_id} will probably fail; the server says of its workflow: {event.flaw}")
        elif isinstance(event, Downloading):
            self.stall_monitor.pause()

    def resume_hint(self) -> str:
        """Say what goes on remotely, and name the command that picks it up."""
        if self._batch is None or not self._started:
            return "nothing was started"
        if self._when_closed is None:
            progress, submitted = self._batch.progress(), 0
        else:
            progress, submitted = self._when_closed, self._submitted_since
        running = progress.in_flight + submitted
        not_started = progress.waiting + progress.uploading + progress.skipped - submitted
        state = f"{_go_on(running)}, {not_started:,} not started"
        if self.running.journal_file is None:
            return f"{state}; without a journal, the same command would submit them again"
        if not running:
            return f"{state}; the same command again continues, and submits nothing twice"
        resume = self.connection.command("resume", "-o", str(self.running.out), *self.running.journal_file.arguments)
        return (
            f"{state}; the same command again continues, and submits nothing twice;"
            f" to fetch what runs without starting more: {resume}"
        )

    def finish(self) -> ExitCode:
        """Print the summary, and return the exit code."""
        assert self._batch is not None  # noqa: S101 - for the type checker: it has been run
        progress, stopped = self._batch.progress(), self._batch.stopped
        code = self.summary.exit_code(stopped)
        self.reporter.print(*self.summary.outcome_lines(progress, self.running, now() - self._began))
        self.reporter.print(*self.summary.advice_lines(self.running, self.connection, stopped))
        self.emit_end(code, stopped)
        return code

    def emit_end(self, code: ExitCode, stopped: RHError | None = None) -> None:
        """Write the last event."""
        counts, money = self.summary.counts, None if self._batch is None else money_event(self._batch.progress())
        seconds = now() - self._began
        self.reporter.emit("end", exit=int(code), seconds=seconds, counts=counts, money=money, stopped=stopped)


def money_event(progress: BatchProgress) -> dict[str, Any]:
    """Convert the money of a batch to the fields of an event."""
    names = "currency", "spent", "spent_earlier", "reserved", "maybe_billed", "maybe_billed_jobs", "budget"
    return {name: getattr(progress, name) for name in names}


def _go_on(count: int) -> str:
    if count == 1:
        return "1 job goes on remotely and is billed"
    return f"{count:,} jobs go on remotely and are billed"
