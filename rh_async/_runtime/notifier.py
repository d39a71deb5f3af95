"""Hands the session's events to listeners, and keeps their errors out of the session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType

from attrs import define, field

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

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception | asyncio.CancelledError):  # nothing is awaited here: that is not ours
            return False
        log.error("rh_async.on_event_failed", exc_info=error)
        return True
