"""Books what each entry of a batch costs: its price before, its reservation while it runs, its cost once it ended."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress

from attrs import define, field

from rh_async._batch.planning.plan import Entry
from rh_async._batch.session_port import PriorAttempt, SessionPort
from rh_async.errors import BudgetReached, JobError, RHError
from rh_async.models.prices import Price
from rh_async.types import Account, Result, Usage

from .budget import NO_COST, BudgetTracker, Cost, credible_cost
from .price_quotes import PriceQuotes


@define(eq=False, kw_only=True)
class Charges:
    """What the entries of one run cost.

    A charge id names one submission: an earlier attempt by its key and number, a new one by its item. The same
    submission is therefore never counted twice against the budget, however often an entry is looked up.
    """

    port: SessionPort
    budget: BudgetTracker
    quotes: PriceQuotes
    _counted: set[Hashable] = field(factory=set, init=False)  #: charge ids of earlier attempts

    def use_currency_of(self, account: Account | None) -> None:
        """Count in the account's currency, where the site does not name one: the price list's may be another."""
        if self.port.currency is None and account is not None and account.currency:
            self.budget.set_currency(account.currency)

    def price_of(self, entry: Entry) -> Price | None:
        """Return an entry's price: the server's where it was queried, else the list's."""
        return self.quotes.known(entry) or entry.price

    async def query_price(self, entry: Entry) -> None:
        """Query an entry's price, where there is a budget to compare it with.

        :raises RHError: no price could be learnt, because of the network or the account.
        """
        if self.budget.budget is not None:
            price = await self.quotes.price(entry)
            if price is not None and self.port.currency is None:
                self.budget.set_currency(price.currency)  # where the account did not name one

    async def count(self, entry: Entry, past: PriorAttempt) -> None:
        """Count an earlier attempt's cost against the budget; once, however often this is called."""
        charge_id = charge_id_of(past)
        if charge_id in self._counted or not past.was_submitted:
            return
        self._counted.add(charge_id)  # before the first await: another look-up of the same key must not count it again
        usage = None if past.outcome is None else _stated_usage(past.outcome)
        if usage is None and not self.budget.can_compare(self.price_of(entry)):
            with suppress(RHError):  # then it has no price, as before
                await self.quotes.price(entry)
        self.budget.reserve(charge_id, self.price_of(entry), earlier=True)
        if past.outcome is not None:
            self.settle(charge_id, past.outcome)

    def has_counted(self, past: PriorAttempt) -> bool:
        """Return whether an earlier attempt was submitted, and counts already."""
        return charge_id_of(past) in self._counted

    def settle(self, charge_id: Hashable, outcome: Result | RHError) -> None:
        """Book the end of a job: its stated cost, else nothing if it was not billed, else what it may have cost."""
        usage = _stated_usage(outcome)
        if usage is not None:
            self.budget.settle(charge_id, usage)
        elif isinstance(outcome, RHError) and not outcome.maybe_billed:
            self.budget.release(charge_id)
        else:
            self.budget.mark_maybe_billed(charge_id)

    def cost_of(self, own: Hashable, past: PriorAttempt | None) -> Cost:
        """Return what an entry that has ended cost, in this run or in an earlier one.

        :param own: the charge id of this run's submission.
        """
        cost = self.budget.close(own)
        return self.budget.close(charge_id_of(past)) if cost == NO_COST and past is not None else cost


def charge_id_of(past: PriorAttempt) -> Hashable:
    """Return the charge id of an earlier attempt."""
    return past.key, 0 if past.record is None else past.record.attempt


def _stated_usage(outcome: Result | RHError) -> Usage | None:
    """Return the usage in a job's last answer, if its cost is credible."""
    if isinstance(outcome, Result):
        usage = outcome.usage
    else:
        usage = outcome.snapshot.usage if isinstance(outcome, JobError) and outcome.snapshot is not None else Usage()
    return None if credible_cost(usage) is None else usage


def without_price(price: Price | None, currency: str) -> BudgetReached:
    """Make the error of an entry that cannot be compared with the budget, and is therefore not submitted."""
    if price is None:
        return BudgetReached("its price is unknown, and there is a budget", advice="Run it without a budget.")
    words = f"its price is known in {price.currency} alone, and the budget is in {currency}: they cannot be compared"
    return BudgetReached(words, advice="Run it without a budget.")
