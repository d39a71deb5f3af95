"""Hands events to the caller's own code, and lets none of its trouble in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType

from attrs import define

from .events import Event

log = logging.getLogger("rh_async")


@define(eq=False)
class Observer:
    """Hands events to the caller's callback; what that raises is logged and disturbs nobody."""

    _callback: Callable[[Event], object] | None

    def __call__(self, event: Event) -> None:
        if self._callback is not None:
            with self:
                self._callback(event)

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception | asyncio.CancelledError):  # nothing is awaited here: that is not ours
            return False
        log.error("rh_async.on_event_failed", exc_info=error)
        return True
