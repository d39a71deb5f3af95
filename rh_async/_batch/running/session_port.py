"""What a run asks of the session that carries it. This is all it knows of sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rh_async._api.standard_tasks import PriceQuote
from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._journal.records import SubmitOptions
from rh_async._runtime.statistics import Statistics
from rh_async._submission.deduplication import PriorAttempt
from rh_async._transfer.download_stream import Naming
from rh_async.errors import SessionError
from rh_async.events import Event
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Account, Result


class SessionPort(Protocol):
    """An open session."""

    tasks: SessionTasks

    @property
    def window(self) -> int:
        """How many jobs may be under way at once, from upload to settlement."""

    @property
    def on_capacity(self) -> list[Callable[[], object]]:
        """Where to be called when more could be carried."""

    @property
    def event_listeners(self) -> list[Callable[[Event], object]]:
        """The functions that are called with every event of the session."""

    @property
    def currency(self) -> str | None:
        """What the site bills in; None for a host that is neither site."""

    async def account(self) -> Account:
        """Ask the account about itself."""

    async def price(self, request: Request) -> PriceQuote:
        """Ask what a request would cost; what it needs uploaded goes up."""

    def check(self, *, asking: bool = True) -> None:
        """Raise where the session is not to be used."""

    def cut_short(self, words: str) -> SessionError:
        """Make the error that tells that the session ended, and why it crashed if it did."""

    def statistics(self) -> Statistics:
        """Say how it stands."""

    async def prior_attempt(self, request: Request, key: str | None) -> PriorAttempt:
        """Say what is known of a submission before it is made."""

    def begin(self, request: Request, options: SubmitOptions) -> Job:
        """Take a job in."""

    def withdraw(self, job: Job) -> None:
        """Stop a job whose POST has not left."""

    async def save(
        self, result: Result, folder: Path, *, overwrite: bool = False, name: Naming | None = None
    ) -> tuple[Path, ...]:
        """Bring a result to disk, and write that down."""
