"""Ends a command on Ctrl-C, SIGTERM and SIGHUP: in order at the first signal, at once at the second."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field
from rich.console import Console

from rh_async._cli.exit_codes import ExitCode, Interrupted

from .clock import now

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last comes when a terminal or an ssh connection closes
_ECHO = 0.5  #: seconds; a program around this one passes on the Ctrl-C that the terminal has sent to both


@contextmanager
def stop_on_signals(console: Console, *, stopping: str, words: Callable[[], str]) -> Iterator[None]:
    """Let signals cancel the body, so that everything in it is closed in order.

    :param stopping: said at once, since closing may take a while.
    :param words: tell, once it is closed, what became of what was asked for.
    :raises Interrupted: it was stopped.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None  # noqa: S101 - for the type checker: a command is a task
    stop = _Stop(console, stopping, words, main)
    numbers = _heeded()
    for number in numbers:
        loop.add_signal_handler(number, stop.ask)
    try:
        yield
    except asyncio.CancelledError:
        if not stop.asked:
            raise
        main.uncancel()
        raise Interrupted(f"interrupted: {words()}") from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _heeded() -> list[int]:
    """Choose the signals that stop a command: those of this system, but what nohup has switched off stays so."""
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


@define(eq=False)
class _Stop:
    _console: Console
    _stopping: str
    _words: Callable[[], str]
    _main: asyncio.Task[Any]
    _asked_at: float | None = field(default=None, init=False)

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked_at is not None

    def ask(self) -> None:
        """Stop in order the first time, at once the next."""
        at = now()
        if self._asked_at is not None:
            if at - self._asked_at >= _ECHO:
                self._leave()
            return
        self._asked_at = at
        self._console.print(f"Stopping: {self._stopping}. Ctrl-C again leaves at once.", soft_wrap=True)
        self._main.cancel()

    def _leave(self) -> None:
        self._console.show_cursor(True)
        sys.stdout.flush()
        sys.stderr.write(f"rh-async: left at once: {self._words()}\n")
        sys.stderr.flush()
        os._exit(ExitCode.INTERRUPTED)
