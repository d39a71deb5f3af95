"""Update a job: its task, its snapshots, its outcome. For the session's packages, not for callers.

These functions write the private fields of `Job`, so that the public class has no method that ends a job or changes it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ._api.error_codes import advice_for, is_server_busy
from .errors import JobCancelled, JobError, JobFailed, RHError
from .job import Job
from .types import Result, Snapshot, TaskId


def assign_task(job: Job, task_id: TaskId, submitted_utc: datetime | None) -> None:
    """Record the task that the server made for the job, whichever session submitted it."""
    job.task_id, job.submitted_utc = task_id, submitted_utc
    _wake_waiters(job)


def apply_snapshot(job: Job, snapshot: Snapshot) -> bool:
    """Record an answer of the server on the job, and on the jobs that mirror it.

    :return: whether the answer differs from the one before.
    """
    if job.snapshot is not None and _shown(job.snapshot) == _shown(snapshot):
        return False
    job.snapshot, job.task_id = snapshot, snapshot.task_id
    job.flaw = job.flaw or snapshot.flaw
    _wake_waiters(job)
    for duplicate in job._duplicates:
        apply_snapshot(duplicate, snapshot)
    return True


def set_outcome(job: Job, outcome: Result | RHError) -> None:
    """End the job; its first outcome stays, and later ones are ignored."""
    if job._outcome is None:
        if isinstance(outcome, RHError):
            outcome.key = outcome.key or job.key
        job._outcome = outcome
        _wake_waiters(job)
        for callback in job._done_callbacks:
            callback(job)


def call_when_done(job: Job, callback: Callable[[Job], None]) -> None:
    """Call ``callback`` once, when the job ends; at once if it has ended."""
    if job.done:
        callback(job)
    else:
        job._done_callbacks = (*job._done_callbacks, callback)


async def mirror(primary: Job, duplicate: Job) -> None:
    """Give ``duplicate`` the task, the snapshots and the outcome of ``primary``, which has the same key.

    Returns when the primary is accepted or done: the duplicate needs nothing of its own from then on.
    """
    await primary._wait_until(lambda: primary.task_id is not None or primary.done)
    if primary.task_id is not None:
        assign_task(duplicate, primary.task_id, primary.submitted_utc)
    if primary.snapshot is not None:
        apply_snapshot(duplicate, primary.snapshot)
    primary._duplicates = (*primary._duplicates, duplicate)
    call_when_done(primary, lambda ended: _copy_outcome(ended, duplicate))


def _copy_outcome(primary: Job, duplicate: Job) -> None:
    if primary.snapshot is not None:
        apply_snapshot(duplicate, primary.snapshot)
    if primary._outcome is not None:
        set_outcome(duplicate, primary._outcome)


def _wake_waiters(job: Job) -> None:
    if job._updated is not None:
        job._updated.set()
        job._updated = None


def _shown(snapshot: Snapshot) -> tuple[str, str, bool]:
    """Select the fields whose change is a status update."""
    return snapshot.status, snapshot.code, bool(snapshot.outputs)


def outcome_of(job: Job, snapshot: Snapshot, *, noticed_utc: datetime) -> Result | JobError:
    """Make the job's result or error from a settled snapshot."""
    if snapshot.succeeded and snapshot.outputs:
        return Result(
            task_id=snapshot.task_id,
            outputs=snapshot.outputs,
            usage=snapshot.usage,
            submitted_utc=job.submitted_utc,
            noticed_utc=noticed_utc,
            raw=snapshot.raw,
        )
    if snapshot.cancelled:
        return JobCancelled("the job was cancelled", task_id=snapshot.task_id, snapshot=snapshot)
    if snapshot.succeeded:
        return JobFailed("the job succeeded without results", task_id=snapshot.task_id, snapshot=snapshot)
    return _failure(job, snapshot)


def _failure(job: Job, snapshot: Snapshot) -> JobFailed:
    """Make the error of a failed job: its code, its message, and its reason where that adds to the message."""
    said = dict.fromkeys(filter(None, [snapshot.message, snapshot.reason]))
    failure = JobFailed(
        f"the job failed with code {snapshot.code or 'none'}: {': '.join(said) or 'no message'}",
        task_id=snapshot.task_id,
        snapshot=snapshot,
        reason=snapshot.reason,
        code=snapshot.code,
        may_resubmit=is_server_busy(snapshot.code),
        advice=advice_for(snapshot.code),
    )
    if flaw := job.flaw or snapshot.flaw:
        failure.add_note(f"When the server accepted the job, it said of the workflow: {flaw}")
    return failure
