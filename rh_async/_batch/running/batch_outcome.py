"""How one entry of a batch ended."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import frozen

from rh_async._batch.costs.budget import NO_COST, Cost
from rh_async._batch.planning.plan import Entry
from rh_async.errors import Blame, RHError
from rh_async.types import Result, TaskId

OutcomeState = Literal["saved", "already_done", "failed", "rejected", "unconfirmed", "save_failed", "skipped"]


@frozen(kw_only=True)
class BatchOutcome:
    """How one entry ended, as far as this run goes.

    :param state: ``saved``, this run wrote its outputs; ``already_done``, an earlier run had written them; ``failed``,
        the job ended without a result, now or earlier; ``rejected``, the server did not accept it; ``unconfirmed``, it
        is unknown whether the server accepted it, and it is never resent; ``save_failed``, the job succeeded and its
        outputs are not on disk; ``skipped``, it was not started.
    :param key: the submission's name, the caller's own or derived; None where it was not looked at.
    :param task_id: the server's id; None if it was never accepted.
    :param result: what it made.
    :param error: why it did not, or is not on disk.
    :param cause: whose the error is.
    :param paths: where its outputs are.
    :param cost: what it cost; nothing for one that shares another entry's job.
    :param twin: the number of the entry with the same key whose fate it shares: both were bought once.
    """

    entry: Entry
    state: OutcomeState
    key: str | None = None
    task_id: TaskId | None = None
    result: Result | None = None
    error: RHError | None = None
    cause: Blame | None = None
    paths: tuple[Path, ...] = ()
    cost: Cost = NO_COST
    duplicate_of: int | None = None
