"""Reports one job as it goes, at once and with the command that picks it up, in case this process dies."""

from __future__ import annotations

from pathlib import Path

from attrs import define, field
from rich.console import Console
from rich.text import Text

from rh_async import JobError, Result, RHError, SubmitUnknown, TaskId
from rh_async._cli.exit_codes import describe_error
from rh_async._cli.options.connection import Connection
from rh_async._cli.options.journal_options import JournalFile
from rh_async._cli.terminal.fields import printable
from rh_async._cli.terminal.stall_monitor import StallMonitor
from rh_async._journal.reader import SUBMITTED_STATES, Row, at
from rh_async.batch import ProgressCounter
from rh_async.errors import JobLost, SessionError
from rh_async.events import Changed, Event, Flawed, Saved, Settled, Submitted
from rh_async.journal import SubmissionState

_LOST = "The same command asks the server again; with --resubmit it submits anew what the server still does not know."


@define(kw_only=True, eq=False)
class JobReporter:
    """Keeps what is known of one job, and prints it.

    :param journal_file: the journal; None without one.
    :param key: the job's key in the journal.
    :param earlier: the journal's last attempt of the key, unless the job is to be submitted again.
    """

    console: Console
    connection: Connection
    progress: ProgressCounter
    stall_monitor: StallMonitor
    out: Path = Path()
    journal_file: JournalFile | None = None
    key: str | None = None
    earlier: Row | None = None
    _submitted: Submitted | None = field(default=None, init=False)
    _settled: Settled | None = field(default=None, init=False)
    _reported_earlier: bool = field(default=False, init=False)

    def start(self) -> None:
        """Print what the journal has of the job, before anything is sent."""
        row = self.earlier
        if row is not None and row.record.state in SUBMITTED_STATES:
            self._print_submitted_earlier(f"on {row.submitted} as task {row.record.task_id}")
            self.stall_monitor.pause()
        elif row is not None and row.carried:
            self._print("another command is running this very job: waiting for its end; nothing is sent")
            self.stall_monitor.pause()

    def finish(self, result: Result) -> None:
        """Print that nothing was sent, where that was not known before."""
        if self._submitted is None and not self._reported_earlier and result.submitted_utc is not None:
            self._print_submitted_earlier(f"on {at(result.submitted_utc.isoformat())} as task {result.task_id}")

    def on_event(self, event: Event) -> None:
        """Take in an event of the session, and print what it says of the job."""
        self.progress.on_event(event)
        self.stall_monitor.record_activity()
        match event:
            case Submitted():
                self.stall_monitor.pause()
                self._submitted = event
                self.progress.all_uploaded()
                self._print_accepted(event)
            case Flawed():
                self._print(f"task {event.task_id} will probably fail; the server says of its workflow: {event.flaw}")
            case Changed():
                self.stall_monitor.pause()
                self._print(f"task {event.snapshot.task_id} is {event.snapshot.status}")
            case Settled(error=SessionError()):
                pass  # the session ended, not the job
            case Settled():
                self._settled = event
            case Saved():
                self.stall_monitor.pause()
            case _:
                pass

    def resume_hint(self) -> str:
        """Say where the job is, and name the command that picks it up, for a command that stops waiting."""
        task_id = self._task_id
        if task_id is None:
            return self._hint_without_task()
        name = f"key {self.key}, " if self.journal_file else ""
        if self._succeeded:
            return f"{name}task {task_id} has succeeded, its video is not saved; {self._pick_up_hint(task_id)}"
        if self._settled is not None and self._settled.error is not None:
            return describe_error(self.with_advice(self._settled.error.fresh()))
        return f"{name}task {task_id} goes on remotely and is billed; {self._pick_up_hint(task_id)}"

    def with_advice(self, error: RHError) -> RHError:
        """Add the commands that help to an error's advice."""
        if self.journal_file is not None and isinstance(error, SubmitUnknown):
            error.key = self.key
            commands = decision_commands(self.connection, self.journal_file, self.key or "")
            error.advice = f"{SubmitUnknown.advice} Then decide: {commands}"
        elif self._succeeded and self._task_id is not None and not isinstance(error, JobError):
            error.task_id = self._task_id
            error.advice = f"The job is done and billed; {self._link_hint(self._task_id)}"
        elif self.journal_file is not None and isinstance(error, JobError):
            prefix = "Nothing was sent; to" if self._reported_earlier else "To"
            error.advice = f"{error.advice} {prefix} submit it once more, and be billed once more, add --resubmit."
            error.advice = error.advice.strip()
        if self.journal_file is not None and isinstance(error, JobLost):
            error.advice = f"{JobLost.advice} {_LOST}"
        return error

    @property
    def _task_id(self) -> TaskId | None:
        if self._submitted is not None:
            return self._submitted.task_id
        return None if self.earlier is None else self.earlier.record.task_id

    @property
    def _succeeded(self) -> bool:
        if self._settled is not None:
            return self._settled.error is None
        if self._submitted is not None or self.earlier is None:
            return False
        return self.earlier.record.state in {SubmissionState.SETTLED, SubmissionState.SAVED}

    def _hint_without_task(self) -> str:
        if self._settled is None:
            if self.journal_file is not None:
                return f"the job may have been sent; this tells: {self._pick_up_command('')}"
            return "the job may have been sent; look into the console's call record before sending it again"
        if self._settled.error is not None and self._settled.error.maybe_billed:
            return describe_error(self.with_advice(self._settled.error.fresh()))
        return "the job was not sent, nothing is billed"

    def _pick_up_command(self, task_id: str) -> str:
        """Name the command that picks the job up; without a journal, the one that gets its status."""
        if self.journal_file is None:
            return self.connection.status_command(task_id)
        return self.connection.command("resume", "-o", str(self.out), *self.journal_file.arguments)

    def _pick_up_hint(self, task_id: str) -> str:
        return f"{'check it' if self.journal_file is None else 'pick it up'}: {self._pick_up_command(task_id)}"

    def _link_hint(self, task_id: str) -> str:
        if self.journal_file is None:
            return f"its link lives for about 24 h: {self._pick_up_command(task_id)}"
        save = self.connection.command("save", task_id, "-o", str(self.out), *self.journal_file.arguments)
        return f"its link lives for about 24 h; this saves it: {save}"

    def _print_accepted(self, event: Submitted) -> None:
        if self.journal_file is None:
            self._print(f"task {event.task_id} is accepted; whatever happens here, this gets its status:")
        else:
            self._print(f"key {self.key}")
            self._print(f"task {event.task_id} is accepted; whatever happens here, this picks it up:")
        self._print(self._pick_up_command(event.task_id))

    def _print_submitted_earlier(self, when: str) -> None:
        self._reported_earlier = True
        self._print(f"already submitted {when}; nothing was sent")

    def _print(self, line: str) -> None:
        self.console.print(Text(printable(line)), soft_wrap=True)


def decision_commands(connection: Connection, journal_file: JournalFile, key: str) -> str:
    """Name the commands that decide about an unconfirmed submission: it became the task TASK_ID, or none."""
    arguments = journal_file.arguments
    confirm = connection.command("confirm", key, "TASK_ID", *arguments)
    return f"{confirm}, or {connection.command('discard', key, *arguments)}"
