"""Whom to ask first when the counts tell that somebody has ended: the likeliest, while that is worth a question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, field

from rh_async.types import TaskId

_SURPRISE: Final = 0.05
"""The share of ends that nobody expects where they come: what is learnt from a few is never the whole truth."""

Candidate = tuple[float, float, TaskId]
"""How likely it has ended since it was last known to run, how many questions finding it now is worth, and its name."""


@define(eq=False, repr=False)
class CandidateSearch:
    """One hunt for jobs that have ended.

    :ivar chance: how likely there is one at all among the suspects.
    :ivar asked: how many questions were asked for it since the last find.  :ivar open: those without an answer yet.
    """

    chance: float
    asked: int = field(default=0, init=False)
    open: set[TaskId] = field(factory=set, init=False)
    _weights: dict[TaskId, float] = field(factory=dict, init=False)
    _ranked: list[Candidate] = field(factory=list, init=False)
    _rest: float = field(default=0.0, init=False)  #: the weights of who is still suspected, together

    @classmethod
    def among(cls, suspects: Iterable[Candidate], *, chance: float) -> CandidateSearch:
        """Rank the suspects."""
        hunt = cls(chance)
        hunt._ranked = sorted(suspects)
        whole = sum(weight for weight, _, _ in hunt._ranked)
        surprise = _SURPRISE * whole / max(len(hunt._ranked), 1)
        hunt._weights = {task: weight + surprise for weight, _, task in hunt._ranked}
        hunt._rest = whole * (1.0 + _SURPRISE)
        return hunt

    def __contains__(self, task: TaskId) -> bool:
        return task in self._weights

    @property
    def in_vain(self) -> bool:
        """Whether every suspect was asked about, and runs."""
        return not self.open and not self._weights

    def likeliest(self, missing: int) -> TaskId | None:
        """Whom to ask, if that is worth a question."""
        while self._ranked:
            _, worth, task = self._ranked[-1]
            if task in self._weights and task not in self.open:
                return task if self._likely(task) * missing * worth >= 1.0 else None
            self._ranked.pop()
        return None

    def ask(self, task: TaskId) -> None:
        """A question about a suspect is asked."""
        self.asked += 1
        self.open.add(task)
        if self._ranked and self._ranked[-1][2] == task:
            self._ranked.pop()  # a question that fails is repeated in its turn, not at once and for ever

    def cleared(self, task: TaskId) -> None:
        """A job was asked about, whyever, and runs."""
        self.open.discard(task)
        if task in self._weights:
            likely = self._likely(task)
            self.chance = (self.chance - likely) / max(1.0 - likely, 1e-9)
            self._rest -= self._weights.pop(task)

    def found(self, task: TaskId) -> None:
        """A suspect has ended."""
        self.asked = 0
        self.open.discard(task)
        self._rest -= self._weights.pop(task)

    def _likely(self, task: TaskId) -> float:
        return self.chance * min(1.0, self._weights[task] / self._rest) if self._rest > 0.0 else 0.0
