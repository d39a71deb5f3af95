"""What coming back brings, as a value."""

from __future__ import annotations

from attrs import frozen

from rh_async._journal.records import SubmissionRecord
from rh_async.errors import RHError
from rh_async.job import Job
from rh_async.types import Result


@frozen(kw_only=True)
class ResumeReport:
    """What a session found when it came back.

    :param jobs: submitted by an earlier session, and watched again; so are those that the server had lost and knows
        after all. Where a folder is known, a job ends once its outputs are saved, with their paths in its result.
    :param saved: settled before, and on disk now.
    :param failed: settled with a result that could not be saved, and why.
    :param uncertain: which nobody knows the fate of.
    :param lost: which the server did not know, and still does not; each `Session.resume` asks about them again.
    :param held: which a session that lives carries, each with the id of its process, 0 where that is not told; they
        are left to it.
    """

    jobs: tuple[Job, ...] = ()
    saved: tuple[Result, ...] = ()
    failed: tuple[tuple[SubmissionRecord, RHError], ...] = ()
    uncertain: tuple[SubmissionRecord, ...] = ()
    lost: tuple[SubmissionRecord, ...] = ()
    held: tuple[tuple[SubmissionRecord, int], ...] = ()
