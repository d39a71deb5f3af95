"""``rh-async resume``: watch and save the jobs of commands that ended early; list the submissions to decide about."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from attrs import define, field
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from rh_async import Job, RHError, Session, SubmitUnknown
from rh_async._cli.execution.first_contact import connected
from rh_async._cli.execution.signals import stop_on_signals
from rh_async._cli.exit_codes import ExitCode, describe_error
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.output.job_reporter import decision_commands
from rh_async._cli.output.job_view import show_phases
from rh_async._cli.terminal.fields import make_console, printable
from rh_async._cli.terminal.stall_monitor import StallMonitor, watch_for_stalls
from rh_async._cli.terminal.timing import now
from rh_async._journal.reader import UNFINISHED_STATES, Row, at, read
from rh_async.batch import ProgressCounter
from rh_async.events import Changed, Event, Settled
from rh_async.journal import ResumeReport, SubmissionRecord, SubmissionState

from .jobs_command import model

_STALL_AFTER = 5.0
_STOPPING = "what runs goes on remotely"
_RUNNING = frozenset({SubmissionState.SUBMITTED, SubmissionState.LOST})  #: a lost task may run all the same
_SKIPPED = "left alone: it belongs to another API key, or another command has just taken it over"
_LOST = "the server still does not know it; each resume asks again, and its command with --resubmit submits it anew"


async def resume(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path(),
    journal: JournalPath = None,
    base_url: BaseUrl = None,
) -> int:
    """Watch and save the jobs of commands that ended early. Nothing is submitted.

    :param out: a folder for videos whose command named none.
    """
    connection, journal_file, console = Connection(base_url), JournalFile(journal), make_console()
    path, folder = await asyncio.to_thread(lambda: (journal_file.prepare(), out.absolute()))
    rows = await asyncio.to_thread(read, path, connection.site, states=UNFINISHED_STATES)
    address, seconds = connection.address, f"{_STALL_AFTER:.0f} s"
    message = f"waiting for the network: nothing heard from {address} for {seconds}; Ctrl-C gives up"
    runner = ResumeRunner(
        console=console,
        folder=folder,
        command=connection.command("resume", "-o", str(out), *journal_file.arguments),
        rows=[row for row in rows if row.left],
        stall_monitor=StallMonitor(console=console, message=message, after=_STALL_AFTER),
    )
    with stop_on_signals(console, stopping=_STOPPING, hint=runner.resume_hint):
        async with connected(connection.session(runner.on_event, journal=path), address) as session:
            unconfirmed = await runner.run(session)
    for record in unconfirmed:
        for line in _unconfirmed(record, decision_commands(connection, journal_file, record.key)):
            console.print(Text(printable(line)), soft_wrap=True)
    return ExitCode.FAILED if runner.failed or unconfirmed else ExitCode.SUCCESS


@define(kw_only=True, eq=False)
class ResumeRunner:
    """Watches and saves what the journal has as unfinished.

    :param folder: for outputs whose command named none.
    :param command: the command that resumes once more.
    :param rows: the journal's unfinished jobs that no live process holds, as they were before the session opened.
    """

    console: Console
    folder: Path
    command: str
    rows: list[Row]
    stall_monitor: StallMonitor
    failed: int = field(default=0, init=False)
    progress: ProgressCounter = field(init=False)
    _running: dict[str, SubmissionRecord] = field(init=False)

    def __attrs_post_init__(self) -> None:
        running = [row.record for row in self.rows if row.record.state in _RUNNING]
        self._running = {record.task_id or "": record for record in running}
        settled = sum(row.result() is not None for row in self.rows)
        jobs = len(running) + settled
        self.progress = ProgressCounter(clock=now, jobs=jobs, files=0, submitted=jobs, settled=settled)

    def on_event(self, event: Event) -> None:
        """Take in an event of the session."""
        self.progress.on_event(event)
        self.stall_monitor.record_activity()
        if isinstance(event, Changed | Settled):
            self.stall_monitor.pause()

    async def run(self, session: Session) -> tuple[SubmissionRecord, ...]:
        """Watch and save all of it, and return the unconfirmed submissions, which a person must decide about.

        :raises RHError: the journal cannot be used.
        """
        if self.progress.jobs:
            async with show_phases(self.console, self.progress.snapshot), watch_for_stalls(self.stall_monitor):
                report = await session.recovery.resume(output_dir=self.folder)
                self._print_held(report)
                await self._await_all(report)
        else:
            report = await session.recovery.resume(output_dir=self.folder)
            if not report.unconfirmed and not await session.recovery.unconfirmed():
                self._print("nothing to pick up: all submitted jobs are saved, over, or run by another command")
            self._print_held(report)
        return await session.recovery.unconfirmed()

    def resume_hint(self) -> str:
        """Say what goes on remotely, and name the command that picks it up."""
        if not self._running:
            return f"nothing runs remotely; what is not saved yet: {self.command}"
        each = ", ".join(f"{task_id} (key {record.key})" for task_id, record in self._running.items())
        count = len(self._running)
        tasks = "1 task goes on remotely and is" if count == 1 else f"{count} tasks go on remotely and are"
        return f"{tasks} billed: {each}; pick up: {self.command}"

    def _print_held(self, report: ResumeReport) -> None:
        """Name the processes that hold jobs, which are left to them."""
        for pid, count in Counter(pid for _, pid in report.held).items():
            jobs = "1 job belongs" if count == 1 else f"{count:,} jobs belong"
            self._print(f"{jobs} to {f'process {pid}' if pid else 'another process'}, which is still running")

    def _skip(self, report: ResumeReport) -> None:
        """Name the jobs that the session did not take over, and take them out of the counts."""
        taken = {job.task_id for job in report.jobs} | {result.task_id for result in report.saved}
        taken |= {record.task_id for record, _ in report.failed}
        lost = {record.task_id for record in report.lost}
        wanted = [row.record for row in self.rows if row.record.state in _RUNNING or row.result() is not None]
        for record in [record for record in wanted if record.task_id not in taken]:
            self.failed += record.task_id not in lost
            why = _LOST if record.task_id in lost else _SKIPPED
            self._print(f"key {record.key}, task {record.task_id}: {why}", "yellow")
            self.progress.leave_out(settled=self._running.pop(record.task_id or "", None) is None)

    async def _await_all(self, report: ResumeReport) -> None:
        self._skip(report)
        for result in report.saved:
            self._print_saved(result.task_id, result.paths)
        for record, error in report.failed:
            self._print_failed(record, error)
        async with asyncio.TaskGroup() as tasks:
            for job in report.jobs:
                tasks.create_task(self._await_one(job))

    async def _await_one(self, job: Job) -> None:
        record = self._running.get(job.task_id or "")
        try:
            result = await job
        except RHError as error:
            self._print_failed(record, error)
        else:
            self._print_saved(result.task_id, result.paths)
        self._running.pop(job.task_id or "", None)

    def _print_saved(self, task_id: str, paths: Iterable[Path]) -> None:
        self._print(f"task {task_id} is saved: {', '.join(map(str, paths))}")

    def _print_failed(self, record: SubmissionRecord | None, error: RHError) -> None:
        self.failed += 1
        name = "" if record is None else f"key {record.key}: "
        self._print(f"{name}{describe_error(error)}", style="red")

    def _print(self, line: str, style: str = "") -> None:
        self.console.print(Text(printable(line), style=style), soft_wrap=True)


def _unconfirmed(record: SubmissionRecord, commands: str) -> Iterator[str]:
    sent = f"sent {at(record.claimed_utc)} to {model(record.endpoint)}"
    yield f"unconfirmed: key {record.key}, {sent}: {record.inputs}"
    yield f"{SubmitUnknown.advice} Then decide:"
    yield from commands.split(", or ")
