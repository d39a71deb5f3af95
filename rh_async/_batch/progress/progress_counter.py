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
from rh_async._batch.running.entry_worker import Errand, Errands
from rh_async._batch.running.session_port import Carrier
from rh_async.types import TaskId

from .eta import time_left
from .progress_snapshot import Oldest, Standing

_STATES = ("saved", "kept", "failed", "refused", "uncertain", "unsaved", "withheld")
_OLDEST = 8


@define(eq=False)
class Tally:
    """The counts of one run.

    :param entries: all that can be sent.
    """

    _entries: Sequence[Entry]
    _carrier: Carrier
    _errands: Errands
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
        if outcome.error is not None and outcome.state != "withheld":
            self._errands.troubles.note(outcome.error)

    def standing(self) -> Standing:
        """How it stands."""
        money = self._errands.charges.money
        errands, statistics, traffic = self._errands, self._carrier.statistics(), self._carrier.traffic
        flying = {errand: errand.job.task_id for errand in errands.under_way if errand.job and errand.job.task_id}
        begun, saving = len(errands.under_way), len(errands.saving)
        ends = {state: self._ends[state] for state in _STATES}
        etas = [errand.job.eta for errand in flying if errand.job]
        return Standing(
            planned=len(self._entries),
            waiting=len(self._entries) - begun - saving - sum(ends.values()),
            uploading=begun - len(flying),
            in_flight=len(flying),
            limit=statistics.limit,
            saving=saving,
            **ends,
            oldest=_oldest(flying),
            uploaded_bytes=traffic.up,
            downloaded_bytes=traffic.down,
            questions=sum(count for kind, count in statistics.questions.items() if kind != "submit"),
            spent=money.spent,
            spent_earlier=money.spent_earlier,
            reserved=money.reserved,
            in_doubt=money.in_doubt,
            doubtful=money.doubtful,
            currency=money.currency if money.certain else "",
            budget=money.budget,
            errors=errands.troubles.most(),
            time_left=time_left(self._not_sent(flying), etas, statistics.run_times, statistics.limit),
        )

    def _not_sent(self, flying: dict[Errand, TaskId]) -> Counter[str]:
        return self._waiting + Counter(_model(errand.entry) for errand in self._errands.under_way - flying.keys())


def _model(entry: Entry) -> str:
    return "" if entry.request is None else entry.request.endpoint


def _oldest(flying: dict[Errand, TaskId]) -> tuple[Oldest, ...]:
    now = datetime.now(UTC)
    first = nsmallest(_OLDEST, flying, key=lambda errand: _since(errand, now))
    return tuple(_shown(errand, flying[errand], now) for errand in first)


def _shown(errand: Errand, task_id: TaskId, now: datetime) -> Oldest:
    return Oldest(
        name=" × ".join(map(stem_of, (errand.entry.clip, *errand.entry.characters[:1]))),
        task_id=task_id,
        age=(now - _since(errand, now)).total_seconds(),
        eta=None if errand.job is None else errand.job.eta,
    )


def _since(errand: Errand, now: datetime) -> datetime:
    return now if errand.job is None else errand.job.submitted_utc or now
