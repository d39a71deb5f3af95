"""How one entry of a batch ended."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import frozen

from rh_async._batch.costs.budget import NO_COST, Cost
from rh_async._batch.planning.plan import Entry
from rh_async.errors import RHError
from rh_async.types import Result, TaskId

Ending = Literal["saved", "kept", "failed", "refused", "uncertain", "unsaved", "withheld"]
Reason = Literal["job", "account", "world", "disk"]
"""Who must act: whoever made the inputs, whoever pays, nobody but time, whoever owns the disk."""


@frozen(kw_only=True)
class BatchOutcome:
    """How one entry ended, as far as this run goes.

    :param state: ``saved``, on disk by this run; ``kept``, an earlier run had done it; ``failed``, the job ended badly,
        now or earlier; ``refused``, it was not accepted; ``uncertain``, nobody knows what became of it, and it is never
        resent; ``unsaved``, it succeeded and is not on disk; ``withheld``, it was not started.
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
    state: Ending
    key: str | None = None
    task_id: TaskId | None = None
    result: Result | None = None
    error: RHError | None = None
    cause: Reason | None = None
    paths: tuple[Path, ...] = ()
    cost: Cost = NO_COST
    twin: int | None = None
