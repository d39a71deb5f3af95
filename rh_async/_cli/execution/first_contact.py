"""Ends a command whose server never answers: a wrong address is a setting to correct, no silence to wait out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field

from rh_async import Session, TransportError
from rh_async._cli.exit_codes import UsageError
from rh_async._cli.output.job_view import run_periodically

_PATIENCE = 29.5  #: seconds from the first call on; once anything was answered, silence is waited out
_LOOKED_EVERY = 0.25


@asynccontextmanager
async def connected(session: Session, address: str) -> AsyncIterator[Session]:
    """Open a session for a command, and end the command if the server never answers.

    :param address: where the server should be, for people.
    :raises UsageError: nothing answered there within half a minute.
    """
    main = asyncio.current_task()
    assert main is not None  # noqa: S101 - for the type checker: a command is a task
    watch = _Watch(session, main)
    try:
        async with session, run_periodically(_LOOKED_EVERY, watch.look):
            yield session
    except asyncio.CancelledError:
        if not watch.gave_up:
            raise
        main.uncancel()
    except TransportError as error:
        if not session.unanswered_for:
            raise
        raise UsageError(f"{_words(address)} ({error.message})") from error
    else:
        return
    raise UsageError(_words(address))


def _words(address: str) -> str:
    return f"nothing answers at {address}: check the address (--base-url), the proxy and the network"


@define(eq=False)
class _Watch:
    _session: Session
    _main: asyncio.Task[Any]
    gave_up: bool = field(default=False, init=False)

    def look(self) -> None:
        """Stop the command, if it is time."""
        if not self.gave_up and self._session.unanswered_for >= _PATIENCE:
            self.gave_up = True
            self._main.cancel()
