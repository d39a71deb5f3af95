"""Reads an answer from the terminal without blocking the event loop or the end of the process."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from threading import Thread

_MAX_BYTES = 1024


def is_interactive() -> bool:
    """Return whether standard input is a terminal."""
    try:
        return sys.stdin.isatty()
    except (AttributeError, ValueError):  # it is closed, or there is none
        return False


async def read_line() -> str:
    """Read the next line from the terminal; "" at its end.

    A daemon thread reads from the file descriptor: a command that is stopped meanwhile does not wait for the line, and
    the interpreter finds no lock held at its end.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        try:
            text = os.read(sys.stdin.fileno(), _MAX_BYTES).decode(errors="replace")
        except (OSError, ValueError):
            text = ""
        with suppress(RuntimeError):  # the loop has ended first
            loop.call_soon_threadsafe(_set_line, line, text)

    Thread(target=read, name="rh-async prompt", daemon=True).start()
    return await line


def _set_line(line: asyncio.Future[str], text: str) -> None:
    if not line.done():  # the command was stopped meanwhile
        line.set_result(text)
