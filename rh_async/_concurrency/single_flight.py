"""Runs a piece of work once, in a task of the session, for any number of waiters: an upload, or a file's hash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from attrs import define, field

from rh_async.errors import RHError, SessionError

from .defects import unexpected

T = TypeVar("T")


@define(eq=False, repr=False)
class SingleFlight(Generic[T]):
    """Work that runs once; every waiter gets the same value or the same error.

    :ivar done: set when the work has ended, with a value, an error, or by cancellation.
    :ivar values: the value, once there is one.
    :ivar scope: cancels the work, for all its waiters.
    """

    done: anyio.Event = field(factory=anyio.Event)
    values: list[T] = field(factory=list)
    error: RHError | None = None
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)

    async def run(self, work: Callable[[], Awaitable[T]]) -> None:
        """Run the work; call it in a task of the session, so that a cancelled waiter does not cancel the work."""
        try:
            with self.scope:
                self.values.append(await work())
        except RHError as error:
            self.error = error
        except Exception as defect:  # noqa: BLE001 - the waiters get the error; the session goes on
            self.error = unexpected(defect)
        finally:
            self.done.set()

    async def value(self) -> T:
        """Wait for the work's value. Each waiter raises an error object of its own, with a traceback of its own.

        :raises SessionError: the session ended first.
        :raises RHError: the work failed.
        """
        await self.done.wait()
        if self.error is not None:
            raise self.error.fresh()
        if not self.values:
            raise SessionError("the session has ended")
        return self.values[0]
