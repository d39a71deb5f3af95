"""The live view of a batch: as readable at ten jobs as at ten thousand, at 80 columns as at 160. Draws, asks nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import define, field
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.filesize import decimal
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .fields import printable

if TYPE_CHECKING:
    from rh_async import RHError
    from rh_async.batch import Batch, BatchProgress, ErrorGroup, RunningJob

_WINDOW = 10.0  #: seconds that a rate looks back
_WIDE = 120
_ALWAYS = 10  #: lines that may be there whatever happens
_BETWEEN = " · "
_ENDS = "saved", "already_done", "failed", "rejected", "unconfirmed", "save_failed"


@define(eq=False)
class Meter:
    """Makes rates of totals, over the last few seconds."""

    clock: Callable[[], float]
    _seen: deque[tuple[float, tuple[int, ...]]] = field(factory=deque, init=False)

    def rates(self, *totals: int) -> tuple[float, ...]:
        """How much of each came per second since it was asked some seconds ago."""
        now = self.clock()
        self._seen.append((now, totals))
        while len(self._seen) > 1 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        span = now - since
        return tuple((new - old) / span if span else 0.0 for new, old in zip(totals, before, strict=True))


def picture(batch: Batch, meter: Meter, console: Console, *, idle_time: float = 0.0) -> RenderableType:
    """Draw how a batch stands.

    :param idle_time: for how many seconds the server has owed an answer; 0 if that is not worth a word.
    """
    progress = batch.progress()
    rows = min(8, max(2, (console.height - _ALWAYS) // (1 if console.width >= _WIDE else 2) - 2))
    lists = [*_oldest(progress.longest_running[:rows]), *_errors(progress.errors[:rows])]
    facts = [*_lines(progress, meter), *_stall_line(idle_time), *_stopped(progress, batch.stopped)]
    drawn = Group(_head(progress), *facts, *_beside(lists, wide=console.width >= _WIDE))
    return Constrain(drawn, console.width - len("^C"))  # which a terminal writes behind the last line


def brief(progress: BatchProgress, *, idle_time: float = 0.0) -> str:
    """How a batch stands, in one line for a log.

    :param idle_time: as `picture` has it.
    """
    skipped = f"skipped {progress.skipped:,}" if progress.skipped else ""
    parts = [_under_way(progress), _ended(progress), skipped, money_words(progress), _time_left(progress)]
    parts += [_stall_text(idle_time), *map(_trouble, progress.errors[:1])]
    return _BETWEEN.join(filter(None, parts))


def clock(seconds: float) -> str:
    """Seconds as people read them."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _head(progress: BatchProgress) -> Table:
    done = done_of(progress)
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=8, style="bold")
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    share = f"{done:,} of {progress.planned:,}, {100 * done // max(1, progress.planned)} %"
    grid.add_row("batch", ProgressBar(total=max(1, progress.planned), completed=done), share)
    return grid


def done_of(progress: BatchProgress) -> int:
    """How many jobs are over, well or not; what was never started is not."""
    return sum(getattr(progress, end) for end in _ENDS)


def _lines(progress: BatchProgress, meter: Meter) -> Iterator[Text]:
    up, down, asked = meter.rates(progress.uploaded_bytes, progress.downloaded_bytes, progress.polls)
    traffic = f"up {decimal(round(up))}/s · down {decimal(round(down))}/s · {asked:.1f} questions/s"
    busy = progress.waiting + progress.uploading + progress.in_flight + progress.saving
    left = _time_left(progress) or ("not known before the first jobs have ended" if busy else "nothing is under way")
    facts = {
        "now": _under_way(progress),
        "ended": _ended(progress),
        "traffic": traffic,
        "money": money_words(progress),
        "time": left,
    }
    for name, fact in facts.items():
        yield Text.assemble((f"{name:<9}", "bold"), fact, no_wrap=True, overflow="ellipsis")


def _stopped(progress: BatchProgress, why: RHError | None) -> Iterator[Text]:
    if why is not None:
        words = f"{progress.skipped:,} not started: {why.message}"
        yield Text.assemble((f"{'stopped':<9}", "bold red"), printable(words), no_wrap=True, overflow="ellipsis")


def _stall_line(idle_time: float) -> Iterator[Text]:
    if idle_time:
        words = f"{_stall_text(idle_time)}; it goes on by itself"
        yield Text.assemble((f"{'network':<9}", "bold yellow"), words, no_wrap=True, overflow="ellipsis")


def _stall_text(idle_time: float) -> str:
    return f"nothing heard from the server for {idle_time:.0f} s" if idle_time else ""


def _trouble(cause: ErrorGroup) -> str:
    return f"{cause.count:,} × {cause.kind}: {cause.example}"


def _under_way(progress: BatchProgress) -> str:
    return _BETWEEN.join(
        [
            f"waiting {progress.waiting:,}",
            f"uploading {progress.uploading:,}",
            f"in flight {progress.in_flight:,} of {progress.limit:,}",
            f"saving {progress.saving:,}",
        ]
    )


def _ended(progress: BatchProgress) -> str:
    counts = {end: getattr(progress, end) for end in _ENDS}
    return _BETWEEN.join(f"{end} {count:,}" for end, count in counts.items() if count or end in {"saved", "failed"})


def money_words(progress: BatchProgress) -> str:
    """What a batch has cost and may yet: by this run, by earlier ones, by what runs, and what is in doubt."""
    parts = [f"{progress.spent:,.2f} spent by this run"]
    parts += [f"{progress.spent_earlier:,.2f} by earlier runs"] if progress.spent_earlier else []
    parts += [f"{progress.reserved:,.2f} reserved"] if progress.reserved else []
    if progress.maybe_billed_jobs:
        jobs = "1 job" if progress.maybe_billed_jobs == 1 else f"{progress.maybe_billed_jobs:,} jobs"
        parts.append(f"{progress.maybe_billed:,.2f} in doubt ({jobs})")
    parts += [] if progress.budget is None else [f"budget {progress.budget:,.2f}"]
    return f"{progress.currency} {_BETWEEN.join(parts)}".strip()


def _time_left(progress: BatchProgress) -> str:
    if progress.time_left is None:
        return ""
    low, middle, high = progress.time_left
    return f"{clock(middle)} left ({clock(low)} to {clock(high)})"


def _oldest(rows: Iterable[RunningJob]) -> Iterator[Table]:
    table = _table("oldest in flight", "task", "age", "left")
    for row in rows:
        left = "" if row.eta is None else clock(row.eta)
        table.add_row(printable(row.name), printable(row.task_id), clock(row.age), left)
    if table.rows:
        yield table


def _errors(causes: Iterable[ErrorGroup]) -> Iterator[Table]:
    table = _table("errors", "jobs")
    for one in causes:
        table.add_row(printable(f"{one.kind}: {one.example}"), f"{one.count:,}")
    if table.rows:
        yield table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(first, ratio=1, no_wrap=True, overflow="ellipsis")
    for name in others:
        table.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    return table


def _beside(tables: list[Table], *, wide: bool) -> list[Table]:
    """Two tables stand side by side where there is room."""
    if not wide or len(tables) < 2:
        return tables
    grid = Table.grid(padding=(0, 2), expand=True)
    for _ in tables:
        grid.add_column(ratio=1)
    grid.add_row(*tables)
    return [grid]
