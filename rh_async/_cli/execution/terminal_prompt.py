"""Asks a question at the terminal without holding the event loop, or the end of the process, up."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from threading import Thread

_LONGEST = 1024


def can_be_asked() -> bool:
    """Whether somebody may answer: standard input is a terminal."""
    try:
        return sys.stdin.isatty()
    except (AttributeError, ValueError):  # it is closed, or there is none
        return False


async def line_typed() -> str:
    """The next line from the terminal; "" at its end.

    A thread of its own reads it, as a daemon and from the descriptor: whoever stops meanwhile does not wait for a line,
    and the interpreter's end finds no lock held.
    """
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        try:
            line = os.read(sys.stdin.fileno(), _LONGEST).decode(errors="replace")
        except (OSError, ValueError):
            line = ""
        with suppress(RuntimeError):  # the loop has ended first
            loop.call_soon_threadsafe(_answer, typed, line)

    Thread(target=read, name="rh-async question", daemon=True).start()
    return await typed


def _answer(typed: asyncio.Future[str], line: str) -> None:
    if not typed.done():
        typed.set_result(line)
