"""The progress of one job or of a few: a live line per phase on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from attrs import define, field
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from rh_async._cli.execution.timing import run_periodically

from .phase_counter import Phase, Tally

_REDRAW_INTERVAL = 0.1
_LOG_INTERVAL = 3.0
_MAX_WIDTH = 110


@asynccontextmanager
async def show_phases(console: Console, tally: Tally) -> AsyncIterator[None]:
    """Show the phases while the body runs, and once more at its end."""
    if console.is_terminal:
        live = Live(console=console, auto_refresh=False, get_renderable=lambda: phase_table(tally, console.width))
        with live:
            async with run_periodically(_REDRAW_INTERVAL, live.refresh):
                yield
            live.refresh()
    else:
        log = _Log(console, tally, tally.clock())
        async with run_periodically(_LOG_INTERVAL, log.write):
            yield
        log.write()


@define
class _Log:
    """Prints the phases in a line, where they have changed."""

    _console: Console
    _tally: Tally
    _started: float
    _last_line: str = field(default="", init=False)

    def write(self) -> None:
        now = self._tally.clock()
        line = " · ".join([*(_brief(self._tally, phase) for phase in self._tally.phases), *_wait_reason(self._tally)])
        if line != self._last_line:
            self._last_line = line
            self._console.print(f"{now - self._started:5.1f} s  {line}", soft_wrap=True)


def phase_table(tally: Tally, width: int) -> Table:
    """Draw the phases, each with its counts, bytes, rate and remaining time."""
    now = tally.clock()
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.width = min(width, _MAX_WIDTH)
    grid.add_column(width=8, style="bold")
    grid.add_column(ratio=1)
    for min_width in (7, 10, 10, 10):
        grid.add_column(justify="right", min_width=min_width, no_wrap=True)
    for phase in tally.phases:
        cells = _counts(phase), _amount(tally, phase), _rate(phase, now), _eta(tally, phase, now)
        grid.add_row(phase.name, ProgressBar(total=phase.wanted, completed=phase.done), *cells)
    if tally.waiting is not None:
        grid.caption = f"waiting up to {tally.waiting.seconds:.0f} s: {_REASONS.get(tally.waiting.reason, '')}"
    return grid


def _wait_reason(tally: Tally) -> Iterator[str]:
    if tally.waiting is not None:
        yield f"waiting: {_REASONS.get(tally.waiting.reason, '')}"


_REASONS = {
    "capacity": "the account admits no more jobs for now",
    "rate": "the server asks for fewer requests",
    "journal": "another process holds the journal, perhaps a backup; nothing new is submitted until it can be written",
}


def _counts(phase: Phase) -> str:
    return f"{phase.done}" if phase.wanted is None else f"{phase.done}/{phase.wanted}"


def _amount(tally: Tally, phase: Phase) -> str:
    if phase is tally.running:
        return f"{tally.in_flight} now" if tally.in_flight else ""
    return decimal(phase.bytes) if phase.bytes else ""


def _rate(phase: Phase, now: float) -> str:
    if phase.bytes:
        speed = phase.rate(phase.bytes, now)
        return "" if speed is None else f"{decimal(round(speed))}/s"
    speed = phase.rate(phase.done, now)
    return "" if speed is None or speed >= 1000 else f"{speed:.1f}/s"  # all at once is no rate


def _eta(tally: Tally, phase: Phase, now: float) -> str:
    if phase.finished:
        return f"in {_clock(phase.elapsed(now))}"
    left = tally.left(phase, now)
    return "" if left is None else f"{_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


def _brief(tally: Tally, phase: Phase) -> str:
    return " ".join(filter(None, [phase.name, _counts(phase), _amount(tally, phase)]))
