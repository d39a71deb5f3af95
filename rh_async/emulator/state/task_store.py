"""Which task stands where, worked out from the clock when somebody asks: no timer, no task of its own."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count

from attrs import Factory, define, field, frozen

from rh_async.emulator.catalogue.emulated_models import Model
from rh_async.emulator.faults.task_effects import Fate
from rh_async.emulator.http.payloads import Refused
from rh_async.emulator.http.request_validation import Inputs
from rh_async.emulator.state.background_load import Crowd
from rh_async.emulator.state.ledger import TaskRecord

QUEUE_LENGTH = 1000  #: contract 9, personal queue


@define(eq=False, kw_only=True)
class Task:
    """One task; ``started_at`` and ``settles_at`` are exact, however late anybody looks."""

    task_id: str
    model: Model
    key_type: str
    inputs: Inputs
    run_time: float
    charged: Decimal
    fate: Fate = field(default=Factory(Fate))
    created_at: float = 0.0
    started_at: float | None = None
    settles_at: float | None = None
    status: str = "QUEUED"

    @property
    def settled(self) -> bool:
        return self.status not in {"QUEUED", "RUNNING"}

    def record(self) -> TaskRecord:
        """Write the task down as it stands."""
        return TaskRecord(
            task_id=self.task_id,
            endpoint=self.model.endpoint,
            key_type=self.key_type,
            created_at=self.created_at,
            started_at=self.started_at,
            settles_at=self.settles_at,
            charged=self.charged,
            status=self.status,
        )


@frozen(kw_only=True)
class Counts:
    """How many tasks of an account are where."""

    running: int
    queued: int


@define(eq=False, kw_only=True)
class Board:
    """All tasks of one account, their queues and their money.

    :param clock: tells the time; every answer is about that instant.
    :param limit: tells how many tasks the account may have unsettled; further ones are refused.
    :param queue: whether further ones wait instead, as in a personal queue.
    :param balance: what the wallet holds, None for no end of money.
    :param foreign: counts the tasks of others on the same key that stay.
    :param crowd: those that come and go.
    """

    _clock: Callable[[], float]
    _limit: Callable[[], int]
    _crowd: Crowd
    _queue: bool = False
    _balance: Decimal | None = None
    _foreign: Callable[[], int] = int
    _tasks: dict[str, Task] = field(factory=dict, init=False)
    _due: list[tuple[float, int, Task]] = field(factory=list, init=False)  #: who settles, or leaves, and when
    _busy: dict[str, int] = field(factory=dict, init=False)  #: running tasks of each model
    _waiting: dict[str, deque[tuple[int, Task]]] = field(factory=dict, init=False)
    _numbers: count[int] = field(factory=count, init=False)

    @property
    def tasks(self) -> list[Task]:
        """Every task, oldest first, as of now."""
        self._advance()
        return list(self._tasks.values())

    @property
    def limit(self) -> int:
        """How many tasks the account may have unsettled, as of now."""
        return self._limit()

    @property
    def balance(self) -> Decimal | None:
        """What is left in the wallet; None for no end of money."""
        self._advance()
        return None if self._balance is None else self._balance - self._spent()

    def counts(self) -> Counts:
        """Count what runs and what waits, as of now."""
        self._advance()
        return Counts(running=self._in_use(), queued=self._queued())

    def find(self, task_id: str) -> Task | None:
        """Return a task as of now."""
        self._advance()
        return self._tasks.get(task_id)

    def admit(self, price: Decimal) -> None:
        """Make sure that one more task can be paid for and taken in, or refuse it."""
        self._advance()
        if self._balance is not None and self._balance - self._spent() < price:
            raise Refused("812")
        if not self._queue and not self._takes_in():
            raise Refused("421")
        if not self._takes_in(QUEUE_LENGTH):
            raise Refused("814")

    def add(self, task: Task) -> None:
        """Take a task in; it runs at once if its model and its account have room."""
        self._advance()
        now = self._clock()
        task.created_at = now
        self._tasks[task.task_id] = task
        self._waiting.setdefault(task.model.endpoint, deque()).append((next(self._numbers), task))
        self._promote(now)
        self._advance()  # it may be over already

    def cancel(self, task: Task) -> None:
        """Stop a task now; its place goes to the next."""
        self._advance()
        if task.settled:
            raise Refused("817")
        now = self._clock()
        if task.status == "RUNNING":
            self._busy[task.model.endpoint] -= 1
            self._due = sorted(entry for entry in self._due if entry[2] is not task)  # sorted, it is a heap
        else:
            line = self._waiting[task.model.endpoint]
            self._waiting[task.model.endpoint] = deque(entry for entry in line if entry[1] is not task)
        task.status, task.settles_at = "CANCEL", now
        self._promote(now)

    def _advance(self) -> None:
        """Let everything happen that was due by now, in order, at its own time."""
        now = self._clock()
        while (at := min(self._next_due(), self._crowd.next_at)) <= now:
            if at == self._next_due():
                self._leave()
            else:
                self._crowd.step(self._takes_in)
            self._promote(at)
        self._promote(now)

    def _next_due(self) -> float:
        return self._due[0][0] if self._due else math.inf

    def _leave(self) -> None:
        at, number, task = heappop(self._due)
        if not task.settled:
            self._settle(task)
            if task.fate.lingers:
                heappush(self._due, (at + task.fate.lingers, number, task))

    def _settle(self, task: Task) -> None:
        self._busy[task.model.endpoint] -= 1
        task.status = task.fate.ends
        if task.status == "FAILED":  # contract 9: what failed shows no charge
            task.charged = Decimal(0)

    def _promote(self, at: float) -> None:
        while (following := self._next()) is not None:
            number, task = following
            endpoint = task.model.endpoint
            self._waiting[endpoint].popleft()
            self._busy[endpoint] = self._busy.get(endpoint, 0) + 1
            task.status, task.started_at, task.settles_at = "RUNNING", at, at + task.run_time
            heappush(self._due, (task.settles_at, number, task))

    def _next(self) -> tuple[int, Task] | None:
        """Return the oldest waiting task that its account and its model have room for."""
        if self._queue and self._in_use() >= self.limit:
            return None
        heads = [line[0] for line in self._waiting.values() if line and self._has_room(line[0][1].model)]
        return min(heads, key=lambda head: head[0], default=None)

    def _has_room(self, model: Model) -> bool:
        return model.limit is None or self._busy.get(model.endpoint, 0) < model.limit

    def _in_use(self) -> int:
        return len(self._due) + self._foreign() + self._crowd.present

    def _takes_in(self, more: int = 0) -> bool:
        return self._in_use() + self._queued() < self.limit + more

    def _queued(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _spent(self) -> Decimal:
        return sum((task.charged for task in self._tasks.values()), Decimal(0))
