"""The port through which a batch reaches its session, and the types that pass through it.

The modules of a batch use nothing of the session's own packages but what stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rh_async._api.standard_tasks import PriceQuote
from rh_async._journal.records import SubmitOptions
from rh_async._runtime.outcome_stream import OutcomeStream, StreamHost
from rh_async._runtime.statistics import RunTimeSummary, Statistics
from rh_async._submission.record_mapping import PriorAttempt
from rh_async._transfer.download_stream import Naming
from rh_async.events import Event
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Account, Result

__all__ = ["Naming", "OutcomeStream", "PriorAttempt", "RunTimeSummary", "SessionPort", "SubmitOptions"]


class SessionPort(StreamHost, Protocol):
    """An open session."""

    @property
    def event_listeners(self) -> list[Callable[[Event], object]]:
        """The functions that are called with every event of the session."""

    @property
    def currency(self) -> str | None:
        """The currency in which the site bills; None for a host that is neither site."""

    async def account(self) -> Account:
        """Query the account."""

    async def price(self, request: Request) -> PriceQuote:
        """Query the price of a request, after uploading the files that the query names; nothing is submitted."""

    def statistics(self) -> Statistics:
        """Return the session's statistics."""

    async def prior_attempt(self, request: Request, key: str | None) -> PriorAttempt:
        """Return what is known of a submission before it is made."""

    def begin(self, request: Request, options: SubmitOptions) -> Job:
        """Start the submission of a request; with a journal, attach to the job that its key names, if there is one."""

    async def save(
        self, result: Result, folder: Path, *, overwrite: bool = False, name: Naming | None = None
    ) -> tuple[Path, ...]:
        """Write the outputs of a result to disk, and record where they are."""
