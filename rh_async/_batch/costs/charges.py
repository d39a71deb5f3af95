"""Files what each entry of a batch costs: its price before, its bill while it runs, its cost once it is over."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress

from attrs import define, field

from rh_async._batch.planning.plan import Entry
from rh_async._batch.running.session_port import SessionPort
from rh_async._journal.records import REUSABLE_STATES, SubmissionState
from rh_async._submission.deduplication import PriorAttempt
from rh_async.errors import BudgetReached, JobError, RHError
from rh_async.models.prices import Price
from rh_async.types import Result, Usage

from .budget import NO_COST, BudgetTracker, Cost, credible
from .price_quotes import PriceQuotes

NOT_BOUGHT = REUSABLE_STATES | {SubmissionState.CLAIMED}
"""States of an attempt that has bought nothing."""


@define(eq=False, kw_only=True)
class Charges:
    """What the entries of one run cost."""

    port: SessionPort
    money: BudgetTracker
    quotes: PriceQuotes
    _counted: set[Hashable] = field(factory=set, init=False)

    def price_of(self, entry: Entry) -> Price | None:
        """What an entry costs: by the server where it was asked, else by the list."""
        return self.quotes.known(entry) or entry.price

    async def ask(self, entry: Entry) -> None:
        """Ask the server what an entry costs, where there is a budget to hold that against.

        :raises RHError: nothing could be learnt, over the network or the account.
        """
        if self.money.budget is not None:
            price = await self.quotes.price(entry)
            if price is not None and self.port.currency is None:
                self.money.bill_in(price.currency)  # where the account did not tell

    async def count(self, entry: Entry, past: PriorAttempt) -> None:
        """Take what an earlier run bought into account; once, however often this is called."""
        bill = bill_of(past)
        if bill in self._counted or past.record is None or past.record.state in NOT_BOUGHT:
            return
        self._counted.add(bill)
        told = None if past.outcome is None else _told(past.outcome)
        if told is None and not self.money.knows(self.price_of(entry)):
            with suppress(RHError):  # then it has no price, as before
                await self.quotes.price(entry)
        self.money.reserve(bill, self.price_of(entry), earlier=True)
        if past.outcome is not None:
            self.settle(bill, past.outcome)

    def has_counted(self, past: PriorAttempt) -> bool:
        """Whether that attempt of an earlier run was bought and is counted."""
        return bill_of(past) in self._counted

    def settle(self, bill: Hashable, end: Result | RHError) -> None:
        """File how a job ended."""
        usage = _told(end)
        if usage is not None:
            self.money.settle(bill, usage)
        elif isinstance(end, RHError) and not end.maybe_billed:
            self.money.release(bill)
        else:
            self.money.doubt(bill)

    def cost_of(self, own: Hashable, past: PriorAttempt | None) -> Cost:
        """What an entry that has ended cost, this run and earlier.

        :param own: what this run's purchase is filed under.
        """
        cost = self.money.close(own)
        return self.money.close(bill_of(past)) if cost == NO_COST and past is not None else cost


def bill_of(past: PriorAttempt) -> Hashable:
    """What an earlier attempt's cost is filed under."""
    return past.key, 0 if past.record is None else past.record.attempt


def _told(end: Result | RHError) -> Usage | None:
    """What a job cost, if its last answer says so credibly."""
    if isinstance(end, Result):
        usage = end.usage
    else:
        usage = end.snapshot.usage if isinstance(end, JobError) and end.snapshot is not None else Usage()
    return None if credible(usage) is None else usage


def without_price(price: Price | None, currency: str) -> BudgetReached:
    """That an entry cannot be held against the budget."""
    if price is None:
        return BudgetReached("its price is unknown, and there is a budget", advice="Run it without a budget.")
    words = f"its price is known in {price.currency} alone, and the budget is in {currency}: they cannot be compared"
    return BudgetReached(words, advice="Run it without a budget.")
