"""Draws the live view of a batch: as readable at ten jobs as at ten thousand, at 60 columns as at 160."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.filesize import decimal
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rh_async._cli.terminal.fields import printable

from .progress_text import (
    SEPARATOR,
    active_parts,
    clock,
    count_ended,
    ended_parts,
    money_parts,
    stall_text,
    time_left,
)

if TYPE_CHECKING:
    from rh_async import RHError
    from rh_async.batch import Batch, BatchProgress, ErrorGroup, RunningJob

_RATE_WINDOW = 10.0  #: seconds over which a rate is taken
_WIDE = 120  #: columns from which on two tables stand side by side
_MIN_FIXED_LINES = 10  #: above the tables, with some room for a log line
_NAME_WIDTH = 9


@define(eq=False)
class Meter:
    """Turns totals into rates, over the last few seconds."""

    clock: Callable[[], float]
    _samples: deque[tuple[float, tuple[int, ...]]] = field(factory=deque, init=False)

    def rates(self, *totals: int) -> tuple[float, ...]:
        """Return how much of each total came per second, since the call some seconds ago."""
        now = self.clock()
        self._samples.append((now, totals))
        while len(self._samples) > 1 and now - self._samples[0][0] > _RATE_WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        span = now - since
        return tuple((new - old) / span if span else 0.0 for new, old in zip(totals, before, strict=True))


def draw_batch(batch: Batch, meter: Meter, console: Console, *, idle_time: float = 0.0) -> RenderableType:
    """Draw the progress of a batch.

    :param idle_time: seconds for which a response has been due; 0 while the network does not stall.
    """
    progress, width = batch.progress(), console.width - len("^C")  # which a terminal prints behind the last line
    lines = [line for one in _fields(progress, meter, idle_time, batch.stopped) for line in one.lines(console, width)]
    wide = console.width >= _WIDE
    height = console.height - max(_MIN_FIXED_LINES, len(lines) + 3)
    rows = min(8, max(2, height // (1 if wide else 2) - 2))
    tables = [*_longest_running(progress.longest_running[:rows]), *_errors(progress.errors[:rows])]
    return Constrain(Group(_head(progress), *lines, *_arrange(tables, wide=wide)), width)


@frozen
class _Field:
    """A name, and parts that are broken over several lines where they do not fit on one."""

    name: str
    parts: Sequence[str]
    style: str = "bold"

    def lines(self, console: Console, width: int) -> Iterator[Text]:
        """Lay the field out."""
        room, name = max(1, width - _NAME_WIDTH), self.name
        for row in _pack(self.parts, room):
            for line in Text(row).wrap(console, room):
                yield Text.assemble((f"{name:<{_NAME_WIDTH}}", self.style), line)
                name = ""


def _pack(parts: Sequence[str], width: int) -> Iterator[str]:
    """Join parts into as few rows as hold them, without breaking one apart."""
    row = ""
    for part in parts:
        longer = f"{row}{SEPARATOR}{part}" if row else part
        if row and cell_len(longer) > width:
            yield row
            longer = part
        row = longer
    yield row


def _head(progress: BatchProgress) -> Table:
    ended = count_ended(progress)
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=8, style="bold")
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    share = f"{ended:,} of {progress.planned:,}, {100 * ended // max(1, progress.planned)} %"
    grid.add_row("batch", ProgressBar(total=max(1, progress.planned), completed=ended), share)
    return grid


def _fields(progress: BatchProgress, meter: Meter, idle_time: float, stopped: RHError | None) -> Iterator[_Field]:
    yield _Field("now", active_parts(progress))
    yield _Field("ended", ended_parts(progress))
    up, down, polls = meter.rates(progress.uploaded_bytes, progress.downloaded_bytes, progress.polls)
    rates = f"up {decimal(round(up))}/s", f"down {decimal(round(down))}/s", f"{polls:.1f} polls/s"
    yield _Field("traffic", rates)
    yield _Field("money", money_parts(progress))
    active = progress.waiting + progress.uploading + progress.in_flight + progress.saving
    unknown = "not known before the first jobs have ended" if active else "nothing is under way"
    yield _Field("time", [time_left(progress) or unknown])
    if idle_time:
        yield _Field("network", [f"{stall_text(idle_time)}; it goes on by itself"], "bold yellow")
    if stopped is not None:
        yield _Field("stopped", [printable(f"{progress.skipped:,} not started: {stopped.message}")], "bold red")


def _longest_running(jobs: Iterable[RunningJob]) -> Iterator[Table]:
    table = _table("longest running", "task", "age", "left")
    for job in jobs:
        left = "" if job.eta is None else clock(job.eta)
        table.add_row(printable(job.name), printable(job.task_id), clock(job.age), left)
    if table.rows:
        yield table


def _errors(groups: Iterable[ErrorGroup]) -> Iterator[Table]:
    table = _table("errors", "jobs")
    for group in groups:
        table.add_row(printable(f"{group.kind}: {group.example}"), f"{group.count:,}")
    if table.rows:
        yield table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(first, ratio=1, no_wrap=True, overflow="ellipsis")
    for name in others:
        table.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    return table


def _arrange(tables: list[Table], *, wide: bool) -> list[Table]:
    """Put two tables side by side where there is room."""
    if not wide or len(tables) < 2:
        return tables
    grid = Table.grid(padding=(0, 2), expand=True)
    for _ in tables:
        grid.add_column(ratio=1)
    grid.add_row(*tables)
    return [grid]
