"""Carries one entry at a time from what is known of it to its outcome: looked up, bought if need be, brought to disk.

What must not be bought twice is decided here by what the journal has of it, and once more by the session at the claim.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path

import anyio
from attrs import define, evolve, field

from rh_async._batch.costs.charges import NOT_BOUGHT, Charges, bill_of, without_price
from rh_async._batch.outputs.output_writer import OutputWriter, off_loop, recorded_paths, say_where_it_was
from rh_async._batch.planning.plan import Entry
from rh_async._journal.records import SubmitOptions
from rh_async._submission.deduplication import PriorAttempt
from rh_async.errors import (
    BudgetReached,
    JobCancelled,
    JobError,
    JobLost,
    RHError,
    SaveError,
    SessionError,
    SubmitUnknown,
)
from rh_async.job import Job
from rh_async.types import Result

from .batch_outcome import BatchOutcome
from .failure_sorting import ending_of, passes
from .session_port import SessionPort

log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 5.0, 60.0  # seconds between two starts of what the world would not have
_SAVING_PATIENCE = 3600.0
"""Seconds for which an output that cannot be fetched is tried again; links live for a day, and the journal knows it."""


@define(eq=False)
class BatchItem:
    """One entry on its way.

    :ivar past: what is known of it; None until it was looked at.
    :ivar job: while it is being bought.
    """

    entry: Entry
    past: PriorAttempt | None = field(default=None, init=False)
    job: Job | None = field(default=None, init=False)

    def ended(self, **facts: object) -> BatchOutcome:
        """How it ended."""
        return BatchOutcome(entry=self.entry, key=None if self.past is None else self.past.key, **facts)  # type: ignore[arg-type]

    def failed(self, error: RHError, **facts: object) -> BatchOutcome:
        """That it did not end well, and as what that counts."""
        task_id = error.task_id or (self.job.task_id if self.job else None)
        cause = None if isinstance(error, BudgetReached) else error.blame
        told = {"state": ending_of(error), "task_id": task_id, "error": error, "cause": cause}
        return self.ended(**{**told, **facts})


@define(eq=False, kw_only=True)
class EntryWorker:
    """The ways of all entries of one run.

    :param folder: where outputs are wanted.
    :param retry_failed: whether what failed or was refused before is bought again.
    :param freed: called when a slot is free.
    :param note_error: called with each error that a retry may overcome.
    :ivar stopped: why nothing more is started.
    :ivar under_way: those that have a place, from the look at what is known to the end of the job.
    :ivar saving: those whose outputs are on the way to disk, or wait for that.
    """

    port: SessionPort
    shelf: OutputWriter
    charges: Charges
    folder: Path
    retry_failed: bool
    freed: Callable[[], object]
    note_error: Callable[[RHError], object]
    stopped: RHError | None = field(default=None, init=False)
    under_way: set[BatchItem] = field(factory=set, init=False)
    saving: set[BatchItem] = field(factory=set, init=False)
    _disk: RHError | None = field(default=None, init=False)  #: why nothing more is saved
    _stopping: anyio.Event = field(factory=anyio.Event, init=False)

    def stop(self, error: RHError) -> None:
        """Start nothing more; what has not been sent stays here, unless it is only the budget that is reached."""
        if error.blame == "local_io":
            self._disk = self._disk or error
        if self.stopped is None:
            log.warning("rh_async.batch_stopped %s", error, extra={"error": error})
            self.stopped = error
            self._stopping.set()
        if not isinstance(error, BudgetReached):
            self.withdraw()

    def withdraw(self) -> None:
        """Take back what has not been sent."""
        for item in list(self.under_way):
            if item.job is not None:
                self.port.withdraw(item.job)

    def skipped(self, item: BatchItem) -> BatchOutcome:
        """That nothing more is started."""
        assert self.stopped is not None  # noqa: S101 - for the type checker: there is a reason
        why = self.stopped.fresh()
        why.task_id = why.key = None  # it may have stopped over another job
        return item.failed(why, state="skipped", task_id=None)

    # --- what is known -----------------------------------------------------------------------------------------------

    async def look(self, item: BatchItem) -> BatchOutcome | None:
        """Find out what is known of an entry; how it ended, if that is all there is to it.

        :raises SessionError: the session ended.
        """
        assert item.entry.request is not None  # noqa: S101 - for the type checker: it is ready
        try:
            item.past = await self.port.prior_attempt(item.entry.request, item.entry.key)
        except RHError as error:
            self.port.check(asking=False)
            return self._lost(item, error)
        return _another(item)

    def would_buy(self, past: PriorAttempt) -> bool:
        """Whether an entry of which this is known would be bought."""
        end = past.outcome
        if past.conflict is not None or isinstance(end, Result):
            return False
        if end is None:
            return past.record is None or past.record.state in NOT_BOUGHT
        return not self._stands(end)

    # --- its way -----------------------------------------------------------------------------------------------------

    async def carry(self, item: BatchItem, past: PriorAttempt) -> BatchOutcome:
        """Bring an entry to its end.

        :raises SessionError: the session ended.
        """
        await self.charges.count(item.entry, past)
        end = past.outcome
        if isinstance(end, Result):
            return await self._kept(item, past, end) or await self._saved(item, past, end)
        if isinstance(end, JobLost):
            return await self._sought(item, past)
        if end is not None and self._stands(end):
            return item.failed(end)
        if end is None and self.charges.has_counted(past):
            return await self._bought(item, past, bill_of(past))
        return await self._gate(item) or await self._bought(item, past, item, resubmit=isinstance(end, JobError))

    async def _sought(self, item: BatchItem, past: PriorAttempt) -> BatchOutcome:
        """Ask the server once more about what it had lost; only if that is of no use, it may be bought again."""
        outcome = await self._bought(item, past, bill_of(past))
        if not self.retry_failed or not isinstance(outcome.error, JobError) or outcome.state != "failed":
            return outcome
        return await self._gate(item) or await self._bought(item, past, item, resubmit=True)

    def _stands(self, end: RHError) -> bool:
        """Whether an earlier end is the end now: nobody knows it, or it is over and nobody asks to buy again.

        A server that was busy may take the same another time; but each submit is paid, so that is asked for, too.
        """
        over = isinstance(end, JobError) or end.blame == "job"
        return isinstance(end, SubmitUnknown) or (over and not self.retry_failed)

    async def _gate(self, item: BatchItem) -> BatchOutcome | None:
        """Let an entry be bought, and reserve its price; or say why not."""
        if self.stopped is None and (refused := await self._asked(item)):
            return refused
        money, price = self.charges.money, self.charges.price_of(item.entry)
        if self.stopped is None and not money.knows(price):
            return item.failed(without_price(price, money.currency), state="skipped")
        if self.stopped is None and not money.covers(price):
            self.stop(BudgetReached(money.says_full(price)))
        if self.stopped is not None:
            return self.skipped(item)
        money.reserve(item, price)
        return None

    async def _asked(self, item: BatchItem) -> BatchOutcome | None:
        """Ask the server for a price, until there is a network; how the entry ended, if the account is refused.

        :raises SessionError: the session ended.
        """
        wait = _FIRST_WAIT
        while self.stopped is None:
            try:
                await self.charges.ask(item.entry)
            except RHError as error:
                self.port.check(asking=False)
                if not passes(error):
                    return self._lost(item, error)
                self._wait_told(error, wait)
            else:
                return None
            with anyio.move_on_after(wait):
                await self._stopping.wait()
            wait = min(_LONGEST_WAIT, wait * 2)
        return None

    async def _bought(
        self, item: BatchItem, past: PriorAttempt, bill: Hashable, *, resubmit: bool = False
    ) -> BatchOutcome:
        """Buy it, or wait for what has been bought already.

        :param bill: what its cost is filed under.
        """
        try:
            after = None if past.record is None else past.record.attempt
            options = SubmitOptions(key=past.key, resubmit=resubmit, after=after, output_dir=self.folder)
            result = await self._persisted(item, options)
        except SessionError:
            raise
        except RHError as error:
            self.charges.settle(bill, error)
            return self._lost(item, error)
        self.charges.settle(bill, result)
        return await self._saved(item, past, result)

    async def _persisted(self, item: BatchItem, options: SubmitOptions) -> Result:
        """Start a job, and again with the same key while it is the world that will not have it."""
        wait = _FIRST_WAIT
        while True:
            try:
                return await self._awaited(item, options)
            except RHError as error:
                self.port.check(asking=False)
                if not passes(error) or self.stopped is not None:
                    raise
                self._wait_told(error, wait)
            with anyio.move_on_after(wait):
                await self._stopping.wait()
            wait = min(_LONGEST_WAIT, wait * 2)
            if self.stopped is not None:
                raise JobCancelled("it was not started again", phase="submit", maybe_billed=False)

    async def _awaited(self, item: BatchItem, options: SubmitOptions) -> Result:
        assert item.entry.request is not None  # noqa: S101 - for the type checker: it is ready
        item.job = self.port.begin(item.entry.request, options)
        return await item.job

    def _lost(self, item: BatchItem, error: RHError) -> BatchOutcome:
        """Without a result; what is the account's or the disk's fault stops the others too."""
        outcome = item.failed(error)
        if outcome.cause in {"account", "local_io"}:
            self.stop(error)
        return self.skipped(item) if outcome.state == "skipped" and self.stopped is not None else outcome

    async def share(self, item: BatchItem, lead: BatchOutcome) -> BatchOutcome:
        """End an entry as the first one with its job ended, with outputs under names of its own."""
        shared, past = evolve(lead, entry=item.entry, duplicate_of=lead.entry.number), item.past
        if past is None or lead.result is None:
            return shared
        if not lead.paths:
            return evolve(shared, error=await self._own(lead.error, item.entry, past, lead.result))
        names = await self._kept(item, past, lead.result, sources=lead.paths)
        own = names or await self._saved(item, past, lead.result, sources=lead.paths)
        return evolve(own, duplicate_of=lead.entry.number, state=lead.state if own.paths == lead.paths else own.state)

    # --- to disk -----------------------------------------------------------------------------------------------------

    async def _kept(
        self, item: BatchItem, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> BatchOutcome | None:
        """That an earlier run has saved it, if its files are still in this folder."""
        try:
            paths = await off_loop(self.folder, partial(self.shelf.kept, item.entry, past, result, sources=sources))
        except RHError:  # saving says what is wrong with the disk
            return None
        if paths is None:
            return None
        return item.ended(state="already_done", task_id=result.task_id, result=result, paths=paths)

    async def _saved(
        self, item: BatchItem, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> BatchOutcome:
        self.under_way.discard(item)
        self.saving.add(item)
        self.freed()
        try:
            # The session bounds how many come at once; a bound here would be held by those that wait to be tried again.
            paths = await self._brought(item.entry, past, result, sources or recorded_paths(past))
        except RHError as error:
            outcome = item.failed(error, state="save_failed", task_id=result.task_id, result=result)
            if outcome.cause in {"account", "local_io"}:
                self.stop(error)
            return outcome
        kept = evolve(result, paths=paths)
        return item.ended(state="saved", task_id=result.task_id, result=kept, paths=paths)

    async def _brought(
        self, entry: Entry, past: PriorAttempt, result: Result, sources: tuple[Path, ...]
    ) -> tuple[Path, ...]:
        """Save a result; while it is the network that will not have it, again."""
        wait, until = _FIRST_WAIT, anyio.current_time() + _SAVING_PATIENCE
        while True:
            if own := await self._own(self._disk, entry, past, result):
                raise own
            try:
                return await self.shelf.save(entry, past, result, sources=sources)
            except RHError as error:
                if not passes(error) or anyio.current_time() >= until:
                    say_where_it_was(error, past)
                    named = error if error.task_id else await self._own(error, entry, past, result)
                    raise named or error from error.__cause__
                self._wait_told(error, wait)
            await anyio.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)

    async def _own(self, error: RHError | None, entry: Entry, past: PriorAttempt, result: Result) -> RHError | None:
        """What kept another output from the disk, as it is told of this entry's own file."""
        if error is None or error.blame != "local_io":
            return error
        try:
            path = await off_loop(self.folder, partial(self.shelf.wanted, entry, past, result))
        except RHError:
            path = self.folder
        if isinstance(error, SaveError):
            return error.about(path, result.task_id)
        return SaveError(f"{path} was not written: {error.message}", phase="download", task_id=result.task_id)

    def _wait_told(self, error: RHError, wait: float) -> None:
        self.note_error(error)
        log.warning("rh_async.batch_waits %g s: %s", wait, error, extra={"error": error})


def _another(item: BatchItem) -> BatchOutcome | None:
    """That a key was given to another job before, whose video would be taken for this one's.

    What was never bought, or ended badly, may be asked for anew in other words.
    """
    past = item.past
    if past is None or past.conflict is None or past.record is None or past.record.state in NOT_BOUGHT:
        return None
    if isinstance(past.outcome, RHError):
        return None
    return item.failed(past.conflict, state="rejected")
