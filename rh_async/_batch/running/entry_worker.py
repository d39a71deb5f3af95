"""Processes one entry at a time: looks up earlier attempts, checks the budget, submits, and has the outputs saved.

An entry that may have been submitted before is never submitted again here; the session checks once more at the claim.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from attrs import define, evolve

from rh_async._batch.costs.charges import Charges, charge_id_of, without_price
from rh_async._batch.session_port import PriorAttempt, SessionPort, SubmitOptions
from rh_async._batch.state.batch_outcome import BatchOutcome, is_safe_to_retry
from rh_async._batch.state.run_state import FIRST_WAIT, BatchItem, RunState
from rh_async.errors import BudgetReached, JobCancelled, JobError, JobLost, RHError, SessionError, SubmitUnknown
from rh_async.types import Result

from .entry_saver import EntrySaver


@define(eq=False, kw_only=True)
class EntryWorker:
    """Processes the entries of one run.

    :param output_dir: recorded with each submission, so that a resumed job is saved there.
    :param retry_failed: whether what failed or was rejected before is submitted, and paid, once more.
    """

    port: SessionPort
    state: RunState
    saver: EntrySaver
    charges: Charges
    output_dir: Path
    retry_failed: bool

    # --- earlier attempts --------------------------------------------------------------------------------------------

    async def look_up(self, item: BatchItem) -> BatchOutcome | None:
        """Look up earlier attempts of an entry; return its outcome if the look-up itself decides it.

        :raises SessionError: the session ended.
        """
        assert item.entry.request is not None  # noqa: S101 - for the type checker: it is ready
        try:
            item.past = await self.port.prior_attempt(item.entry.request, item.entry.key)
        except RHError as error:
            self.port.check(asking=False)  # in a session that ended every call fails: that is no failure of the entry
            return self._failure(item, error)
        return _conflict(item, item.past)

    def would_submit(self, past: PriorAttempt) -> bool:
        """Return whether an entry with this history would be submitted."""
        outcome = past.outcome
        if past.conflict is not None or isinstance(outcome, Result):
            return False
        if outcome is None:
            return not past.was_submitted
        return not self._is_final(outcome)

    def _is_final(self, error: RHError) -> bool:
        """Return whether an earlier error is the outcome now.

        An unknown submit always is: resending it may pay twice. What failed is, unless the caller asked to retry; that
        includes jobs which failed because the server was busy, since each submit is paid.
        """
        ended = isinstance(error, JobError) or error.blame == "job"
        return isinstance(error, SubmitUnknown) or (ended and not self.retry_failed)

    # --- processing --------------------------------------------------------------------------------------------------

    async def process(self, item: BatchItem, past: PriorAttempt) -> BatchOutcome:
        """Bring an entry to its outcome, submitting it only where no earlier attempt will do.

        :raises SessionError: the session ended.
        """
        await self.charges.count(item.entry, past)
        outcome = past.outcome
        if isinstance(outcome, Result):
            return await self.saver.find_saved(item, past, outcome) or await self.saver.save(item, past, outcome)
        if isinstance(outcome, JobLost):  # paid for, and perhaps known to the server again
            return await self._query_lost(item, past)
        if outcome is not None and self._is_final(outcome):
            return item.failure(outcome)
        if outcome is None and self.charges.has_counted(past):
            return await self._submit(item, past, charge_id_of(past))  # it runs: the session attaches to its task
        return await self._check_budget(item) or await self._submit(
            item, past, item, resubmit=isinstance(outcome, JobError)
        )

    async def _query_lost(self, item: BatchItem, past: PriorAttempt) -> BatchOutcome:
        """Query a task once more that the server had lost; only if it is still lost may it be submitted again."""
        outcome = await self._submit(item, past, charge_id_of(past))
        if not self.retry_failed or not isinstance(outcome.error, JobError) or outcome.state != "failed":
            return outcome
        return await self._check_budget(item) or await self._submit(item, past, item, resubmit=True)

    async def _check_budget(self, item: BatchItem) -> BatchOutcome | None:
        """Reserve an entry's price, or return the outcome that it is not submitted.

        No await separates the check from the reservation: two items must never both be promised the last of the budget.
        """
        if self.state.stopped is None and (failure := await self._query_price(item)):
            return failure
        budget, price = self.charges.budget, self.charges.price_of(item.entry)
        if self.state.stopped is None and not budget.can_compare(price):
            return item.failure(without_price(price, budget.currency), state="skipped")
        if self.state.stopped is None and not budget.covers(price):
            self.state.stop(BudgetReached(budget.describe_exhausted(price)))
        if self.state.stopped is not None:
            return self.state.skipped(item)
        budget.reserve(item, price)
        return None

    async def _query_price(self, item: BatchItem) -> BatchOutcome | None:
        """Query an entry's price, retrying while the network fails; return an outcome only if the account is refused.

        :raises SessionError: the session ended.
        """
        wait = FIRST_WAIT
        while self.state.stopped is None:
            try:
                await self.charges.query_price(item.entry)
            except RHError as error:
                self.port.check(asking=False)
                if not is_safe_to_retry(error):
                    return self._failure(item, error)
                next_wait = self.state.note_retry(error, wait)
            else:
                return None
            await self.state.wait_unless_stopped(wait)
            wait = next_wait
        return None

    async def _submit(
        self, item: BatchItem, past: PriorAttempt, charge_id: Hashable, *, resubmit: bool = False
    ) -> BatchOutcome:
        """Submit an entry, or attach to the job that was submitted before, and save its result.

        :param charge_id: the name under which the job's price is reserved, and its cost will be booked.
        """
        # If another process has made a further attempt since the look-up, the session attaches to that one: it is paid.
        after = None if past.record is None else past.record.attempt
        options = SubmitOptions(key=past.key, resubmit=resubmit, after=after, output_dir=self.output_dir)
        try:
            result = await self._submit_with_retries(item, options)
        except SessionError:
            raise  # the job goes on remotely, and its price stays reserved
        except RHError as error:
            self.charges.settle(charge_id, error)
            return self._failure(item, error)
        self.charges.settle(charge_id, result)
        return await self.saver.save(item, past, result)

    async def _submit_with_retries(self, item: BatchItem, options: SubmitOptions) -> Result:
        """Run a job; start it again under the same key only after errors that were certainly not billed.

        :raises RHError: it ended without a result, or may not be started again.
        """
        wait = FIRST_WAIT
        while True:
            try:
                return await self._run_job(item, options)
            except RHError as error:
                self.port.check(asking=False)
                if not is_safe_to_retry(error) or self.state.stopped is not None:
                    raise
                next_wait = self.state.note_retry(error, wait)
            await self.state.wait_unless_stopped(wait)
            wait = next_wait
            # The run may have been stopped during the wait: what was not billed so far must not be submitted now.
            if self.state.stopped is not None:
                raise JobCancelled("it was not started again", phase="submit", maybe_billed=False)

    async def _run_job(self, item: BatchItem, options: SubmitOptions) -> Result:
        assert item.entry.request is not None  # noqa: S101 - for the type checker: it is ready
        # Set before the first await: a stop of the run must find every job whose POST has not left, to withdraw it.
        item.job = self.port.begin(item.entry.request, options)
        return await item.job

    def _failure(self, item: BatchItem, error: RHError) -> BatchOutcome:
        """Make the outcome of an error; one of the account or of the disk stops the whole run."""
        outcome = item.failure(error)
        if outcome.cause in {"account", "local_io"}:
            self.state.stop(error)
        return self.state.skipped(item) if outcome.state == "skipped" and self.state.stopped is not None else outcome

    # --- duplicates --------------------------------------------------------------------------------------------------

    async def copy_outcome(self, item: BatchItem, primary: BatchOutcome) -> BatchOutcome:
        """Give a duplicate the outcome of the entry with the same key, with the outputs under names of its own."""
        number, past, result = primary.entry.number, item.past, primary.result
        copy = evolve(primary, entry=item.entry, duplicate_of=number)
        if past is None or result is None:
            return copy
        if not primary.paths:
            return evolve(copy, error=await self.saver.own_error(primary.error, item.entry, past, result))
        found = await self.saver.find_saved(item, past, result, sources=primary.paths)
        own = found or await self.saver.save(item, past, result, sources=primary.paths)
        return evolve(own, duplicate_of=number, state=primary.state if own.paths == primary.paths else own.state)


def _conflict(item: BatchItem, past: PriorAttempt) -> BatchOutcome | None:
    """Return the outcome of a key that names a job with other inputs: its video would pass for this entry's.

    A key whose job was never submitted, or ended without a result, may be used for other inputs.
    """
    if past.conflict is None or not past.was_submitted or isinstance(past.outcome, RHError):
        return None
    return item.failure(past.conflict, state="rejected")
