"""One job, written down as it happens and told at once, with the command that picks it up whatever happens here."""

from __future__ import annotations

from pathlib import Path

from attrs import define, field
from rich.console import Console
from rich.text import Text

from rh_async import JobError, JobLost, Result, RHError, SessionError, SubmissionState, SubmitUnknown, TaskId
from rh_async._cli.execution.stall_monitor import StallMonitor
from rh_async._cli.exit_codes import describe_error
from rh_async._cli.options.connection import Connection
from rh_async._cli.options.journal_options import JournalFile
from rh_async._journal.reader import BOUGHT, Row, at
from rh_async.events import Changed, Event, Flawed, Saved, Settled, Submitted

from .fields import printable
from .phase_counter import Tally

_LOST = "The same command asks the server again; with --resubmit it buys anew what the server still does not know."


@define(kw_only=True, eq=False)
class JobReporter:
    """What is known of one job.

    :param book: the journal; None without one.
    :param key: what the journal calls the job.
    :param earlier: what it has of the job already, unless it is to be bought again.
    """

    console: Console
    connection: Connection
    tally: Tally
    stall_monitor: StallMonitor
    out: Path = Path()
    journal_file: JournalFile | None = None
    key: str | None = None
    earlier: Row | None = None
    _submitted: Submitted | None = field(default=None, init=False)
    _settled: Settled | None = field(default=None, init=False)
    _told: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Say what the journal says of the job, before anything is sent."""
        row = self.earlier
        if row is not None and row.record.state in BOUGHT:
            self._say_bought(f"on {row.submitted} as task {row.record.task_id}")
            self.stall_monitor.rest()
        elif row is not None and row.carried:
            self._say("another command has this very job in hand: waiting for what becomes of it; nothing is sent")
            self.stall_monitor.rest()

    def end(self, result: Result) -> None:
        """Say that nothing was sent, where that was not known before."""
        if self._submitted is None and not self._told and result.submitted_utc is not None:
            self._say_bought(f"on {at(result.submitted_utc.isoformat())} as task {result.task_id}")

    def tell(self, event: Event) -> None:
        """Take an event in."""
        self.tally.tell(event)
        self.stall_monitor.hear()
        match event:
            case Submitted():
                self.stall_monitor.rest()
                self._submitted = event
                self.tally.upload.wanted = self.tally.upload.done  # the rest had gone up before
                self._say_accepted(event)
            case Flawed():
                self._say(f"task {event.task_id} will probably fail; the server says of its workflow: {event.flaw}")
            case Changed():
                self.stall_monitor.rest()
                self._say(f"task {event.snapshot.task_id} is {event.snapshot.status}")
            case Settled(error=SessionError()):
                pass  # only the watching has ended
            case Settled():
                self._settled = event
            case Saved():
                self.stall_monitor.rest()
            case _:
                pass

    def resume_hint(self) -> str:
        """Where the job is, for whoever stops waiting."""
        task_id = self._task_id
        if task_id is None:
            return self._unsent()
        named = f"key {self.key}, " if self.journal_file else ""
        if self._done:
            return f"{named}task {task_id} has succeeded, its video is not saved; {self._pick_up_words(task_id)}"
        if self._settled is not None and self._settled.error is not None:
            return describe_error(self.advised(self._settled.error.fresh()))
        return f"{named}task {task_id} goes on remotely and is paid for; {self._pick_up_words(task_id)}"

    def advised(self, error: RHError) -> RHError:
        """An error, saying in commands what to do about it."""
        if self.journal_file is not None and isinstance(error, SubmitUnknown):
            error.key = self.key
            error.advice = f"{SubmitUnknown.advice} Say what became of it: {self._decision_commands()}"
        elif self._done and self._task_id is not None and not isinstance(error, JobError):
            error.task_id = self._task_id
            error.advice = f"The job is done and paid; {self._link_words(self._task_id)}"
        elif self.journal_file is not None and isinstance(error, JobError):
            sent = "Nothing was sent; to" if self._told else "To"
            error.advice = f"{error.advice} {sent} buy it once more, knowingly, add --resubmit.".strip()
        if self.journal_file is not None and isinstance(error, JobLost):
            error.advice = f"{JobLost.advice} {_LOST}"
        return error

    @property
    def _task_id(self) -> TaskId | None:
        if self._submitted is not None:
            return self._submitted.task_id
        return None if self.earlier is None else self.earlier.record.task_id

    @property
    def _done(self) -> bool:
        if self._settled is not None:
            return self._settled.error is None
        known = self._submitted is None and self.earlier is not None
        return (
            known
            and self.earlier is not None
            and self.earlier.record.state in {SubmissionState.SETTLED, SubmissionState.SAVED}
        )

    def _unsent(self) -> str:
        if self._settled is None:
            if self.journal_file is not None:
                return f"the job may have been sent; this tells: {self._pick_up('')}"
            return "the job may have been sent; look into the console's call record before sending it again"
        if self._settled.error is not None and self._settled.error.maybe_billed:
            return describe_error(self.advised(self._settled.error.fresh()))
        return "the job was not sent, nothing is paid"

    def _pick_up(self, task_id: str) -> str:
        """The command that picks the job up; without a journal, the one that looks at it."""
        if self.journal_file is None:
            return self.connection.status_command(task_id)
        return self.connection.command("resume", "-o", str(self.out), *self.journal_file.words)

    def _pick_up_words(self, task_id: str) -> str:
        return f"{'look at it' if self.journal_file is None else 'pick it up'}: {self._pick_up(task_id)}"

    def _link_words(self, task_id: str) -> str:
        if self.journal_file is None:
            return f"its link lives for about 24 h: {self._pick_up(task_id)}"
        save = self.connection.command("save", task_id, "-o", str(self.out), *self.journal_file.words)
        return f"its link lives for about 24 h; this saves it: {save}"

    def _decision_commands(self) -> str:
        assert self.journal_file is not None  # noqa: S101 - for the type checker: only what a journal has is resolved
        return decision_commands(self.connection, self.journal_file, self.key or "")

    def _say_accepted(self, event: Submitted) -> None:
        if self.journal_file is None:
            self._say(f"task {event.task_id} is accepted; whatever happens here, this looks at it:")
        else:
            self._say(f"key {self.key}")
            self._say(f"task {event.task_id} is accepted; whatever happens here, this picks it up:")
        self._say(self._pick_up(event.task_id))

    def _say_bought(self, when: str) -> None:
        self._told = True
        self._say(f"already bought {when}; nothing was sent")

    def _say(self, words: str) -> None:
        self.console.print(Text(printable(words)), soft_wrap=True)


def decision_commands(connection: Connection, journal_file: JournalFile, key: str) -> str:
    """Name the commands that decide about an unconfirmed submission: it became the task TASK_ID, or none."""
    words = journal_file.words
    confirm, discard = connection.command("confirm", key, "TASK_ID", *words), connection.command("discard", key, *words)
    return f"{confirm}, or {discard}"
