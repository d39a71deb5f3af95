"""``rh-async resume``: what commands that ended early have left is watched, saved, or shown to be decided about."""

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

from rh_async import Job, ResumeReport, RHError, Session, SubmissionRecord, SubmissionState, SubmitUnknown
from rh_async._cli.execution.clock import now
from rh_async._cli.execution.first_contact import connected
from rh_async._cli.execution.signals import stop_on_signals
from rh_async._cli.execution.stall_monitor import StallMonitor, listening
from rh_async._cli.exit_codes import ExitCode, describe_error
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.output.fields import make_console, printable
from rh_async._cli.output.job_reporter import decision_commands
from rh_async._cli.output.job_view import shown
from rh_async._cli.output.phase_counter import Tally
from rh_async._journal.reader import UNFINISHED, Row, at, read
from rh_async.events import Changed, Event, Settled

from .jobs_command import model

_SILENCE = 5.0
_STOPPING = "what runs goes on remotely"
_RUNNING = frozenset({SubmissionState.SUBMITTED, SubmissionState.LOST})  #: a lost one may do so all the same
_LEFT_ALONE = "left alone, it was bought under another API key or has just been taken up"
_LOST = "the server still does not know it; each resume asks again, and its command with --resubmit buys it anew"


async def resume(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path(),
    journal: JournalPath = None,
    base_url: BaseUrl = None,
) -> int:
    """Pick up what commands that ended early have left: watch what runs, save what is done. Nothing is bought.

    :param out: a folder for videos whose command named none.
    """
    connection, journal_file, console = Connection(base_url), JournalFile(journal), make_console()
    path, folder = await asyncio.to_thread(lambda: (journal_file.made(), out.absolute()))
    rows = [row for row in await asyncio.to_thread(_unfinished, path, connection.site) if row.left]
    words = f"waiting for the network: nothing heard from {connection.address} for {_SILENCE:.0f} s; Ctrl-C gives up"
    runner = ResumeRunner(
        console=console,
        folder=folder,
        again=connection.command("resume", "-o", str(out), *journal_file.words),
        rows=rows,
        stall_monitor=StallMonitor(console=console, words=words, after=_SILENCE),
    )
    with stop_on_signals(console, stopping=_STOPPING, words=runner.resume_hint):
        async with connected(connection.session(runner.tell, journal=path), connection.address) as session:
            uncertain = await runner.run(session)
    for record in uncertain:
        for line in _uncertain(record, decision_commands(connection, journal_file, record.key)):
            console.print(Text(printable(line)), soft_wrap=True)
    return ExitCode.FAILED if runner.failed or uncertain else ExitCode.SUCCESS


def _unfinished(journal: Path, site: str) -> list[Row]:
    return read(journal, site, states=UNFINISHED)


@define(kw_only=True, eq=False)
class ResumeRunner:
    """One picking up.

    :param folder: for what has none of its own.
    :param again: the command that does it once more.
    :param rows: what the journal had before it began.
    """

    console: Console
    folder: Path
    again: str
    rows: list[Row]
    stall_monitor: StallMonitor
    failed: int = field(default=0, init=False)
    tally: Tally = field(init=False)
    _running: dict[str, SubmissionRecord] = field(init=False)

    def __attrs_post_init__(self) -> None:
        running = [row.record for row in self.rows if row.record.state in _RUNNING]
        self._running = {record.task_id or "": record for record in running}
        done = [row for row in self.rows if row.result() is not None]
        self.tally = Tally(clock=now, jobs=len(running) + len(done), files=0)
        self.tally.submit.done = len(running) + len(done)
        self.tally.running.done = len(done)

    def tell(self, event: Event) -> None:
        """Take an event in."""
        self.tally.tell(event)
        self.stall_monitor.hear()
        if isinstance(event, Changed | Settled):
            self.stall_monitor.rest()

    async def run(self, session: Session) -> tuple[SubmissionRecord, ...]:
        """Watch and save all of it, and return what nobody knows the fate of.

        :raises RHError: the journal cannot be used.
        """
        if self.tally.submit.done:
            async with shown(self.console, self.tally), listening(self.stall_monitor):
                resumed = await session.recovery.resume(output_dir=self.folder)
                self._tell_held(resumed)
                await self._follow_all(resumed)
        else:
            resumed = await session.recovery.resume(output_dir=self.folder)
            if not resumed.unconfirmed and not await session.recovery.unconfirmed():
                self._say("nothing to pick up: whatever was bought is saved, over, or in another command's hand")
            self._tell_held(resumed)
        return await session.recovery.unconfirmed()

    def _tell_held(self, resumed: ResumeReport) -> None:
        """Name the processes whose jobs are left to them."""
        for pid, count in Counter(pid for _, pid in resumed.held).items():
            jobs = "1 job belongs" if count == 1 else f"{count:,} jobs belong"
            self._say(f"{jobs} to {f'process {pid}' if pid else 'another process'}, which is still running")

    def resume_hint(self) -> str:
        """What goes on remotely, for whoever stops waiting."""
        if not self._running:
            return f"nothing runs remotely; what is not saved yet: {self.again}"
        each = ", ".join(f"{task_id} (key {record.key})" for task_id, record in self._running.items())
        return f"{_tasks(len(self._running))} on remotely, paid for: {each}; pick up: {self.again}"

    def _leave_alone(self, resumed: ResumeReport) -> None:
        """What the session would not take up is named, and not waited for."""
        taken = {job.task_id for job in resumed.jobs} | {result.task_id for result in resumed.saved}
        taken |= {record.task_id for record, _ in resumed.failed}
        lost = {record.task_id for record in resumed.lost}
        wanted = [row.record for row in self.rows if row.record.state in _RUNNING or row.result() is not None]
        for record in [record for record in wanted if record.task_id not in taken]:
            self.failed += record.task_id not in lost
            why = _LOST if record.task_id in lost else _LEFT_ALONE
            self._say(f"key {record.key}, task {record.task_id}: {why}", "yellow")
            self.tally.submit.done -= 1
            self.tally.running.done -= self._running.pop(record.task_id or "", None) is None
            for phase in (self.tally.submit, self.tally.running, self.tally.download):
                phase.wanted = (phase.wanted or 1) - 1

    async def _follow_all(self, resumed: ResumeReport) -> None:
        self._leave_alone(resumed)
        for result in resumed.saved:
            self._saved(result.task_id, result.paths)
        for record, error in resumed.failed:
            self._failed(record, error)
        async with asyncio.TaskGroup() as tasks:
            for job in resumed.jobs:
                tasks.create_task(self._follow(job))

    async def _follow(self, job: Job) -> None:
        record = self._running.get(job.task_id or "")
        try:
            result = await job
        except RHError as error:
            self._failed(record, error)
        else:
            self._saved(result.task_id, result.paths)
        self._running.pop(job.task_id or "", None)

    def _saved(self, task_id: str, paths: Iterable[Path]) -> None:
        self._say(f"task {task_id} is saved: {', '.join(map(str, paths))}")

    def _failed(self, record: SubmissionRecord | None, error: RHError) -> None:
        self.failed += 1
        named = "" if record is None else f"key {record.key}: "
        self._say(f"{named}{describe_error(error)}", style="red")

    def _say(self, words: str, style: str = "") -> None:
        self.console.print(Text(printable(words), style=style), soft_wrap=True)


def _tasks(count: int) -> str:
    return "1 task goes" if count == 1 else f"{count} tasks go"


def _uncertain(record: SubmissionRecord, commands: str) -> Iterator[str]:
    yield f"uncertain: key {record.key}, sent {at(record.claimed_utc)} to {model(record.endpoint)}: {record.inputs}"
    yield f"{SubmitUnknown.advice} Say what became of it:"
    yield from commands.split(", or ")
