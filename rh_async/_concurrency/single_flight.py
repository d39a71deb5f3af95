"""Work that belongs to the session and is waited for by its callers: one piece, any number of waiters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from attrs import define, field

from rh_async.errors import RHError, SessionError

from .defects import unexpected

T = TypeVar("T")


@define(eq=False, repr=False)
class Flight(Generic[T]):
    """One piece of work that everybody who wants its value shares."""

    landed: anyio.Event = field(factory=anyio.Event)
    values: list[T] = field(factory=list)
    error: RHError | None = None
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)

    async def fly(self, work: Callable[[], Awaitable[T]]) -> None:
        """Do the work, in a task of the session."""
        try:
            with self.scope:
                self.values.append(await work())
        except RHError as error:
            self.error = error
        except Exception as defect:  # noqa: BLE001 - who waits for it is told; the session goes on
            self.error = unexpected(defect)
        finally:
            self.landed.set()

    async def value(self) -> T:
        """Wait for it.

        :raises SessionError: the session ended first.
        :raises RHError: the work failed.
        """
        await self.landed.wait()
        if self.error is not None:
            raise self.error.fresh()
        if not self.values:
            raise SessionError("the session has ended")
        return self.values[0]
