"""The live display: a line per phase on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import anyio
from attrs import define, field
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .phase_counter import Phase, Tally

_REDRAWN_EVERY = 0.1
_LOGGED_EVERY = 3.0
_WIDEST = 110


@asynccontextmanager
async def shown(console: Console, tally: Tally) -> AsyncIterator[None]:
    """Show a tally while the body runs, and how it stands at the end."""
    if console.is_terminal:
        live = Live(console=console, auto_refresh=False, get_renderable=lambda: table(tally, console.width))
        with live:
            async with run_periodically(_REDRAWN_EVERY, live.refresh):
                yield
            live.refresh()
    else:
        log = _Log(console, tally, tally.clock())
        async with run_periodically(_LOGGED_EVERY, log.write):
            yield
        log.write()


@asynccontextmanager
async def run_periodically(seconds: float, act: Callable[[], object]) -> AsyncIterator[None]:
    """Act again and again while the body runs. A task of its own: no cancel scope wraps the body."""

    async def beat() -> None:
        while True:
            await anyio.sleep(seconds)
            act()

    heart = asyncio.create_task(beat())
    try:
        yield
    finally:
        heart.cancel()
        await asyncio.wait({heart})


@define
class _Log:
    _console: Console
    _tally: Tally
    _since: float
    _written: str = field(default="", init=False)

    def write(self) -> None:
        now = self._tally.clock()
        told = " · ".join([*(_brief(self._tally, phase) for phase in self._tally.phases), *_held_back(self._tally)])
        if told != self._written:
            self._written = told
            self._console.print(f"{now - self._since:5.1f} s  {told}", soft_wrap=True)


def table(tally: Tally, width: int) -> Table:
    """Draw the phases, each with its counts, bytes, rate and remaining time."""
    now = tally.clock()
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.width = min(width, _WIDEST)
    grid.add_column(width=8, style="bold")
    grid.add_column(ratio=1)
    for least in (7, 10, 10, 10):
        grid.add_column(justify="right", min_width=least, no_wrap=True)
    for phase in tally.phases:
        facts = _counts(phase), _amount(tally, phase), _rate(phase, now), _eta(tally, phase, now)
        grid.add_row(phase.name, _bar(phase), *facts)
    if tally.waiting is not None:
        grid.caption = f"waiting up to {tally.waiting.seconds:.0f} s: {_REASONS.get(tally.waiting.reason, '')}"
    return grid


def _held_back(tally: Tally) -> Iterator[str]:
    if tally.waiting is not None:
        yield f"waiting: {_REASONS.get(tally.waiting.reason, '')}"


_REASONS = {
    "capacity": "the account admits no more jobs for now",
    "rate": "the server asks for fewer requests",
    "journal": "another process holds the journal, perhaps a backup; nothing new is submitted until it can be written",
}


def _bar(phase: Phase) -> ProgressBar:
    return ProgressBar(total=phase.wanted, completed=phase.done)


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
    return "" if speed is None or speed >= 1000 else f"{speed:.1f}/s"  # at once is no rate


def _eta(tally: Tally, phase: Phase, now: float) -> str:
    if phase.finished:
        return f"in {_clock(phase.elapsed(now))}"
    left = tally.left(phase, now)
    return "" if left is None else f"{_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _brief(tally: Tally, phase: Phase) -> str:
    return " ".join(filter(None, [phase.name, _counts(phase), _amount(tally, phase)]))
