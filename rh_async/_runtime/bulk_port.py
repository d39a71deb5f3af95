"""The session as `map` and a batch see it: all that a bulk run may ask of the session that runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from rh_async._api.standard_tasks import PriceQuote
from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._journal.records import SubmitOptions
from rh_async._submission.record_mapping import PriorAttempt
from rh_async._transfer.download_stream import Naming
from rh_async.errors import SessionError
from rh_async.events import Event
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Account, Result

from .runtime import SessionRuntime
from .statistics import Statistics


@define(eq=False, repr=False)
class BulkPort:
    """Implements `outcome_stream.StreamHost` and the batch's ``SessionPort`` with an open session.

    :param submit: queues a job with the options of the view whose call the bulk run is.
    """

    _runtime: SessionRuntime
    _submit: Callable[[Request, SubmitOptions], Job]
    tasks: SessionTasks = field(init=False)  #: the session's task group

    def __attrs_post_init__(self) -> None:
        self.tasks = self._runtime.services.tasks

    @property
    def window(self) -> int:
        """How many jobs may be between the start of their upload and their settlement."""
        return self._runtime.services.submissions.window

    @property
    def on_capacity(self) -> list[Callable[[], object]]:
        """The capacity listeners, called whenever another job could start."""
        return self._runtime.services.submissions.on_capacity

    @property
    def event_listeners(self) -> list[Callable[[Event], object]]:
        """The functions that are called with every event of the session."""
        return self._runtime.notifier.listeners

    @property
    def currency(self) -> str | None:
        """What the site bills in; None for a host that is neither site."""
        return self._runtime.services.poller.currency

    async def account(self) -> Account:
        """Query the account.

        :raises RHError: the server did not answer.
        """
        return await self._runtime.services.account_api.account()

    async def price(self, request: Request) -> PriceQuote:
        """Ask the server what a request would cost.

        :raises RHError: the server has no price for it, or did not answer.
        """
        return await self._runtime.services.calls.price(request)

    def check(self, *, asking: bool = True) -> None:
        """Raise where the session cannot be used.

        :param asking: whether the server is to be called, which a rejected API key forbids.
        :raises RHError: the session cannot be used.
        """
        self._runtime.check(asking=asking)

    def cut_short(self, words: str) -> SessionError:
        """Make the error for work that the end of the session cut short, with the crash as its cause, if it crashed."""
        return self._runtime.cut_short(words)

    def statistics(self) -> Statistics:
        """Summarize the session."""
        return self._runtime.services.statistics()

    async def prior_attempt(self, request: Request, key: str | None) -> PriorAttempt:
        """Look a request's earlier submission up in the journal; nothing is changed.

        :raises InvalidMedia: a file cannot be read, or is not what its field takes.
        :raises JournalError: the journal cannot be used.
        """
        return await self._runtime.services.calls.prior_attempt(request, key)

    def begin(self, request: Request, options: SubmitOptions) -> Job:
        """Queue a job, and return it at once.

        :raises RHError: the session cannot be used.
        """
        return self._submit(request, options)

    def withdraw(self, job: Job) -> None:
        """Withdraw a job whose POST has not been sent; harmless for any other."""
        self._runtime.services.submissions.withdraw(job)

    async def save(
        self, result: Result, folder: Path, *, overwrite: bool = False, name: Naming | None = None
    ) -> tuple[Path, ...]:
        """Download a result's outputs to a folder, and record that in the journal.

        :raises RHError: an output could not be downloaded or written.
        """
        return await self._runtime.services.calls.save(result, folder, overwrite=overwrite, name=name)
