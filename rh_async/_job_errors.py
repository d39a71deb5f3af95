"""Defines how an accepted job ends without a result."""

from __future__ import annotations

from ._error_base import Blame, RHError
from .types import Snapshot, TaskId


class JobError(RHError):
    """The job was accepted and did not end well.

    :ivar snapshot: the last response about it, if there was one.
    :ivar reason: why it failed, in the server's words: ``node: what happened`` for a workflow; "" where unsaid.
    :ivar may_resubmit: whether the server was busy, so that the same request may succeed when it is submitted again.
        That is the caller's to decide: each submit is paid, and nothing here repeats one whose task was accepted.
    """

    def __init__(
        self,
        message: str,
        *,
        task_id: TaskId | None = None,
        snapshot: Snapshot | None = None,
        reason: str = "",
        may_resubmit: bool = False,
        code: str = "",
        phase: str = "query",
        maybe_billed: bool | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message, phase=phase, code=code, task_id=task_id, maybe_billed=maybe_billed, advice=advice)
        self.snapshot = snapshot
        self.reason = reason
        self.may_resubmit = may_resubmit

    @property
    def blame(self) -> Blame:
        """The job's inputs have to change, unless the server was only busy."""
        return "transient" if self.may_resubmit else "job"


class JobFailed(JobError):
    """The server says that the job failed. Whether that is refunded is not documented (contract 9)."""

    advice = "Change the inputs before submitting again: each submit is paid."
    maybe_billed = True


class JobCancelled(JobError):
    """The job was cancelled (a refund is not documented, contract 9), or withdrawn before it was sent."""

    advice = "Submit it again if it is still wanted."
    maybe_billed = True


class JobLost(JobError):
    """The server does not answer for the job any more, or never settled it.

    It may do so again: with a journal, the same submission and recovery ask about it once more.
    """

    maybe_billed = True
    advice = "Look for the task in the console's call record."
