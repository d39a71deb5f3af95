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
from rh_async.emulator.faults.task_effects import TaskEffect
from rh_async.emulator.http.payloads import RequestRejected
from rh_async.emulator.http.request_validation import TaskInputs
from rh_async.emulator.state.background_load import BackgroundTasks
from rh_async.emulator.state.ledger import TaskRecord

PERSONAL_QUEUE_LENGTH = 1000  #: contract 9, personal queue


@define(eq=False, kw_only=True)
class Task:
    """One task; ``started_at`` and ``settles_at`` are exact, however late anybody looks."""

    task_id: str
    model: Model
    key_type: str
    inputs: TaskInputs
    run_time: float
    charged: Decimal
    fate: TaskEffect = field(default=Factory(TaskEffect))
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
class QueueCounters:
    """How many tasks of an account are where."""

    running: int
    queued: int


@define(eq=False, kw_only=True)
class TaskStore:
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
    _background_tasks: BackgroundTasks
    _queue: bool = False
    _balance: Decimal | None = None
    _foreign: Callable[[], int] = int
    _tasks: dict[str, Task] = field(factory=dict, init=False)
    _due: list[tuple[float, int, Task]] = field(factory=list, init=False)  #: who settles, or leaves, and when
    _running_per_model: dict[str, int] = field(factory=dict, init=False)  #: running tasks of each model
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

    def counts(self) -> QueueCounters:
        """Count what runs and what waits, as of now."""
        self._advance()
        return QueueCounters(running=self._used_slots(), queued=self._queued())

    def find(self, task_id: str) -> Task | None:
        """Return a task as of now."""
        self._advance()
        return self._tasks.get(task_id)

    def admit(self, price: Decimal) -> None:
        """Make sure that one more task can be paid for and taken in, or refuse it."""
        self._advance()
        if self._balance is not None and self._balance - self._spent() < price:
            raise RequestRejected("812")
        if not self._queue and not self._has_slot():
            raise RequestRejected("421")
        if not self._has_slot(PERSONAL_QUEUE_LENGTH):
            raise RequestRejected("814")

    def add(self, task: Task) -> None:
        """Take a task in; it runs at once if its model and its account have room."""
        self._advance()
        now = self._clock()
        task.created_at = now
        self._tasks[task.task_id] = task
        self._waiting.setdefault(task.model.endpoint, deque()).append((next(self._numbers), task))
        self._start_waiting(now)
        self._advance()  # it may be over already

    def cancel(self, task: Task) -> None:
        """Stop a task now; its place goes to the next."""
        self._advance()
        if task.settled:
            raise RequestRejected("817")
        now = self._clock()
        if task.status == "RUNNING":
            self._running_per_model[task.model.endpoint] -= 1
            self._due = sorted(entry for entry in self._due if entry[2] is not task)  # sorted, it is a heap
        else:
            line = self._waiting[task.model.endpoint]
            self._waiting[task.model.endpoint] = deque(entry for entry in line if entry[1] is not task)
        task.status, task.settles_at = "CANCEL", now
        self._start_waiting(now)

    def _advance(self) -> None:
        """Let everything happen that was due by now, in order, at its own time."""
        now = self._clock()
        while (at := min(self._next_due(), self._background_tasks.next_event_at)) <= now:
            if at == self._next_due():
                self._leave()
            else:
                self._background_tasks.step(self._has_slot)
            self._start_waiting(at)
        self._start_waiting(now)

    def _next_due(self) -> float:
        return self._due[0][0] if self._due else math.inf

    def _leave(self) -> None:
        at, number, task = heappop(self._due)
        if not task.settled:
            self._settle(task)
            if task.fate.slot_release_delay:
                heappush(self._due, (at + task.fate.slot_release_delay, number, task))

    def _settle(self, task: Task) -> None:
        self._running_per_model[task.model.endpoint] -= 1
        task.status = task.fate.final_status
        if task.status == "FAILED":  # contract 9: what failed shows no charge
            task.charged = Decimal(0)

    def _start_waiting(self, at: float) -> None:
        while (following := self._next()) is not None:
            number, task = following
            endpoint = task.model.endpoint
            self._waiting[endpoint].popleft()
            self._running_per_model[endpoint] = self._running_per_model.get(endpoint, 0) + 1
            task.status, task.started_at, task.settles_at = "RUNNING", at, at + task.run_time
            heappush(self._due, (task.settles_at, number, task))

    def _next(self) -> tuple[int, Task] | None:
        """Return the oldest waiting task that its account and its model have room for."""
        if self._queue and self._used_slots() >= self.limit:
            return None
        heads = [line[0] for line in self._waiting.values() if line and self._model_has_slot(line[0][1].model)]
        return min(heads, key=lambda head: head[0], default=None)

    def _model_has_slot(self, model: Model) -> bool:
        return model.limit is None or self._running_per_model.get(model.endpoint, 0) < model.limit

    def _used_slots(self) -> int:
        return len(self._due) + self._foreign() + self._background_tasks.present

    def _has_slot(self, more: int = 0) -> bool:
        return self._used_slots() + self._queued() < self.limit + more

    def _queued(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _spent(self) -> Decimal:
        return sum((task.charged for task in self._tasks.values()), Decimal(0))
