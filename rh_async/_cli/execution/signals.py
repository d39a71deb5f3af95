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
from rh_async._cli.terminal.timing import now

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last comes when a terminal or an ssh connection closes
_SAME_SIGNAL = 0.5  #: seconds; a wrapper program passes on the Ctrl-C that the terminal has sent to both


@contextmanager
def stop_on_signals(console: Console, *, stopping: str, hint: Callable[[], str]) -> Iterator[None]:
    """Let signals cancel the body, so that everything in it is closed in order.

    :param stopping: printed at once, since closing may take a while: POSTs that were sent are finished first (rule 5).
    :param hint: says, once the body is closed, what goes on remotely and which command picks it up.
    :raises Interrupted: a signal stopped the body.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None  # noqa: S101 - for the type checker: a command is a task
    stop = _Stop(console, stopping, hint, main)
    numbers = _handled_signals()
    for number in numbers:
        loop.add_signal_handler(number, stop.request)
    try:
        yield
    except asyncio.CancelledError:
        if not stop.requested:
            raise
        main.uncancel()
        raise Interrupted(f"interrupted: {hint()}") from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _handled_signals() -> list[int]:
    """Return this system's signals that stop a command, without those that nohup has switched off."""
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


@define(eq=False)
class _Stop:
    """The state of stopping: not requested, requested, or forced by a second signal."""

    _console: Console
    _stopping: str
    _hint: Callable[[], str]
    _main: asyncio.Task[Any]
    _requested_at: float | None = field(default=None, init=False)

    @property
    def requested(self) -> bool:
        """Return whether a signal came."""
        return self._requested_at is not None

    def request(self) -> None:
        """Stop in order at the first signal, at once at the next."""
        at = now()
        if self._requested_at is not None:
            if at - self._requested_at >= _SAME_SIGNAL:
                self._leave()
            return
        self._requested_at = at
        self._console.print(f"Stopping: {self._stopping}. Ctrl-C again leaves at once.", soft_wrap=True)
        self._main.cancel()

    def _leave(self) -> None:
        self._console.show_cursor(True)
        sys.stdout.flush()
        sys.stderr.write(f"rh-async: left at once: {self._hint()}\n")
        sys.stderr.flush()
        # Neither the loop nor threads are waited for: the user has asked twice, and the journal is already durable.
        os._exit(ExitCode.INTERRUPTED)
