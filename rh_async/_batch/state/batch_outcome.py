"""How one entry of a batch ended, and which state an error amounts to. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import frozen

from rh_async._batch.costs.budget import NO_COST, Cost
from rh_async._batch.planning.plan import Entry
from rh_async.errors import Blame, JobCancelled, JobError, JournalError, RHError, SessionError, SubmitUnknown
from rh_async.types import Result, TaskId

OutcomeState = Literal["saved", "already_done", "failed", "rejected", "unconfirmed", "save_failed", "skipped"]


@frozen(kw_only=True)
class BatchOutcome:
    """How one entry of a batch ended.

    :param state: ``saved``, this run wrote its outputs; ``already_done``, an earlier run had written them; ``failed``,
        the job ended without a result, now or earlier; ``rejected``, the server did not accept it; ``unconfirmed``, it
        is unknown whether the server accepted it, and it is never resent; ``save_failed``, the job succeeded and its
        outputs are not on disk; ``skipped``, it was not started.
    :param key: the submission's key, given or derived; None where the entry was not looked up.
    :param task_id: the server's id; None if the server never accepted the job.
    :param result: what the job made.
    :param error: why there is no result, or why it is not on disk.
    :param cause: who must act on the error: ``job``, the author of the inputs; ``account``, the owner of the key;
        ``local_io``, the owner of the disk; ``transient``, only time.
    :param paths: where the outputs are.
    :param cost: what the job cost; zero for an entry that shares another entry's job.
    :param duplicate_of: the number of the entry with the same key, whose job this entry shares: one submit for both.
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


def is_safe_to_retry(error: RHError) -> bool:
    """Return whether an error is transient and certainly not billed, so that the submission may be repeated.

    A lost answer (`SubmitUnknown`) never is: the server may have accepted the job, and a submit cannot be undone.
    """
    free = not error.maybe_billed and not isinstance(error, SubmitUnknown | SessionError | JobError)
    return free and error.blame == "transient"


def state_of(error: RHError) -> OutcomeState:
    """Return the state of a job without a result."""
    if is_safe_to_retry(error) or (isinstance(error, JobCancelled) and not error.maybe_billed):
        return "skipped"
    if isinstance(error, JobError):
        return "failed"
    if error.blame == "account" and error.phase == "query" and not error.maybe_billed:
        return "skipped"  # the key was refused at a query about another job; this one was not submitted
    if error.maybe_billed or isinstance(error, SubmitUnknown):
        return "unconfirmed"
    return "skipped" if isinstance(error, JournalError | SessionError) else "rejected"
