"""The progress of one job or of a few: a live line per phase on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import define, field
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from rh_async._cli.terminal.timing import now, run_periodically
from rh_async.batch import BatchProgress, PhaseProgress

from .progress_text import clock

_REDRAW_INTERVAL = 0.1
_LOG_INTERVAL = 3.0
_MAX_WIDTH = 110
_REASONS = {
    "capacity": "the account admits no more jobs for now",
    "rate": "the server asks for fewer requests",
    "journal": "another process holds the journal, perhaps a backup; nothing new is submitted until it can be written",
}


@asynccontextmanager
async def show_phases(console: Console, progress: Callable[[], BatchProgress]) -> AsyncIterator[None]:
    """Show the phases while the body runs, and once more at its end."""
    if console.is_terminal:
        live = Live(console=console, auto_refresh=False, get_renderable=lambda: phase_table(progress(), console.width))
        with live:
            async with run_periodically(_REDRAW_INTERVAL, live.refresh):
                yield
            live.refresh()
    else:
        log = _Log(console, progress, now())
        async with run_periodically(_LOG_INTERVAL, log.write):
            yield
        log.write()


@define
class _Log:
    """Prints the phases in a line, where they have changed."""

    _console: Console
    _progress: Callable[[], BatchProgress]
    _started: float
    _last_line: str = field(default="", init=False)

    def write(self) -> None:
        progress = self._progress()
        parts = [" ".join(filter(None, [one.name, _counts(one), _amount(progress, one)])) for one in progress.phases]
        parts += [] if progress.waiting_for is None else [f"waiting: {_REASONS.get(progress.waiting_for.reason, '')}"]
        line = " · ".join(parts)
        if line != self._last_line:
            self._last_line = line
            self._console.print(f"{now() - self._started:5.1f} s  {line}", soft_wrap=True)


def phase_table(progress: BatchProgress, width: int) -> Table:
    """Draw the phases, each with its counts, bytes, rate and remaining time."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.width = min(width, _MAX_WIDTH)
    grid.add_column(width=8, style="bold")
    grid.add_column(ratio=1)
    for min_width in (7, 10, 10, 10):
        grid.add_column(justify="right", min_width=min_width, no_wrap=True)
    for phase in progress.phases:
        cells = _counts(phase), _amount(progress, phase), _rate(phase), _eta(phase)
        grid.add_row(phase.name, ProgressBar(total=phase.total, completed=phase.done), *cells)
    if (wait := progress.waiting_for) is not None:
        grid.caption = f"waiting up to {wait.seconds:.0f} s: {_REASONS.get(wait.reason, '')}"
    return grid


def _counts(phase: PhaseProgress) -> str:
    return f"{phase.done}" if phase.total is None else f"{phase.done}/{phase.total}"


def _amount(progress: BatchProgress, phase: PhaseProgress) -> str:
    if phase.name == "running":
        return f"{progress.in_flight} now" if progress.in_flight else ""
    return decimal(phase.bytes) if phase.bytes else ""


def _rate(phase: PhaseProgress) -> str:
    if phase.bytes:
        speed = phase.rate(phase.bytes)
        return "" if speed is None else f"{decimal(round(speed))}/s"
    speed = phase.rate(phase.done)
    return "" if speed is None or speed >= 1000 else f"{speed:.1f}/s"  # all at once is no rate


def _eta(phase: PhaseProgress) -> str:
    if phase.finished:
        return f"in {clock(phase.elapsed)}"
    return "" if phase.time_left is None else f"{clock(phase.time_left)} left"
