"""Runs what belongs to a session in its task group, and says at once when some of it crashes.

A task group tells of a crash only when its last task has ended, and a POST that has left is finished first: whoever
waits for a job would wait for that too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVarTuple, Unpack

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

Arguments = TypeVarTuple("Arguments")


@define(eq=False, repr=False)
class SessionTasks:
    """The tasks of one session.

    :param crashed: told why the first of them crashed, before any other is cancelled for it.
    """

    _group: TaskGroup
    _crashed: Callable[[BaseException], object]

    @property
    def ending(self) -> bool:
        """Whether all of them are being cancelled."""
        return self._group.cancel_scope.cancel_called

    def start_soon(self, work: Callable[[Unpack[Arguments]], Awaitable[object]], *arguments: *Arguments) -> None:
        """Start one; also where no task runs."""
        self._group.start_soon(self._done, work, arguments)

    async def _done(self, work: Callable[[Unpack[Arguments]], Awaitable[object]], arguments: tuple[*Arguments]) -> None:
        try:
            await work(*arguments)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._crashed(error)
            raise


@define(eq=False, repr=False)
class DeferredCancelScope:
    """A cancel scope that can be made, and cancelled, where no task runs: in a callback of the loop or of a signal."""

    cancel_called: bool = field(default=False, init=False)
    _scope: anyio.CancelScope | None = field(default=None, init=False)

    def cancel(self) -> None:
        """Cancel what is in it, or will be."""
        self.cancel_called = True
        if self._scope is not None:
            self._scope.cancel()

    def __enter__(self) -> Self:
        self._scope = anyio.CancelScope()
        self._scope.__enter__()
        if self.cancel_called:
            self._scope.cancel()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return None if self._scope is None else self._scope.__exit__(kind, error, trace)
