"""``rh-async jobs``: what the journal remembers, for people or for scripts; it asks nobody and needs no API key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from attrs import asdict
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from rh_async import State

from ._book import Book, JournalPath
from ._exits import Exit
from ._facts import printable, screen
from ._rows import Row, read
from ._wishes import Model

Named = Literal["claimed", "submitting", "submitted", "settled", "saved", "lost", "refused", "uncertain", "abandoned"]
_WIDE = 120
_UNTOLD = frozenset({"raw", "foreign"})  #: bytes; and whether another API key made it, which needs one to be known
_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


async def jobs(
    *,
    state: Annotated[tuple[Named, ...], Parameter(show_default=False)] = (),
    json: Annotated[bool, Parameter(show_default=False)] = False,
    journal: JournalPath = None,
) -> int:
    """Tell what the journal remembers, oldest first; needs no API key and no network.

    :param state: only jobs in this state; may be given several times.
    :param json: one JSON object per line, for scripts.
    """
    book, console = Book(journal), screen()
    rows = await asyncio.to_thread(read, book.path)
    wanted = [row for row in rows if not state or row.record.state in state]
    for line in _listed(wanted, console) if not json else map(as_json, wanted):
        console.print(line, soft_wrap=True, markup=False)
    if not wanted and not json:
        which = f" that is {' or '.join(state)}" if state else ""
        console.print(Text(printable(f"No job{which} in the journal {book.path}")), soft_wrap=True)
    return Exit.GOOD


def as_json(row: Row) -> str:
    """One row for a script: everything but the server's raw answer."""
    facts = asdict(row.record, filter=lambda field, _: field.name not in _UNTOLD)
    facts["inputs"] = json.loads(row.record.inputs)
    return json.dumps({"site": row.site, **facts})


def model(endpoint: str) -> str:
    """What the command line calls a model."""
    return next((name for name in get_args(Model) if name in endpoint), endpoint or "-")


def _listed(rows: list[Row], console: Console) -> Iterator[Text]:
    sites = dict.fromkeys(row.site for row in rows)
    for site in sites:
        if len(sites) > 1:
            yield Text(site, style="bold")
        yield from _table([row for row in rows if row.site == site], wide=console.width >= _WIDE)


def _table(rows: list[Row], *, wide: bool) -> Iterator[Text]:
    """Three short lines a job, or one where there is room; keys, ids and paths stay whole, to be copied."""
    now = datetime.now(UTC)
    last = f"  {'KEY':<37}  RESULT" if wide else ""
    yield Text(f"{'STATE':<10} {'AGE':>4}  {'MODEL':<15} {'TASK ID':<19}{last}", style="bold")
    for row in rows:
        record = row.record
        age = _age((now - datetime.fromisoformat(record.claimed_utc)).total_seconds())
        head = f"{record.state:<10} {age:>4}  {model(record.endpoint):<15} {record.task_id or '-':<19}"
        if wide:
            yield Text(f"{head}  {printable(record.key):<37}  {outcome(row)}")
        else:
            yield from (Text(head), Text(f"  key {printable(record.key)}"), Text(f"  {outcome(row)}"))


def _age(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def outcome(row: Row) -> str:
    """What became of a job: its error, its files, or who has it."""
    return printable(_OUTCOMES[row.record.state](row))


def _settled(row: Row) -> str:
    snapshot = row.snapshot()
    if row.record.error is not None or snapshot is None:
        return _error(row) or "over, and its end cannot be read"
    if row.result() is not None:
        return "succeeded, not saved yet" + (", in hand" if row.carried else ": rh-async resume")
    return ": ".join(filter(None, [snapshot.status, snapshot.code, snapshot.message]))


def _error(row: Row) -> str:
    return ": ".join(filter(None, row.record.error or ()))


def _carried(words: str, left: str) -> Callable[[Row], str]:
    return lambda row: words if row.carried else left


_OUTCOMES: Mapping[State, Callable[[Row], str]] = MappingProxyType(
    {
        State.CLAIMED: _carried("in hand, not sent yet", "never sent"),
        State.SUBMITTING: _carried("being sent", "left while it was sent: rh-async resume"),
        State.SUBMITTED: _carried("runs, and is watched", "nobody watches it: rh-async resume"),
        State.SETTLED: _settled,
        State.SAVED: lambda row: ", ".join(row.record.paths) or "nothing to save",
        State.LOST: lambda _: "the server did not know it when last asked: rh-async resume asks again",
        State.REFUSED: lambda row: _error(row) or "refused",
        State.UNCERTAIN: lambda _: "nobody knows whether it was bought: rh-async resolve",
        State.ABANDONED: lambda _: "given up",
    }
)
