"""Counts the entries of one run of a plan, and adds to the session's progress what only the batch knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Any

from attrs import define, evolve, field

from rh_async._batch.costs.budget import BudgetTracker
from rh_async._batch.outputs.output_naming import stem_of
from rh_async._batch.planning.plan import Entry
from rh_async._batch.session_port import SessionPort
from rh_async._batch.state.batch_outcome import BatchOutcome
from rh_async._batch.state.run_state import BatchItem, RunState
from rh_async.types import TaskId

from .eta import time_left
from .progress_counter import ProgressCounter
from .progress_snapshot import BatchProgress, RunningJob

_STATES = ("saved", "already_done", "failed", "rejected", "unconfirmed", "save_failed", "skipped")
_MOST_JOBS = 8


@define(eq=False, kw_only=True)
class EntryCounter:
    """Counts the entries of one run.

    :param entries: all entries that can be submitted.
    :param events: counts the session's events.
    """

    entries: Sequence[Entry]
    port: SessionPort
    state: RunState
    budget: BudgetTracker
    events: ProgressCounter
    _waiting: Counter[str] = field(init=False)  #: by model
    _outcomes: Counter[str] = field(factory=Counter, init=False)  #: by state

    def __attrs_post_init__(self) -> None:
        self._waiting = Counter(map(_model, self.entries))

    def start(self, entry: Entry) -> None:
        """Count an entry as started."""
        self._waiting[_model(entry)] -= 1

    def end(self, outcome: BatchOutcome) -> None:
        """Count an outcome, and its error unless the entry was not even started."""
        self._outcomes[outcome.state] += 1
        if outcome.error is not None and outcome.state != "skipped":
            self.events.note_error(outcome.error)

    def progress(self) -> BatchProgress:
        """Return the progress of the run as a value; cheap."""
        state, statistics = self.state, self.port.statistics()
        in_flight = {item: item.job.task_id for item in state.under_way if item.job and item.job.task_id}
        started, saving = len(state.under_way), len(state.saving)
        etas = [item.job.eta for item in in_flight if item.job]
        not_sent = self._waiting + Counter(_model(item.entry) for item in state.under_way - in_flight.keys())
        outcomes: dict[str, Any] = {state: self._outcomes[state] for state in _STATES}
        return evolve(
            self.events.snapshot(),
            planned=len(self.entries),
            waiting=len(self.entries) - started - saving - self._outcomes.total(),
            uploading=started - len(in_flight),
            in_flight=len(in_flight),
            limit=statistics.limit,
            saving=saving,
            longest_running=_longest_running(in_flight),
            polls=sum(count for kind, count in statistics.requests.items() if kind != "submit"),
            time_left=time_left(not_sent, etas, statistics.run_times, statistics.limit),
            **outcomes,
            **self._costs(),
        )

    def _costs(self) -> dict[str, Any]:
        return {
            "spent": self.budget.spent,
            "spent_earlier": self.budget.spent_earlier,
            "reserved": self.budget.reserved,
            "maybe_billed": self.budget.maybe_billed,
            "maybe_billed_jobs": self.budget.maybe_billed_jobs,
            "currency": self.budget.currency if self.budget.certain else "",
            "budget": self.budget.budget,
        }


def _model(entry: Entry) -> str:
    return "" if entry.request is None else entry.request.endpoint


def _longest_running(in_flight: dict[BatchItem, TaskId]) -> tuple[RunningJob, ...]:
    now = datetime.now(UTC)
    first = nsmallest(_MOST_JOBS, in_flight, key=lambda item: _since(item, now))
    return tuple(_as_value(item, in_flight[item], now) for item in first)


def _as_value(item: BatchItem, task_id: TaskId, now: datetime) -> RunningJob:
    return RunningJob(
        name=" × ".join(map(stem_of, (item.entry.clip, *item.entry.characters[:1]))),
        task_id=task_id,
        age=(now - _since(item, now)).total_seconds(),
        eta=None if item.job is None else item.job.eta,
    )


def _since(item: BatchItem, now: datetime) -> datetime:
    return now if item.job is None else item.job.submitted_utc or now
