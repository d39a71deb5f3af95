"""Counts what goes wrong, by kind, so that a thousand alike are one line."""

from __future__ import annotations

from attrs import define, field

from rh_async._batch.running.failure_sorting import kind_of
from rh_async.errors import RHError

from .progress_snapshot import ErrorGroup

_SHOWN = 8
_LONGEST = 300


@define(eq=False)
class ErrorSummary:
    """What went wrong in one run, also what was overcome."""

    _seen: dict[str, ErrorGroup] = field(factory=dict, init=False)

    def note(self, error: RHError) -> None:
        """Count one."""
        kind = kind_of(error)
        count = self._seen[kind].count if kind in self._seen else 0
        self._seen[kind] = ErrorGroup(sentence=kind, count=count + 1, example=error.message[:_LONGEST])

    def most(self) -> tuple[ErrorGroup, ...]:
        """The most frequent."""
        return tuple(sorted(self._seen.values(), key=lambda cause: -cause.count)[:_SHOWN])
