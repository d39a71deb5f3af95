"""Ends a command whose server never responds: a wrong address is a setting to correct, not an outage to wait out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field

from rh_async import Session, TransportError
from rh_async._cli.exit_codes import UsageError
from rh_async._cli.terminal.timing import run_periodically

_GIVE_UP_AFTER = 29.5  #: seconds from the first call on; after any response, an outage is waited out
_CHECK_INTERVAL = 0.25


@asynccontextmanager
async def connected(session: Session, address: str) -> AsyncIterator[Session]:
    """Open a session for a command, and end the command if the server never responds.

    :param address: the server's, as it is shown to the user.
    :raises UsageError: nothing responded there within half a minute.
    """
    main = asyncio.current_task()
    assert main is not None  # noqa: S101 - for the type checker: a command is a task
    watchdog = _Watchdog(session, main)
    try:
        async with session, run_periodically(_CHECK_INTERVAL, watchdog.check):
            yield session
    except asyncio.CancelledError:
        if not watchdog.gave_up:
            raise
        main.uncancel()
    except TransportError as error:
        if not session.unanswered_for:
            raise
        raise UsageError(f"{_message(address)} ({error.message})") from error
    else:
        return
    raise UsageError(_message(address))


def _message(address: str) -> str:
    return f"nothing answers at {address}: check the address (--base-url), the proxy and the network"


@define(eq=False)
class _Watchdog:
    """Cancels a command's task once its session has had no response for too long."""

    _session: Session
    _main: asyncio.Task[Any]
    gave_up: bool = field(default=False, init=False)

    def check(self) -> None:
        """Cancel the command, if it is time."""
        if not self.gave_up and self._session.unanswered_for >= _GIVE_UP_AFTER:
            self.gave_up = True
            self._main.cancel()
