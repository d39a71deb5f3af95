"""What is printed: facts with their names, whole at any width, and nothing of a server's that a terminal would obey."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal

from rich.console import Console
from rich.text import Text

from rh_async import Snapshot, Usage

_UNKNOWN = "not told"


class Screen(Console):
    """Falls silent when nobody reads any longer: a job that is piped into ``head`` is paid, and goes on to its end."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(words: str) -> str:
    """Words in one line, without what moves a cursor, turns the writing round or cannot be written at all."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(words.split()))


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
        "" if money is None else f"{currency or 'money'} {money:f}",
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
