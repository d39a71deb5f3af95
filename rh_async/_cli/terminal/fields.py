"""Prints named fields, one line each: whole at any width, and without control characters of a server's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any, TextIO, cast

from attrs import define
from rich.console import Console
from rich.text import Text

from rh_async import Snapshot, Usage
from rh_async._printable import one_line

NAME_WIDTH = 10  #: columns of a field's name
_UNKNOWN = "unknown"
_MAX_LENGTH = 20_000  # characters: a link is shown whole


def make_console(*, stderr: bool = False) -> Console:
    """Make a console on one of the process's streams, whose loss ends no command.

    A job is billed and goes on to its end, even if its output cannot be read any longer.
    """
    stream = _LossTolerantStream(sys.stderr if stderr else sys.stdout)
    return Console(file=cast("IO[str]", stream), highlight=False, emoji=False)


@define(eq=False)
class _LossTolerantStream:
    """A stream that goes on as the null device once it fails: a closed pipe, a full disk, a closed terminal."""

    _stream: TextIO

    def write(self, text: str) -> int:
        with self._null_device_after_failure():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._null_device_after_failure():
            self._stream.flush()

    @contextmanager
    def _null_device_after_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            # What is still buffered would fail once more when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def printable(text: str) -> str:
    """Put a text on one line, without control characters, changes of writing direction and unencodable characters."""
    return one_line(text, longest=_MAX_LENGTH)


def field_line(name: str, value: str) -> Text:
    """Lay out one field: its name in bold, then its value."""
    return Text.assemble((f"{name:<{NAME_WIDTH}}", "bold"), printable(value))


def print_fields(console: Console, fields: Iterable[tuple[str, str]]) -> None:
    """Print fields, a line each; a link stays whole, however long."""
    for name, value in fields:
        console.print(field_line(name, value), soft_wrap=True)


def format_cost(usage: Usage) -> str:
    """Format what a job cost, as far as the server said."""
    return format_wallet(usage.money, usage.currency, usage.coins or None)


def format_wallet(money: Decimal | None, currency: str | None, coins: Decimal | None) -> str:
    """Format an amount of wallet money and of coins."""
    amounts = [
        "" if money is None else f"{currency} {money:f}" if currency else f"{money:f} (currency unknown)",
        "" if coins is None else f"{coins:f} RH coins",
    ]
    return ", ".join(filter(None, amounts)) or _UNKNOWN


def or_unknown(value: object) -> str:
    """Format a value; "unknown" for none."""
    return _UNKNOWN if value is None else str(value)


def snapshot_fields(snapshot: Snapshot) -> Iterable[tuple[str, str]]:
    """List what one status response says about a task."""
    yield "task", snapshot.task_id
    yield "status", snapshot.status
    if snapshot.code or snapshot.message:
        yield "error", ": ".join(filter(None, [snapshot.code, snapshot.message]))
    for number, output in enumerate(snapshot.outputs):
        yield f"output {number}", " ".join(filter(None, [output.type, output.url or output.text]))
    if snapshot.outputs:
        yield "", "links live for about 24 h"
    if snapshot.settled:
        yield "cost", format_cost(snapshot.usage)
    if snapshot.usage.seconds:
        yield "run time", f"{snapshot.usage.seconds:f} s"
