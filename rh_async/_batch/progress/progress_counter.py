"""Counts the entries of a run as they go, and says at any moment how it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from heapq import nsmallest

from attrs import define, field

from rh_async._batch.outputs.output_naming import stem_of
from rh_async._batch.planning.plan import Entry
from rh_async._batch.running.batch_outcome import BatchOutcome
from rh_async._batch.running.entry_worker import BatchItem, EntryWorker
from rh_async._batch.running.session_port import SessionPort
from rh_async.types import TaskId

from .eta import time_left
from .progress_snapshot import BatchProgress, RunningJob

_STATES = ("saved", "already_done", "failed", "rejected", "unconfirmed", "save_failed", "skipped")
_OLDEST = 8


@define(eq=False)
class ProgressCounter:
    """The counts of one run.

    :param entries: all that can be sent.
    """

    _entries: Sequence[Entry]
    _port: SessionPort
    _worker: EntryWorker
    _waiting: Counter[str] = field(init=False)  #: by model
    _ends: Counter[str] = field(factory=Counter, init=False)

    def __attrs_post_init__(self) -> None:
        self._waiting = Counter(map(_model, self._entries))

    def begun(self, entry: Entry) -> None:
        """An entry waits no more."""
        self._waiting[_model(entry)] -= 1

    def ended(self, outcome: BatchOutcome) -> None:
        """An entry has an outcome."""
        self._ends[outcome.state] += 1
        if outcome.error is not None and outcome.state != "skipped":
            self._worker.troubles.note(outcome.error)

    def progress(self) -> BatchProgress:
        """How it stands."""
        money = self._worker.charges.money
        worker, statistics, traffic = self._worker, self._port.statistics(), self._port.traffic
        flying = {item: item.job.task_id for item in worker.under_way if item.job and item.job.task_id}
        begun, saving = len(worker.under_way), len(worker.saving)
        ends = {state: self._ends[state] for state in _STATES}
        etas = [item.job.eta for item in flying if item.job]
        return BatchProgress(
            planned=len(self._entries),
            waiting=len(self._entries) - begun - saving - sum(ends.values()),
            uploading=begun - len(flying),
            in_flight=len(flying),
            limit=statistics.limit,
            saving=saving,
            **ends,
            longest_running=_oldest(flying),
            uploaded_bytes=traffic.up,
            downloaded_bytes=traffic.down,
            polls=sum(count for kind, count in statistics.requests.items() if kind != "submit"),
            spent=money.spent,
            spent_earlier=money.spent_earlier,
            reserved=money.reserved,
            maybe_billed=money.maybe_billed,
            maybe_billed_jobs=money.maybe_billed_jobs,
            currency=money.currency if money.certain else "",
            budget=money.budget,
            errors=worker.troubles.most(),
            time_left=time_left(self._not_sent(flying), etas, statistics.run_times, statistics.limit),
        )

    def _not_sent(self, flying: dict[BatchItem, TaskId]) -> Counter[str]:
        return self._waiting + Counter(_model(item.entry) for item in self._worker.under_way - flying.keys())


def _model(entry: Entry) -> str:
    return "" if entry.request is None else entry.request.endpoint


def _oldest(flying: dict[BatchItem, TaskId]) -> tuple[RunningJob, ...]:
    now = datetime.now(UTC)
    first = nsmallest(_OLDEST, flying, key=lambda item: _since(item, now))
    return tuple(_shown(item, flying[item], now) for item in first)


def _shown(item: BatchItem, task_id: TaskId, now: datetime) -> RunningJob:
    return RunningJob(
        name=" × ".join(map(stem_of, (item.entry.clip, *item.entry.characters[:1]))),
        task_id=task_id,
        age=(now - _since(item, now)).total_seconds(),
        eta=None if item.job is None else item.job.eta,
    )


def _since(item: BatchItem, now: datetime) -> datetime:
    return now if item.job is None else item.job.submitted_utc or now
