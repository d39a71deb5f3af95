"""Reports a batch: text for people, a live view or a log of its progress, one JSON object per line for programs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import Attribute, asdict, field, frozen
from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.text import Text

from rh_async import JobError
from rh_async._batch.outputs.output_naming import stem_of
from rh_async._cli.exit_codes import describe_error
from rh_async._cli.terminal.fields import make_console, printable
from rh_async._cli.terminal.stall_monitor import StallMonitor
from rh_async._cli.terminal.terminal_prompt import is_interactive, read_line
from rh_async._cli.terminal.timing import now, run_periodically

from .batch_view import Meter, draw_batch
from .progress_text import log_line

if TYPE_CHECKING:
    from rh_async.batch import Batch, BatchOutcome, Entry

_REDRAW_INTERVAL = 0.25
_LOG_INTERVAL = 30.0
_PROGRESS_EVENT_INTERVAL = 5.0


@frozen
class Reporter:
    """Where a batch command writes.

    :param text: for people: the plan, the summary.
    :param live_view: for the live view; for a log where it is no terminal.
    :param json_lines: for events; None if they were not asked for.
    """

    text: Console
    live_view: Console = field(factory=lambda: make_console(stderr=True))
    json_lines: Console | None = None

    @classmethod
    def for_process(cls, *, json: bool) -> Reporter:
        """Make the reporter of this process; with events, stdout carries nothing else."""
        if not json:
            return cls(text=make_console())
        return cls(text=make_console(stderr=True), json_lines=make_console())

    def print(self, *lines: str | Text) -> None:
        """Print text for people, a line each."""
        for line in lines:
            self.text.print(line if isinstance(line, Text) else Text(printable(line)), soft_wrap=True)

    def log(self, line: str) -> None:
        """Print a line with the time of day; above the live view, if there is one."""
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        self.live_view.print(Text(f"{now}  {printable(line)}"), soft_wrap=True)

    def emit(self, kind: str, **values: Any) -> None:
        """Write an event for programs."""
        if self.json_lines is not None:
            line = json.dumps({"event": kind, **values}, default=_to_json, ensure_ascii=True)
            self.json_lines.print(line, soft_wrap=True, markup=False)

    def report_outcome(self, outcome: BatchOutcome) -> None:
        """Report how one job ended."""
        self.emit("outcome", **outcome_event(outcome))
        if not self.live_view.is_terminal:
            self.log(f"{outcome.state} {outcome_line(outcome)}")

    @contextmanager
    def show_status(self, message: str) -> Iterator[None]:
        """Show what takes a moment while the body runs, where there is a terminal."""
        if not self.live_view.is_terminal:
            yield
            return
        with Status(message, console=self.live_view):
            yield

    @property
    def can_prompt(self) -> bool:
        """Return whether a person is there to answer a question."""
        return self.json_lines is None and self.live_view.is_terminal and is_interactive()

    async def confirm(self, prompt: str) -> bool:
        """Ask a yes-or-no question at a terminal; return True where there is none to ask at."""
        if not self.can_prompt:
            return True
        self.live_view.print(Text(prompt, style="bold"), end="")
        return (await read_line()).strip().lower() in {"y", "yes"}

    @asynccontextmanager
    async def show_progress(self, batch: Batch, stall_monitor: StallMonitor | None = None) -> AsyncIterator[None]:
        """Show the progress of a batch while the body runs, and whether the network stalls."""
        show = self._show_live if self.live_view.is_terminal else self._show_log
        emitted = run_periodically(_PROGRESS_EVENT_INTERVAL, lambda: self._emit_progress(batch))
        async with emitted, show(batch, stall_monitor):
            yield
        self._emit_progress(batch)

    @asynccontextmanager
    async def _show_live(self, batch: Batch, stall_monitor: StallMonitor | None) -> AsyncIterator[None]:
        meter = Meter(now)
        live = Live(
            console=self.live_view,
            auto_refresh=False,
            get_renderable=lambda: draw_batch(batch, meter, self.live_view, idle_time=_idle_time(stall_monitor)),
        )
        with live:
            async with run_periodically(_REDRAW_INTERVAL, live.refresh):
                yield
            live.refresh()

    @asynccontextmanager
    async def _show_log(self, batch: Batch, stall_monitor: StallMonitor | None) -> AsyncIterator[None]:
        def write() -> None:
            self.log(log_line(batch.progress(), idle_time=_idle_time(stall_monitor)))

        async with run_periodically(_LOG_INTERVAL, write):
            yield

    def _emit_progress(self, batch: Batch) -> None:
        if self.json_lines is not None:
            self.emit("progress", **asdict(batch.progress(), filter=_is_for_programs))


def _is_for_programs(part: Attribute[object], _: object) -> bool:
    """Leave out what only the view of a single job draws."""
    return part.name not in {"phases", "waiting_for"}


def _idle_time(stall_monitor: StallMonitor | None) -> float:
    return 0.0 if stall_monitor is None else stall_monitor.idle_time


def outcome_line(outcome: BatchOutcome) -> str:
    """Describe one outcome on a line: the job, and its files or its error."""
    task = f" (task {outcome.task_id})" if outcome.task_id else ""
    if outcome.error is not None:
        return f"{entry_name(outcome.entry)}{task}: {describe_error(outcome.error)}"
    return f"{entry_name(outcome.entry)}{task}: {', '.join(map(str, outcome.paths)) or 'nothing to save'}"


def entry_name(entry: Entry) -> str:
    """Name one job: its clip, its character, and its row in the manifest."""
    return clip_and_character(entry) if entry.line is None else f"{clip_and_character(entry)} (row {entry.number})"


def clip_and_character(entry: Entry) -> str:
    """Name a job's clip and its character; its number where it has neither."""
    files = [*([] if entry.clip is None else [entry.clip]), *entry.characters]
    return " × ".join(map(stem_of, files)) or f"job {entry.number}"


def outcome_event(outcome: BatchOutcome) -> dict[str, Any]:
    """Convert one outcome to the fields of its event."""
    error = outcome.error
    return {
        "number": outcome.entry.number,
        "name": entry_name(outcome.entry),
        "key": outcome.key,
        "notes": dict(outcome.entry.extra_columns),
        "state": outcome.state,
        "task_id": outcome.task_id,
        "cause": outcome.cause,
        "code": None if error is None else error.code or None,
        "reason": error.reason if isinstance(error, JobError) else "",
        "error": None if error is None else describe_error(error),
        "paths": outcome.paths,
    }


def _to_json(value: object) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else str(value)
