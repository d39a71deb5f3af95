"""Which fault strikes which request: the script, told what comes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from attrs import define, field

from rh_async.emulator.faults.definitions import Fault, RouteName
from rh_async.emulator.state.ledger import FaultRecord, Ledger


@define(eq=False)
class _ScheduledFault:
    """A fault in the script, and how often it may still strike."""

    fault: Fault
    left: int | None
    since: float

    def matches(self, number: int, rng: Random) -> bool:
        """Decide about the request of this number, and use one strike up."""
        fault = self.fault
        if self.left == 0 or number < (fault.nth or 0):
            return False
        if fault.probability < 1 and rng.random() >= fault.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@define(eq=False)
class FaultInjector:
    """The script of one emulator. Where several faults fit a request, the one added first strikes.

    :param refuse: shuts the door for some seconds.
    """

    _clock: Callable[[], float]
    _rng: Random
    _ledger: Ledger
    _refuse: Callable[[float], None]
    _script: list[_ScheduledFault] = field(factory=list, init=False)
    _seen: Counter[str] = field(factory=Counter, init=False)
    _first_counts: dict[Fault, tuple[int, int]] = field(factory=dict, init=False)

    def add(self, *faults: Fault) -> None:
        """Put faults at the end of the script; those that need no request strike at once."""
        for fault in faults:
            self._script.append(_ScheduledFault(fault, fault.times, self._clock()))
            if fault.kind == "foreign_tasks":
                self.note(fault, fault.route)
            if fault.kind == "refuse_connections":
                self.answered(fault.route)

    def clear(self) -> None:
        """Forget the script; what has struck already goes on."""
        self._script.clear()
        self._first_counts.clear()

    def strike(self, route: RouteName) -> Fault | None:
        """Count one request on a route, or one task, and return what happens to it."""
        self._seen[route] += 1
        return self._first(route, self._seen[route], refusing=False)

    def answered(self, route: RouteName) -> None:
        """Shut the door if the next request on a route is to find it so."""
        if fault := self._first(route, self._seen[route] + 1, refusing=True):
            self.note(fault, route)
            self._refuse(fault.seconds)

    def note(self, fault: Fault, route: RouteName, task_id: str = "") -> None:
        """Write down that a fault has struck."""
        record = FaultRecord(at=self._clock(), route=route, kind=fault.kind, task_id=task_id, ambiguous=fault.ambiguous)
        self._ledger.faults.append(record)

    def foreign(self) -> int:
        """Count the tasks of others on the key, as of now."""
        now = self._clock()
        alive = [
            it.fault for it in self._script if it.fault.kind == "foreign_tasks" and now < it.since + it.fault.seconds
        ]
        return sum(fault.count for fault in alive)

    def frozen_counts(self, fault: Fault, running: int, queued: int) -> tuple[int, int]:
        """Return the counts that a fault struck first, whatever they are now."""
        return self._first_counts.setdefault(fault, (running, queued))

    def random_counts(self, limit: int) -> tuple[int, int]:
        """Draw how many tasks run and wait."""
        return self._rng.randint(0, limit), self._rng.randint(0, limit)

    def fate(self, task_id: str) -> Fault | None:
        """Decide how a new task goes wrong, if it does."""
        fault = self.strike("task")
        if fault is not None:
            self.note(fault, "task", task_id)
        return fault

    def _first(self, route: RouteName, number: int, *, refusing: bool) -> Fault | None:
        for scheduled in self._script:
            fault = scheduled.fault
            fits = (
                fault.route == route
                and fault.kind != "foreign_tasks"
                and (fault.kind == "refuse_connections") == refusing
            )
            if fits and scheduled.matches(number, self._rng):
                return fault
        return None
