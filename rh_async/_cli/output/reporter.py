"""Where a batch is told: words for people, a view or a log of how it stands, one JSON object per line for machines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen
from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.text import Text

from rh_async import JobError
from rh_async._batch.outputs.output_naming import stem_of
from rh_async._cli.execution.clock import now
from rh_async._cli.execution.stall_monitor import StallMonitor
from rh_async._cli.execution.terminal_prompt import can_be_asked, line_typed
from rh_async._cli.exit_codes import describe_error

from .batch_view import Meter, brief, picture
from .fields import make_console, printable
from .job_view import run_periodically

if TYPE_CHECKING:
    from rh_async.batch import Batch, BatchOutcome, Entry

_REDRAWN_EVERY = 0.25
_LOGGED_EVERY = 30.0
_REPORTED_EVERY = 5.0


@frozen
class Reporter:
    """The ways out.

    :param words: for people.
    :param view: for the live view; a log where it is no terminal.
    :param machine: for events; None if nobody asked for them.
    """

    words: Console
    view: Console = field(factory=lambda: make_console(stderr=True))
    machine: Console | None = None

    @classmethod
    def of(cls, *, json: bool) -> Reporter:
        """The process's own: with events, stdout is theirs alone."""
        if not json:
            return cls(words=make_console())
        return cls(words=make_console(stderr=True), machine=make_console())

    def say(self, *lines: str | Text) -> None:
        """Tell people, a line each."""
        for line in lines:
            self.words.print(line if isinstance(line, Text) else Text(printable(line)), soft_wrap=True)

    def event(self, kind: str, **facts: Any) -> None:
        """Tell a machine."""
        if self.machine is not None:
            line = json.dumps({"event": kind, **facts}, default=_plain, ensure_ascii=True)
            self.machine.print(line, soft_wrap=True, markup=False)

    @contextmanager
    def busy(self, words: str) -> Iterator[None]:
        """Say what takes a moment while the body runs, where there is a terminal."""
        if not self.view.is_terminal:
            yield
            return
        with Status(words, console=self.view):
            yield

    @property
    def can_ask(self) -> bool:
        """Whether a person is there to answer."""
        return self.machine is None and self.view.is_terminal and can_be_asked()

    async def agreed(self, question: str) -> bool:
        """Ask, where a person can answer; where none can, nobody is asked and it is agreed."""
        if not self.can_ask:
            return True
        self.view.print(Text(question, style="bold"), end="")
        return (await line_typed()).strip().lower() in {"y", "yes"}

    def ended(self, outcome: BatchOutcome) -> None:
        """Tell how one job ended."""
        self.event("outcome", **outcome_event(outcome))
        if not self.view.is_terminal:
            self.log(f"{outcome.state} {outcome_words(outcome)}")

    @asynccontextmanager
    async def showing(self, batch: Batch, stall_monitor: StallMonitor | None = None) -> AsyncIterator[None]:
        """Show how a batch stands while the body runs, and whether the server is silent."""
        async with run_periodically(_REPORTED_EVERY, lambda: self._report(batch)):
            if self.view.is_terminal:
                async with self._drawn(batch, stall_monitor):
                    yield
            else:
                async with run_periodically(
                    _LOGGED_EVERY, lambda: self.log(brief(batch.progress(), silence=_silence(stall_monitor)))
                ):
                    yield
        self._report(batch)

    @asynccontextmanager
    async def _drawn(self, batch: Batch, stall_monitor: StallMonitor | None) -> AsyncIterator[None]:
        meter = Meter(now)
        live = Live(
            console=self.view,
            auto_refresh=False,
            get_renderable=lambda: picture(batch, meter, self.view, silence=_silence(stall_monitor)),
        )
        with live:
            async with run_periodically(_REDRAWN_EVERY, live.refresh):
                yield
            live.refresh()

    def _report(self, batch: Batch) -> None:
        if self.machine is not None:
            self.event("standing", **asdict(batch.progress()))

    def log(self, words: str) -> None:
        """Tell people at what time something was; above the live view, if there is one."""
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        self.view.print(Text(f"{now}  {printable(words)}"), soft_wrap=True)


def _silence(stall_monitor: StallMonitor | None) -> float:
    return 0.0 if stall_monitor is None else stall_monitor.silence


def outcome_words(outcome: BatchOutcome) -> str:
    """One outcome in a line: which job, and what there is of it."""
    task = f" (task {outcome.task_id})" if outcome.task_id else ""
    return f"{entry_name(outcome.entry)}{task}: {_what(outcome)}"


def _what(outcome: BatchOutcome) -> str:
    if outcome.error is not None:
        return describe_error(outcome.error)
    return ", ".join(map(str, outcome.paths)) or "nothing to save"


def entry_name(entry: Entry) -> str:
    """One job, for people: who dances what, and in which row that was asked for."""
    return who(entry) if entry.line is None else f"{who(entry)} (row {entry.number})"


def who(entry: Entry) -> str:
    """Which dance meets which character."""
    files = [*([] if entry.clip is None else [entry.clip]), *entry.characters]
    return " × ".join(map(stem_of, files)) or f"job {entry.number}"


def outcome_event(outcome: BatchOutcome) -> dict[str, Any]:
    """One outcome for a machine."""
    error = outcome.error
    return {
        "number": outcome.entry.number,
        "name": entry_name(outcome.entry),
        "key": outcome.key,
        "notes": dict(outcome.entry.columns),
        "state": outcome.state,
        "task_id": outcome.task_id,
        "cause": outcome.cause,
        "code": None if error is None else error.code or None,
        "reason": error.reason if isinstance(error, JobError) else "",
        "error": None if error is None else describe_error(error),
        "paths": outcome.paths,
    }


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else str(value)
