"""Runs the tasks of a session in its task group, and reports a crash at once.

A task group raises only when its last task has ended, and a submit that has been sent is finished first: a caller that
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
    """Starts the tasks of one session.

    :param on_crash: takes the exception of the first task that crashed, before the group cancels the rest.
    """

    _group: TaskGroup
    _on_crash: Callable[[BaseException], object]

    @property
    def ending(self) -> bool:
        """Whether the session's tasks are being cancelled."""
        return self._group.cancel_scope.cancel_called

    def start_soon(self, work: Callable[[Unpack[Arguments]], Awaitable[object]], *arguments: *Arguments) -> None:
        """Start a task; also where no task runs, as in a callback of the loop."""
        self._group.start_soon(self._run, work, arguments)

    async def _run(self, work: Callable[[Unpack[Arguments]], Awaitable[object]], arguments: tuple[*Arguments]) -> None:
        try:
            await work(*arguments)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._on_crash(error)
            raise


@define(eq=False, repr=False)
class DeferredCancelScope:
    """A cancel scope that can be made, and cancelled, where no task runs: in a callback of the loop or of a signal."""

    cancel_called: bool = field(default=False, init=False)
    _scope: anyio.CancelScope | None = field(default=None, init=False)

    def cancel(self) -> None:
        """Cancel the scope, whether it was entered already or is entered later."""
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
