"""Stores the tasks of one account, and decides which of them run, wait and settle.

The state is computed from the clock whenever it is read. Without timers and background tasks, a test under virtual time
sees the same times however seldom it asks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count

from attrs import define, field, frozen

from rh_async.emulator.catalogue.emulated_models import Model
from rh_async.emulator.state.background_load import BackgroundTasks
from rh_async.emulator.state.emulated_task import Task
from rh_async.emulator.state.rejections import RequestRejected

PERSONAL_QUEUE_LENGTH = 1000  #: contract 9


@frozen(kw_only=True)
class QueueCounters:
    """How many tasks of an account run, and how many wait."""

    running: int
    queued: int


@define(eq=False, kw_only=True)
class TaskStore:
    """All tasks of one account, with their queues, slots and charges.

    :param clock: the loop's clock.
    :param limit: returns how many unsettled tasks the account may have.
    :param background_tasks: tasks of another program, which come and go.
    :param queue: whether tasks beyond the limit wait, as in a personal queue, instead of being rejected.
    :param balance: the money in the wallet at the start; None for an unlimited amount.
    :param foreign_tasks: returns how many tasks of another program the faults add at present.
    """

    _clock: Callable[[], float]
    _limit: Callable[[], int]
    _background_tasks: BackgroundTasks
    _queue: bool = False
    _balance: Decimal | None = None
    _foreign_tasks: Callable[[], int] = int
    _tasks: dict[str, Task] = field(factory=dict, init=False)
    #: A heap of the tasks that hold a slot, by the time at which they settle or release it.
    _slot_holders: list[tuple[float, int, Task]] = field(factory=list, init=False)
    _running_per_model: dict[str, int] = field(factory=dict, init=False)
    _queues: dict[str, deque[tuple[int, Task]]] = field(factory=dict, init=False)  #: waiting tasks, by model
    _numbers: count[int] = field(factory=count, init=False)  #: the order of creation

    @property
    def tasks(self) -> list[Task]:
        """Every task, oldest first, in its present state."""
        self._advance()
        return list(self._tasks.values())

    @property
    def limit(self) -> int:
        """How many unsettled tasks the account may have at present."""
        return self._limit()

    @property
    def balance(self) -> Decimal | None:
        """The money left in the wallet; None for an unlimited amount."""
        self._advance()
        return None if self._balance is None else self._balance - self._total_charged()

    def counters(self) -> QueueCounters:
        """Return the present queue counters."""
        self._advance()
        return QueueCounters(running=self._used_slots(), queued=self._queued())

    def find(self, task_id: str) -> Task | None:
        """Return a task in its present state; None if there is no such task."""
        self._advance()
        return self._tasks.get(task_id)

    def check_capacity(self, price: Decimal) -> None:
        """Check that one more task can be paid for, and can run or wait.

        :raises RequestRejected: the wallet, the account's slots or the personal queue do not suffice.
        """
        self._advance()
        if self._balance is not None and self._balance - self._total_charged() < price:
            raise RequestRejected("812")
        if not self._queue and not self._has_slot():
            raise RequestRejected("421")
        if not self._has_slot(extra=PERSONAL_QUEUE_LENGTH):
            raise RequestRejected("814")

    def add(self, task: Task) -> None:
        """Add a task; it starts at once if its account and its model have a slot."""
        self._advance()
        now = self._clock()
        task.created_at = now
        self._tasks[task.task_id] = task
        self._queues.setdefault(task.model.endpoint, deque()).append((next(self._numbers), task))
        self._start_waiting(now)
        self._advance()  # a task with a run time of zero settles now

    def cancel(self, task: Task) -> None:
        """Cancel a task; its slot goes to the next waiting task.

        :raises RequestRejected: the task has settled already.
        """
        self._advance()
        if task.settled:
            raise RequestRejected("817")
        now = self._clock()
        if task.status == "RUNNING":
            self._running_per_model[task.model.endpoint] -= 1
            # A sorted list is a heap.
            self._slot_holders = sorted(entry for entry in self._slot_holders if entry[2] is not task)
        else:
            queue = self._queues[task.model.endpoint]
            self._queues[task.model.endpoint] = deque(entry for entry in queue if entry[1] is not task)
        task.status, task.settles_at = "CANCEL", now
        self._start_waiting(now)

    def _advance(self) -> None:
        """Process every event that was due by now, in order, each at its own time."""
        now = self._clock()
        while (at := min(self._next_event_at(), self._background_tasks.next_event_at)) <= now:
            if at == self._next_event_at():
                self._settle_or_release()
            else:
                self._background_tasks.process_next(self._has_slot)
            self._start_waiting(at)
        self._start_waiting(now)  # the limit may have been raised since the last event

    def _next_event_at(self) -> float:
        return self._slot_holders[0][0] if self._slot_holders else math.inf

    def _settle_or_release(self) -> None:
        """Settle the task that is due; if it settled earlier, its slot is released now."""
        at, number, task = heappop(self._slot_holders)
        if not task.settled:
            self._settle(task)
            if task.effect.slot_release_delay:  # contract 9: a submit right after SUCCESS may still get 421
                heappush(self._slot_holders, (at + task.effect.slot_release_delay, number, task))

    def _settle(self, task: Task) -> None:
        self._running_per_model[task.model.endpoint] -= 1
        task.status = task.effect.final_status
        if task.status == "FAILED":  # contract 9: samples of failed tasks show no charge
            task.charged = Decimal(0)

    def _start_waiting(self, at: float) -> None:
        """Start waiting tasks as long as there are slots for them."""
        while (startable := self._next_startable()) is not None:
            number, task = startable
            endpoint = task.model.endpoint
            self._queues[endpoint].popleft()
            self._running_per_model[endpoint] = self._running_per_model.get(endpoint, 0) + 1
            task.status, task.started_at, task.settles_at = "RUNNING", at, at + task.run_time
            heappush(self._slot_holders, (task.settles_at, number, task))

    def _next_startable(self) -> tuple[int, Task] | None:
        """Return the oldest waiting task whose account and model have a slot."""
        if self._queue and self._used_slots() >= self.limit:
            return None
        heads = [queue[0] for queue in self._queues.values() if queue and self._model_has_slot(queue[0][1].model)]
        return min(heads, key=lambda head: head[0], default=None)

    def _model_has_slot(self, model: Model) -> bool:
        limit = model.concurrency_limit
        return limit is None or self._running_per_model.get(model.endpoint, 0) < limit

    def _has_slot(self, extra: int = 0) -> bool:
        """Whether the account may have one more task, running or waiting; ``extra`` raises the limit."""
        return self._used_slots() + self._queued() < self.limit + extra

    def _used_slots(self) -> int:
        return len(self._slot_holders) + self._foreign_tasks() + self._background_tasks.running

    def _queued(self) -> int:
        return sum(map(len, self._queues.values()))

    def _total_charged(self) -> Decimal:
        return sum((task.charged for task in self._tasks.values()), Decimal(0))
