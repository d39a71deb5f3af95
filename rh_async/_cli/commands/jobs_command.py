"""``rh-async jobs``: list the jobs in the journal, as text or as JSON; makes no call and needs no API key."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit

from attrs import asdict, field, frozen
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.terminal.fields import make_console, printable
from rh_async._journal.reader import Row, overview, stream
from rh_async._journal.sqlite_file import backup as copy_journal
from rh_async.journal import SubmissionRecord, SubmissionState
from rh_async.models.derived_key import is_derived
from rh_async.models.registry import aliases

StateName = Literal[
    "claimed", "submitting", "submitted", "settled", "saved", "lost", "refused", "uncertain", "abandoned"
]
_WIDE = 140
_PAGE = 200
_CLIPS = frozenset({".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".gif"})
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".heic", ".avif", ".tif", ".tiff"})
_NOT_LISTED = frozenset({"raw", "foreign", "contents"})  #: bytes and digests; `foreign` is known with an API key only
_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


async def jobs(
    *,
    state: Annotated[tuple[StateName, ...], Parameter(show_default=False)] = (),
    json: Annotated[bool, Parameter(show_default=False)] = False,
    backup: Annotated[Path | None, Parameter(show_default=False)] = None,
    journal: JournalPath = None,
) -> int:
    """List the jobs in the journal, oldest first; needs no API key and no network.

    Keys that were made from a job's inputs are shown by their beginning, which every command takes in place of the key.

    :param state: only jobs in this state; may be given several times.
    :param json: one JSON object per line, for scripts.
    :param backup: copy the journal to this file, in place of listing it; also while jobs run.
    """
    journal_file, console = JournalFile(journal), make_console()
    if backup is not None:
        await asyncio.to_thread(copy_journal, journal_file.path, backup)
        console.print(Text(printable(f"The journal {journal_file.path} is copied to {backup}")), soft_wrap=True)
        return ExitCode.SUCCESS
    count = await (_print_json if json else _print_table)(journal_file.path, state, console)
    if not count and not json:
        which = f" that is {' or '.join(state)}" if state else ""
        console.print(Text(printable(f"No job{which} in the journal {journal_file.path}")), soft_wrap=True)
    return ExitCode.SUCCESS


async def _print_json(path: Path, states: tuple[str, ...], console: Console) -> int:
    count = 0
    async for rows in _pages(stream(path, states=states)):
        _write(console, map(as_json, rows))
        count += len(rows)
    return count


async def _print_table(path: Path, states: tuple[str, ...], console: Console) -> int:
    known = await asyncio.to_thread(overview, path)
    table, count = Table(wide=console.width >= _WIDE, key_length=known.shown), 0
    for site in known.sites:
        has_head = False
        async for rows in _pages(stream(path, site, states=states)):
            if not has_head:
                has_head = True
                console.print(*([Text(site, style="bold")] if len(known.sites) > 1 else []), table.head(), sep="\n")
            _write(console, (line for row in rows for line in table.lines(row)))
            count += len(rows)
    return count


def _write(console: Console, lines: Iterable[str]) -> None:
    """Write lines as they are: laying each one out would take most of the time for a large journal."""
    console.file.write("".join(f"{line}\n" for line in lines))
    console.file.flush()


async def _pages(rows: Iterator[Row]) -> AsyncIterator[list[Row]]:
    """Read a journal page by page: it may be very large, and the first rows are to be printed at once."""
    while page := await asyncio.to_thread(lambda: list(islice(rows, _PAGE))):
        yield page


def as_json(row: Row) -> str:
    """Convert one row for a script: everything but the server's raw response.

    A record keeps the status that the server last named while the task ran; once it is over, its last response decides.
    """
    fields = asdict(row.record, filter=lambda field, _: field.name not in _NOT_LISTED)
    if (snapshot := row.snapshot()) is not None:
        fields["status"] = snapshot.status
    fields["inputs"] = json.loads(row.record.inputs)
    return json.dumps({"site": row.site, **fields})


def model(endpoint: str) -> str:
    """Return the name of a model on the command line; its endpoint where it has none."""
    return next((name for name in aliases() if name in endpoint), endpoint or "-")


def subject(record: SubmissionRecord) -> str:
    """Name a job by its clip and its character: the names of its files or links; "" where there are none."""
    names = [name for value in json.loads(record.inputs).values() for name in _file_names(value)]
    clips = [name for name in names if PurePath(name).suffix.lower() in _CLIPS]
    return " × ".join([*clips, *(name for name in names if name not in clips)])


def _file_names(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _file_names(one)
    elif isinstance(value, str):
        upload = re.match(r"Upload\(file_name='([^']*)'", value)
        path = upload[1] if upload else urlsplit(value).path if value.lower().startswith("http") else value
        if PurePath(path).suffix.lower() in _CLIPS | _PICTURES:
            yield PurePath(path).name


@frozen
class Table:
    """Three short lines a job, or one where there is room; ids, paths and given keys stay whole, to be copied.

    :param key_length: how many characters of a derived key are shown.
    """

    wide: bool
    key_length: int
    _now: datetime = field(factory=lambda: datetime.now(UTC))

    def head(self) -> Text:
        """Return the names of the columns."""
        last = f"  {'KEY':<{self.key_length}}  {'JOB':<28}  RESULT" if self.wide else ""
        return Text(f"{'STATE':<10} {'AGE':>4}  {'MODEL':<15} {'TASK ID':<19}{last}", style="bold")

    def lines(self, row: Row) -> Iterator[str]:
        """Lay one job out."""
        record = row.record
        age = _age((self._now - datetime.fromisoformat(record.claimed_utc)).total_seconds())
        head = f"{record.state:<10} {age:>4}  {model(record.endpoint):<15} {record.task_id or '-':<19}"
        key, name, end = printable(self._key(record)), printable(subject(record)), outcome(row)
        if self.wide:
            yield f"{head}  {key:<{self.key_length}}  {name or '-':<28}  {end}"
        else:
            yield from (head, f"  {name}, key {key}" if name else f"  key {key}", f"  {end}")

    def _key(self, record: SubmissionRecord) -> str:
        return record.key[: self.key_length] if is_derived(record.key) else record.key


def _age(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def outcome(row: Row) -> str:
    """Describe the outcome of a job: its error, its files, or whether a live process has it."""
    return printable(_OUTCOMES[row.record.state](row))


def _settled(row: Row) -> str:
    snapshot = row.snapshot()
    if row.record.error is not None or snapshot is None:
        return _error(row) or "over, and its last response cannot be read"
    if row.result() is not None:
        return "succeeded, not saved yet" + (", run by a live process" if row.carried else ": rh-async resume")
    return ": ".join(filter(None, [snapshot.status, snapshot.code, snapshot.message]))


def _error(row: Row) -> str:
    return ": ".join(filter(None, row.record.error or ()))


def _by_process(live: str, dead: str) -> Callable[[Row], str]:
    """Choose the text by whether the process that has the job is alive."""
    return lambda row: live if row.carried else dead


_OUTCOMES: Mapping[SubmissionState, Callable[[Row], str]] = MappingProxyType(
    {
        SubmissionState.CLAIMED: _by_process("claimed by a live process, not sent yet", "never sent"),
        SubmissionState.SUBMITTING: _by_process("being sent", "its process ended while it was sent: rh-async resume"),
        SubmissionState.SUBMITTED: _by_process(
            "running, watched by a live process", "running, not watched: rh-async resume"
        ),
        SubmissionState.SETTLED: _settled,
        SubmissionState.SAVED: lambda row: ", ".join(row.record.paths) or "nothing to save",
        SubmissionState.LOST: lambda _: "the server did not know it when last asked: rh-async resume asks again",
        SubmissionState.REFUSED: lambda row: _error(row) or "rejected",
        SubmissionState.UNCERTAIN: lambda _: "the response was lost: rh-async confirm, or rh-async discard",
        SubmissionState.ABANDONED: lambda _: "discarded",
    }
)
