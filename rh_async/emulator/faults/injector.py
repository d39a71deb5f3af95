"""Decides which request or task each scheduled fault affects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from attrs import define, field

from rh_async.emulator.faults.definitions import Fault, RouteName
from rh_async.emulator.state.ledger import FaultRecord, Ledger


@define(eq=False)
class _ScheduledFault:
    """A fault in the schedule.

    :param remaining: how many more requests it affects; None for all that follow.
    """

    fault: Fault
    remaining: int | None
    added_at: float

    def matches(self, number: int, rng: Random) -> bool:
        """Decide whether the fault affects the request with this number, and if so count it."""
        fault = self.fault
        if self.remaining == 0 or number < (fault.nth or 0):
            return False
        # A certain fault draws no random number, so that adding one does not change what the others do.
        if fault.probability < 1 and rng.random() >= fault.probability:
            return False
        if self.remaining is not None:
            self.remaining -= 1
        return True


@define(eq=False)
class FaultInjector:
    """The fault schedule of one emulator. If several faults match a request, the one added first is applied.

    :param refuse_connections: stops listening for some seconds.
    """

    _clock: Callable[[], float]
    _rng: Random
    _ledger: Ledger
    _refuse_connections: Callable[[float], None]
    _schedule: list[_ScheduledFault] = field(factory=list, init=False)
    _request_counts: Counter[str] = field(factory=Counter, init=False)
    _first_counters: dict[Fault, tuple[int, int]] = field(factory=dict, init=False)

    def add(self, *faults: Fault) -> None:
        """Append faults to the schedule; a fault that needs no request is applied at once."""
        for fault in faults:
            self._schedule.append(_ScheduledFault(fault, fault.times, self._clock()))
            if fault.kind == "foreign_tasks":
                self.record(fault, fault.route)
            if fault.kind == "refuse_connections":
                self.after_response(fault.route)

    def clear(self) -> None:
        """Empty the schedule; faults that were already applied continue."""
        self._schedule.clear()
        self._first_counters.clear()

    def next_fault(self, route: RouteName) -> Fault | None:
        """Count one request on a route, or one task, and return the fault that affects it; None for none."""
        self._request_counts[route] += 1
        return self._first_match(route, self._request_counts[route], refusing=False)

    def after_response(self, route: RouteName) -> None:
        """Refuse connections if the next request on a route is to be refused.

        This must be decided before the request arrives, because a refused connection carries no request.
        """
        if fault := self._first_match(route, self._request_counts[route] + 1, refusing=True):
            self.record(fault, route)
            self._refuse_connections(fault.seconds)

    def record(self, fault: Fault, route: RouteName, task_id: str = "") -> None:
        """Record in the ledger that a fault was applied."""
        record = FaultRecord(at=self._clock(), route=route, kind=fault.kind, task_id=task_id, ambiguous=fault.ambiguous)
        self._ledger.faults.append(record)

    def task_fault(self, task_id: str) -> Fault | None:
        """Return the fault that affects a new task, and record it; None for none."""
        fault = self.next_fault("task")
        if fault is not None:
            self.record(fault, "task", task_id)
        return fault

    def foreign_tasks(self) -> int:
        """Return how many tasks of another program the faults add at present."""
        now = self._clock()
        added = [scheduled for scheduled in self._schedule if scheduled.fault.kind == "foreign_tasks"]
        return sum(one.fault.count for one in added if now < one.added_at + one.fault.seconds)

    def frozen_counters(self, fault: Fault, running: int, queued: int) -> tuple[int, int]:
        """Return the queue counters of the first time the fault was applied, instead of the present ones."""
        return self._first_counters.setdefault(fault, (running, queued))

    def random_counters(self, limit: int) -> tuple[int, int]:
        """Return random queue counters: running and queued tasks."""
        return self._rng.randint(0, limit), self._rng.randint(0, limit)

    def _first_match(self, route: RouteName, number: int, *, refusing: bool) -> Fault | None:
        """Return the first fault that matches a request; ``refusing`` selects those that refuse connections."""
        for scheduled in self._schedule:
            fault = scheduled.fault
            if fault.route != route or fault.kind == "foreign_tasks":
                continue
            if (fault.kind == "refuse_connections") == refusing and scheduled.matches(number, self._rng):
                return fault
        return None
