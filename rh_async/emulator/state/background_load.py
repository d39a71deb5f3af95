"""Simulates another program on the same account: its tasks use slots and appear in the queue counters.

These tasks are in no ledger, and no request is sent for them. As in the task store, the state is computed from the
clock when it is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

from attrs import define, field, frozen
from attrs.validators import ge, gt

from rh_async.emulator.catalogue.emulated_models import Model, RunTime

_MODEL = Model(endpoint="background/model")


@frozen(kw_only=True)
class BackgroundLoad:
    """How many tasks another program keeps in flight.

    :param count: how many tasks it tries to keep in flight.
    :param run_time: of each task, as for `Emulator`.
    :param max_pause: the longest time, in seconds, until a settled or rejected task is replaced.
    """

    count: int = field(default=0, validator=ge(0))
    run_time: RunTime = None
    max_pause: float = field(default=5.0, validator=gt(0))


@define(eq=False)
class BackgroundTasks:
    """The tasks of the other program.

    :ivar running: how many of them run.
    """

    _load: BackgroundLoad
    _scale: float
    _rng: Random
    running: int = field(default=0, init=False)
    _events: list[tuple[float, int, bool]] = field(factory=list, init=False)  #: a heap: time, order, starts or settles
    _numbers: count[int] = field(factory=count, init=False)

    @property
    def next_event_at(self) -> float:
        """When the next task starts or settles; infinity for never."""
        return self._events[0][0] if self._events else math.inf

    def start(self, now: float) -> None:
        """Start all tasks at once, each at a random point of its run, so that they do not settle together."""
        for _ in range(self._load.count):
            self._start_task(now, remaining_share=self._rng.random())

    def process_next(self, has_slot: Callable[[], bool]) -> None:
        """Start the next task if the account has a slot for it, or settle it, whichever is due."""
        at, _, starts = heappop(self._events)
        if not starts:
            self.running -= 1
        if starts and has_slot():
            self._start_task(at)
        else:  # after a settled task comes a pause, after a rejected one another attempt
            self._schedule(at + self._rng.uniform(0, self._load.max_pause), starts=True)

    def _start_task(self, at: float, *, remaining_share: float = 1.0) -> None:
        self.running += 1
        seconds = self._scale * _MODEL.draw_run_time(self._load.run_time, self._rng)
        self._schedule(at + remaining_share * seconds, starts=False)

    def _schedule(self, at: float, *, starts: bool) -> None:
        heappush(self._events, (at, next(self._numbers), starts))
