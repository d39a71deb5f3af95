"""What coming back brings, as a value."""

from __future__ import annotations

from attrs import frozen

from ._job import Job
from ._records import Record
from ._types import Result
from .errors import RHError


@frozen(kw_only=True)
class Resumed:
    """What a session found when it came back.

    :param jobs: submitted by an earlier session, and watched again.
    :param saved: settled before, and on disk now.
    :param failed: settled with a result that could not be saved, and why.
    :param uncertain: which nobody knows the fate of.
    """

    jobs: tuple[Job, ...] = ()
    saved: tuple[Result, ...] = ()
    failed: tuple[tuple[Record, RHError], ...] = ()
    uncertain: tuple[Record, ...] = ()
