"""What is printed: facts with their names, whole at any width, and nothing of a server's that a terminal would obey."""

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

_UNKNOWN = "not told"
_LONGEST = 20_000  # characters: a link is shown whole


def make_console(*, stderr: bool = False) -> Console:
    """Where commands print: a job is paid and goes on to its end, even if nobody can read about it any longer."""
    return Console(
        file=cast("IO[str]", _Unbreakable(sys.stderr if stderr else sys.stdout)), highlight=False, emoji=False
    )


@define(eq=False)
class _Unbreakable:
    """A stream whose loss disturbs nobody: a closed pipe, a full disk, a terminal that is gone."""

    _stream: TextIO

    def write(self, words: str) -> int:
        with self._given_up():
            self._stream.write(words)
        return len(words)

    def flush(self) -> None:
        with self._given_up():
            self._stream.flush()

    @contextmanager
    def _given_up(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            # What is still buffered would fail once more when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def printable(words: str) -> str:
    """Words in one line, without what moves a cursor, turns the writing round or cannot be written at all."""
    return one_line(words, longest=_LONGEST)


def tell(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Print facts, a line each; a link stays whole, however long."""
    for name, fact in facts:
        console.print(Text.assemble((f"{name:<10}", "bold"), printable(fact)), soft_wrap=True)


def cost(usage: Usage) -> str:
    """What a job cost, as far as the server said."""
    return amounts(usage.money, usage.currency, usage.coins or None)


def amounts(money: Decimal | None, currency: str | None, coins: Decimal | None) -> str:
    """Wallet money and coins, in words."""
    sums = [
        "" if money is None else f"{currency} {money:f}" if currency else f"{money:f} in a currency not told",
        "" if coins is None else f"{coins:f} RH coins",
    ]
    return ", ".join(filter(None, sums)) or _UNKNOWN


def known(value: object) -> str:
    """A value, or that nobody told it."""
    return _UNKNOWN if value is None else str(value)


def about(snapshot: Snapshot) -> Iterable[tuple[str, str]]:
    """What one answer says about a task."""
    yield "task", snapshot.task_id
    yield "status", snapshot.status
    if snapshot.code or snapshot.message:
        yield "error", ": ".join(filter(None, [snapshot.code, snapshot.message]))
    for number, output in enumerate(snapshot.outputs):
        yield f"output {number}", " ".join(filter(None, [output.type, output.url or output.text]))
    if snapshot.outputs:
        yield "", "links live for about 24 h"
    if snapshot.settled:
        yield "cost", cost(snapshot.usage)
    if snapshot.usage.seconds:
        yield "run time", f"{snapshot.usage.seconds:f} s"
