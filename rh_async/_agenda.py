"""Whom to ask, and when: the timetable every job shares, as plain data that is told the time.

No clock, no tasks and no sockets here; whoever compares two instants does it in this room.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from attrs import define, field, frozen
from attrs.validators import ge, gt

from ._types import TaskId

_LONG_AGO = float("-inf")


@frozen(kw_only=True)
class Pace:
    """How eagerly to ask. All durations are seconds.

    :param interval: between two questions about one job.
    :param questions_per_second: about all jobs together; their intervals stretch to meet it.
    :param open_questions: how many may await an answer at once.
    :param ceiling: the longest wait for a job whose questions fail.
    :param newborn: how long after its acceptance "no such task" is not believed (contract 4.3).
    :param results_within: how long after success its results may be missing.
    :param horizon: when a job that never settles is given up; links die then too (contract 4.5).
    """

    interval: float = field(default=5.0, validator=gt(0))
    questions_per_second: float = field(default=10.0, validator=gt(0))
    open_questions: int = field(default=8, validator=ge(1))
    ceiling: float = field(default=60.0, validator=gt(0))
    newborn: float = field(default=60.0, validator=ge(0))
    results_within: float = field(default=60.0, validator=ge(0))
    horizon: float = field(default=86400.0, validator=gt(0))

    @property
    def spacing(self) -> float:
        """Between any two questions."""
        return 1.0 / self.questions_per_second

    def after(self, failures: int) -> float:
        """The wait before a job is asked about again, after so many unanswered questions in a row."""
        longest = max(self.interval, self.ceiling)
        return min(self.interval * 2.0 ** min(failures, 32), longest)


_Entry = tuple[float, int, TaskId]


@define(eq=False)
class _Watched:
    since: float
    accepted_at: float
    failures: int = 0
    empty_since: float | None = None
    entry: _Entry | None = None  #: its place in the heap; none while a question about it is open


@define(eq=False)
class Agenda:
    """The timetable. At most one question about a job is open, and never more than `Pace` allows."""

    pace: Pace
    _due: list[_Entry] = field(factory=list, init=False)
    _watched: dict[TaskId, _Watched] = field(factory=dict, init=False)
    _asked: set[TaskId] = field(factory=set, init=False)
    _free_at: float = field(default=_LONG_AGO, init=False)
    _ticket: Iterator[int] = field(factory=count, init=False)

    def __contains__(self, task: TaskId) -> bool:
        return task in self._watched

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, task: TaskId, *, now: float, accepted_at: float | None = None) -> None:
        """Start asking about a job.

        :param accepted_at: when the server accepted it; None for one submitted elsewhere, asked about at once.
        """
        if task in self._watched:
            if accepted_at is not None:
                self._watched[task].accepted_at = max(self._watched[task].accepted_at, accepted_at)
            return
        self._watched[task] = _Watched(now, _LONG_AGO if accepted_at is None else accepted_at)
        self._schedule(task, now if accepted_at is None else now + self.pace.interval)

    def forget(self, task: TaskId) -> None:
        """Stop asking about a job; harmless if it is not watched."""
        self._watched.pop(task, None)
        self._asked.discard(task)

    def ask(self, *, now: float) -> TaskId | None:
        """Take the next job to ask about; None if there is nothing to ask yet."""
        at = self.wake_at()
        if at is None or at > now:
            return None
        _, _, task = heapq.heappop(self._due)
        self._watched[task].entry = None
        self._asked.add(task)
        self._free_at = now + self.pace.spacing
        return task

    def answered(self, task: TaskId, *, now: float) -> None:
        """The server answered, and the job goes on."""
        self._again(task, now=now, failures=0)

    def unanswered(self, task: TaskId, *, now: float) -> None:
        """The question failed, not the job."""
        if task in self._watched:
            self._again(task, now=now, failures=self._watched[task].failures + 1)

    def wake_at(self) -> float | None:
        """When `ask` will next yield a job; None if an answer, or a job, must come first."""
        while self._due and not self._stands(self._due[0]):
            heapq.heappop(self._due)
        if not self._due or len(self._asked) >= self.pace.open_questions:
            return None
        return max(self._due[0][0], self._free_at)

    def newborn(self, task: TaskId, *, now: float) -> bool:
        """Whether the server may not know the job yet."""
        return task in self._watched and now - self._watched[task].accepted_at < self.pace.newborn

    def awaits_results(self, task: TaskId, *, now: float) -> bool:
        """Note a success without results; whether they may still come."""
        watched = self._watched.get(task)
        if watched is None:
            return False
        if watched.empty_since is None:
            watched.empty_since = now
        return now - watched.empty_since < self.pace.results_within

    def overdue(self, task: TaskId, *, now: float) -> bool:
        """Whether the job has been watched for longer than the horizon."""
        return task in self._watched and now - self._watched[task].since >= self.pace.horizon

    def _stands(self, entry: _Entry) -> bool:
        watched = self._watched.get(entry[2])
        return watched is not None and watched.entry is entry

    def _again(self, task: TaskId, *, now: float, failures: int) -> None:
        if task in self._asked:
            self._asked.discard(task)
            self._watched[task].failures = failures
            self._schedule(task, now + self.pace.after(failures))

    def _schedule(self, task: TaskId, at: float) -> None:
        entry = (at, next(self._ticket), task)
        self._watched[task].entry = entry
        heapq.heappush(self._due, entry)
