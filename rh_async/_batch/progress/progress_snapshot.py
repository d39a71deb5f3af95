"""How far a batch or a job is at one moment, as plain values for display."""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen

from rh_async.events import Waiting
from rh_async.types import TaskId


@frozen(kw_only=True)
class RunningJob:
    """A job in flight, one of those that have run longest.

    :param name: the names of its clip and its character.
    :param age: seconds since the server accepted it.
    :param eta: seconds it will probably still take; None where no run time is known.
    """

    name: str
    task_id: TaskId
    age: float
    eta: float | None


@frozen(kw_only=True)
class ErrorGroup:
    """Errors of one kind.

    :param kind: the kind, in a few words.  :param example: the message of the latest one.
    """

    kind: str
    count: int
    example: str


@frozen(kw_only=True)
class PhaseProgress:
    """How far all jobs together are in one phase: upload, submit, running or download.

    :param total: how many jobs (in ``upload``: files) will pass the phase; None while that is unknown.
    :param done: how many have passed it.
    :param bytes: what has been uploaded or downloaded, each file counted once.
    :param elapsed: seconds since the first event of the phase, up to its last event once all have passed.
    :param time_left: seconds until all have passed, by the rate so far; None while that is unknown.
    """

    name: str
    total: int | None
    done: int
    bytes: int
    elapsed: float
    time_left: float | None

    @property
    def finished(self) -> bool:
        """Whether all jobs have passed the phase."""
        return self.total is not None and self.done >= self.total

    def rate(self, amount: int) -> float | None:
        """Return how much of an amount came per second; None before any time has passed."""
        return amount / self.elapsed if self.elapsed > 0 and amount else None


@frozen(kw_only=True)
class BatchProgress:
    """How far a batch is. Every entry of the plan that can be submitted is in exactly one of the counts.

    :param planned: all entries that can be submitted.
    :param waiting: not started.
    :param uploading: started, and not accepted by the server yet.
    :param in_flight: accepted by the server and not ended.  :param limit: how many may be.
    :param saving: ended, and not on disk yet.
    :param saved: see `BatchOutcome.state` for this and the following.
    :param longest_running: the jobs that have been in flight longest, at most eight.
    :param uploaded_bytes: sent since the batch was made, repeated attempts included.
    :param downloaded_bytes: received, likewise.
    :param polls: how many requests for a status the session has sent.
    :param spent: what the jobs that this run submitted cost for certain, in ``currency``.
    :param spent_earlier: likewise, what earlier runs submitted.
    :param reserved: what the jobs under way will cost, by their prices; zero once all have ended.
    :param maybe_billed: what ended jobs may have cost, by their prices: the server did not say.
    :param maybe_billed_jobs: how many jobs that are.
    :param currency: the account's; "" on a host that is neither site, as long as the account was not asked.
    :param budget: in the same currency; None where there is none.
    :param errors: by kind, the most frequent first, at most eight.
    :param time_left: seconds until all is done, as (low, middle, high): four in five end between the outer two. None
        where no run times are known.
    :param phases: upload, submit, running and download of all jobs of the session since the batch was made.
    :param waiting_for: what holds the session back; None while nothing does.
    """

    planned: int
    waiting: int
    uploading: int = 0
    in_flight: int
    limit: int = 0
    saving: int = 0
    saved: int
    already_done: int = 0
    failed: int
    rejected: int = 0
    unconfirmed: int = 0
    save_failed: int = 0
    skipped: int = 0
    longest_running: tuple[RunningJob, ...] = ()
    uploaded_bytes: int
    downloaded_bytes: int
    polls: int = 0
    spent: Decimal = Decimal()
    spent_earlier: Decimal = Decimal()
    reserved: Decimal = Decimal()
    maybe_billed: Decimal = Decimal()
    maybe_billed_jobs: int = 0
    currency: str = ""
    budget: Decimal | None = None
    errors: tuple[ErrorGroup, ...]
    time_left: tuple[float, float, float] | None = None
    phases: tuple[PhaseProgress, ...]
    waiting_for: Waiting | None
