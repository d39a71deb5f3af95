"""Hands events to the caller's own code, and lets none of its trouble in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from types import TracebackType

from attrs import define, field

from rh_async.events import Downloading, Event, Uploading

log = logging.getLogger("rh_async")


@define(eq=False, repr=False)
class TransferMetrics:
    """How many bytes of media have moved, added up from events that tell how far each file is."""

    up: int = 0
    down: int = 0
    _last: dict[Hashable, int] = field(factory=dict, init=False)

    def hear(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Uploading):
            self.up += self._since(event.path, event.bytes, event.total)
        elif isinstance(event, Downloading):
            self.down += self._since(event.task_id, event.bytes, event.total)

    def _since(self, file: Hashable, moved: int, total: int | None) -> int:
        last = self._last.pop(file, 0)
        if moved != total:
            self._last[file] = moved
        return moved - last if moved >= last else moved  # less than before: it began anew


@define(eq=False, repr=False)
class EventNotifier:
    """Hands events to the caller's callback; what that raises is logged and disturbs nobody."""

    _callback: Callable[[Event], object] | None
    traffic: TransferMetrics = field(factory=TransferMetrics, init=False)

    def __call__(self, event: Event) -> None:
        self.traffic.hear(event)
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
