"""The lifetime of a session: opened once, closed once, shared by all views of the session."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, field

from rh_async._http.transport import Transport
from rh_async.errors import RHError, SessionError

if TYPE_CHECKING:
    from rh_async._runtime.runtime import SessionRuntime


@define(eq=False, repr=False)
class SessionLifetime:
    """Opens and closes the runtime of one session.

    :param transport: the session's connections, for what can be told of them before it is open.
    :ivar runtime: None until the session is opened.
    """

    transport: Transport
    _make_runtime: Callable[[], SessionRuntime]
    runtime: SessionRuntime | None = field(default=None, init=False)
    _opened: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)
    # A task that closes the session waits until its opening, or another closing, is finished.
    _lock: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def open(self) -> None:
        """Open the session.

        :raises SessionError: it is open, or was: a session is opened once.
        :raises JournalError: the journal cannot be used.
        """
        if self._opened:
            state = "has been closed" if self._closed else "is open already"
            raise SessionError(f"the session {state}: a session is opened once; make another")
        self._opened = True
        async with self._lock:
            # Imported and made in a thread: it is a third of the package, and would block the event loop meanwhile.
            runtime = await asyncio.to_thread(self._make_runtime)
            await runtime.open()
            self.runtime = runtime

    async def close(self) -> RHError | None:
        """Close the session; harmless if it is not open, or closed already.

        :return: why the session's services crashed; None if they did not, or were closed before.
        """
        async with self._lock:
            if self.runtime is None or self._closed:
                return None
            self._closed = True
            return await self.runtime.close()

    def require_open(self, *, asking: bool = True) -> SessionRuntime:
        """Return the runtime.

        :param asking: whether the server is to be called, which a rejected API key forbids.
        :raises RHError: the session cannot be used here and now.
        """
        if self.runtime is None:
            raise SessionError("the session is not open: use it inside 'async with', or after 'await session.open()'")
        self.runtime.check(asking=asking)
        return self.runtime


def make_runtime(*, transport: Transport, journal: str | None, **settings: Any) -> SessionRuntime:
    """Import and make the runtime of a session. It runs in a thread."""
    from rh_async import batch  # noqa: F401, PLC0415 - imported later, while jobs run, it may lack a descriptor
    from rh_async._api.wire import prepare  # noqa: PLC0415 - as in `SessionLifetime.open`
    from rh_async._batch.outputs import job_naming  # noqa: F401, PLC0415 - likewise
    from rh_async._http import link_client  # noqa: F401, PLC0415 - likewise
    from rh_async._runtime import bulk_port, bulk_runner  # noqa: F401, PLC0415 - likewise
    from rh_async._runtime.runtime import SessionRuntime  # noqa: PLC0415
    from rh_async._runtime.services import journal_at  # noqa: PLC0415

    prepare()
    for name in ("idna", "ascii"):  # codecs of the resolver and of a terminal: loading one needs a descriptor, too
        codecs.lookup(name)
    store = None if journal is None else journal_at(journal, transport.base_url)
    return SessionRuntime(transport=transport, journal=store, **settings)
