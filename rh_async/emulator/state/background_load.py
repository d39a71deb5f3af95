"""Another program on the same account: what it takes of the limit and of the counts, and nothing else.

Like the board, it is worked out from the clock when somebody asks. Its tasks are in no ledger and it sends no request.
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

_MODEL = Model(endpoint="strangers/model")


@frozen(kw_only=True)
class BackgroundLoad:
    """Tasks of others that come and go.

    :param count: how many they want in flight.
    :param run_time: as `Emulator` takes it.
    :param max_pause: the longest time, in seconds, until a settled or refused task is replaced.
    """

    count: int = field(default=0, validator=ge(0))
    run_time: RunTime = None
    max_pause: float = field(default=5.0, validator=gt(0))


@define(eq=False)
class BackgroundTasks:
    """The strangers on one board.

    :ivar present: how many of their tasks run.
    """

    _plan: BackgroundLoad
    _scale: float
    _rng: Random
    present: int = field(default=0, init=False)
    _events: list[tuple[float, int, bool]] = field(factory=list, init=False)  #: when, and whether one comes
    _numbers: count[int] = field(factory=count, init=False)

    @property
    def next_event_at(self) -> float:
        """When the next one comes or goes; infinity for never."""
        return self._events[0][0] if self._events else math.inf

    def start(self, now: float) -> None:
        """Be there all at once, each somewhere in the middle of its run."""
        for _ in range(self._plan.count):
            self._enter(now, share=self._rng.random())

    def step(self, has_room: Callable[[], bool]) -> None:
        """Let the next one come, if the account has room for it, or go."""
        at, _, comes = heappop(self._events)
        if not comes:
            self.present -= 1
        if comes and has_room():
            self._enter(at)
        else:
            self._at(at + self._rng.uniform(0, self._plan.max_pause), comes=True)

    def _enter(self, at: float, *, share: float = 1.0) -> None:
        self.present += 1
        seconds = self._scale * _MODEL.run_time(self._plan.run_time, self._rng)
        self._at(at + share * seconds, comes=False)

    def _at(self, at: float, *, comes: bool) -> None:
        heappush(self._events, (at, next(self._numbers), comes))
