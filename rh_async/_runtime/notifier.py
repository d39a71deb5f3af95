"""Hands the session's events to listeners, and keeps their errors out of the session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from rh_async.events import Event

log = logging.getLogger("rh_async")


@define(eq=False, repr=False)
class EventNotifier:
    """Hands events to their listeners, the caller's callback first; what a listener raises is logged and stops nothing.

    :ivar listeners: called with each event, in order.
    """

    _callback: Callable[[Event], object] | None
    listeners: list[Callable[[Event], object]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        if self._callback is not None:
            self.listeners.append(self._callback)

    def __call__(self, event: Event) -> None:
        for listener in tuple(self.listeners):
            with self:
                listener(event)

    def report_pause(self, seconds: float) -> None:
        """Emit the event that a rate limit holds all calls back."""
        from rh_async.events import Waiting  # noqa: PLC0415 - loaded by an open session

        self(Waiting(reason="rate", seconds=seconds))

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception | asyncio.CancelledError):  # nothing is awaited here: that is not ours
            return False
        log.error("rh_async.on_event_failed", exc_info=error)
        return True
