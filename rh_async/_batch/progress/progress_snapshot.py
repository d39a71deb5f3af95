"""How a batch stands at one moment, as plain values for whoever shows it."""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen

from rh_async.types import TaskId


@frozen(kw_only=True)
class RunningJob:
    """A job that has long been in flight.

    :param name: its clip and its character.
    :param age: seconds since the server accepted it.
    :param eta: seconds it will probably still take; None where nothing is known.
    """

    name: str
    task_id: TaskId
    age: float
    eta: float | None


@frozen(kw_only=True)
class ErrorGroup:
    """What went wrong more than once, or once.

    :param sentence: the kind of trouble.  :param example: one of them, in its own words.
    """

    sentence: str
    count: int
    example: str


@frozen(kw_only=True)
class BatchProgress:
    """How a batch stands. Every entry of the plan that can be sent is in exactly one of the counts.

    :param planned: all entries that can be sent.
    :param waiting: not begun.
    :param uploading: begun, and not with the server yet.
    :param in_flight: with the server.  :param limit: how many may be.
    :param saving: over, and on the way to disk.
    :param saved: see `BatchOutcome.state` for this and the following.
    :param oldest: the longest in flight, at most eight.
    :param uploaded_bytes: of the session, so far.  :param downloaded_bytes: likewise.
    :param questions: how many the session has asked.
    :param spent: what jobs that this run bought cost for certain, in ``currency``.
    :param spent_earlier: likewise, what earlier runs bought.
    :param reserved: what jobs under way will cost, by their prices; nothing once all have ended.
    :param in_doubt: what jobs that have ended may have cost, by their prices: the server did not say.
    :param doubtful: how many those are.
    :param currency: of the account; "" on a host that is neither site, as long as the account was not asked.
    :param budget: in the same.
    :param errors: by kind, the most frequent first, at most eight.
    :param time_left: seconds until all is done, as (low, middle, high): four in five end between the outer two. None
        where nothing is known of run times.
    """

    planned: int
    waiting: int
    uploading: int
    in_flight: int
    limit: int
    saving: int
    saved: int
    already_done: int
    failed: int
    rejected: int
    unconfirmed: int
    save_failed: int
    skipped: int
    longest_running: tuple[RunningJob, ...]
    uploaded_bytes: int
    downloaded_bytes: int
    polls: int
    spent: Decimal
    spent_earlier: Decimal
    reserved: Decimal
    maybe_billed: Decimal
    maybe_billed_jobs: int
    currency: str
    budget: Decimal | None
    errors: tuple[ErrorGroup, ...]
    time_left: tuple[float, float, float] | None
