"""Orders the polls of a search for jobs that have settled: the likeliest first, while that is worth a poll."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, field

from rh_async.types import TaskId

_UNEXPECTED_SHARE: Final = 0.05
"""The share of ends that come where the run times expect none: a table learnt from a few jobs is never complete."""

Candidate = tuple[float, float, TaskId]
"""The probability that the job has ended since it was last known to run, how many polls finding that now is worth, and
its id. A plain tuple, because thousands of them are sorted for one search."""


@define(eq=False, repr=False)
class CandidateSearch:
    """One search for jobs that have settled, among all that may have (POLLING.md 3).

    :ivar probability: how likely at least one of the candidates has settled.
    :ivar polls: how many polls it took since the last job that was confirmed done.
    :ivar open_polls: candidates whose poll has no response yet.
    """

    probability: float
    polls: int = field(default=0, init=False)
    open_polls: set[TaskId] = field(factory=set, init=False)
    _weights: dict[TaskId, float] = field(factory=dict, init=False)
    _ranked: list[Candidate] = field(factory=list, init=False)
    _total_weight: float = field(default=0.0, init=False)  #: of the candidates that remain

    @classmethod
    def among(cls, candidates: Iterable[Candidate], *, probability: float) -> CandidateSearch:
        """Start a search, with the candidates in the order of their probability."""
        search = cls(probability)
        search._ranked = sorted(candidates)
        total = sum(weight for weight, _, _ in search._ranked)
        unexpected = _UNEXPECTED_SHARE * total / max(len(search._ranked), 1)
        search._weights = {task: weight + unexpected for weight, _, task in search._ranked}
        search._total_weight = total * (1.0 + _UNEXPECTED_SHARE)
        return search

    def __contains__(self, task: TaskId) -> bool:
        return task in self._weights

    @property
    def exhausted(self) -> bool:
        """Whether every candidate was polled, and runs."""
        return not self.open_polls and not self._weights

    def next_candidate(self, unaccounted: int) -> TaskId | None:
        """Return the likeliest candidate, if a poll of it is worth its price.

        :param unaccounted: how many settled jobs are searched for.
        """
        while self._ranked:
            _, value, task = self._ranked[-1]
            if task in self._weights and task not in self.open_polls:
                return task if self._probability_of(task) * unaccounted * value >= 1.0 else None
            self._ranked.pop()
        return None

    def poll_started(self, task: TaskId) -> None:
        """Note that a candidate is being polled."""
        self.polls += 1
        self.open_polls.add(task)
        if self._ranked and self._ranked[-1][2] == task:
            # A poll that fails is repeated at its scheduled time: kept here, it would be repeated at once, for ever.
            self._ranked.pop()

    def poll_failed(self, task: TaskId) -> None:
        """Note that a poll told nothing of a candidate."""
        self.open_polls.discard(task)

    def confirmed_running(self, task: TaskId) -> None:
        """Drop a candidate that runs; a settled job among the rest is less likely, and each of the rest likelier."""
        self.open_polls.discard(task)
        if task in self._weights:
            excluded = self._probability_of(task)
            self.probability = (self.probability - excluded) / max(1.0 - excluded, 1e-9)
            self._total_weight -= self._weights.pop(task)

    def confirmed_done(self, task: TaskId) -> None:
        """Drop a candidate that has settled, which the search was for."""
        self.polls = 0
        self.open_polls.discard(task)
        self._total_weight -= self._weights.pop(task)

    def _probability_of(self, task: TaskId) -> float:
        share = self._weights[task] / self._total_weight if self._total_weight > 0.0 else 0.0
        return self.probability * min(1.0, share)
