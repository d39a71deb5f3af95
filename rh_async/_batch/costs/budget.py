"""Adds up what a batch costs: reserved when a job starts, settled by what its result says, in doubt if it never says.

Spent by this run, spent by earlier runs, reserved and in doubt are kept apart, in one currency. All four count against
the budget. Pure.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal

from attrs import define, field, frozen

from rh_async.models.prices import Price
from rh_async.types import Usage

_MOST = Decimal(1_000_000)
_LEAST_EXPONENT = -12
_NOTHING = Decimal()


@frozen(kw_only=True)
class Cost:
    """What one job of a batch has cost, or may have; None where it has not.

    :param spent: for certain, bought by this run.
    :param spent_earlier: for certain, bought by an earlier run.
    :param in_doubt: by its price, where nobody knows whether it was charged, or how much.
    """

    spent: Price | None = None
    spent_earlier: Price | None = None
    maybe_billed: Price | None = None


NO_COST = Cost()


@define(eq=False)
class _Bill:
    """One job's money.

    :param reserved: counted as its price until its cost is known.  :param earlier: whether an earlier run bought it.
    """

    reserved: Decimal
    earlier: bool
    price: Price | None
    paid: Decimal | None = None
    maybe_billed_jobs: bool = False


@define(eq=False, kw_only=True)
class BudgetTracker:
    """What a batch has cost, and may yet.

    :param currency: of the account, in which all sums are; what is told in another cannot be compared.
    :param certain: whether that is what the account is billed in; else it is the list's, for want of a better one.
    :param budget: in the same; None for none.
    """

    currency: str
    certain: bool = True
    budget: Decimal | None = None
    spent: Decimal = field(default=_NOTHING, init=False)  #: by this run, for certain
    spent_earlier: Decimal = field(default=_NOTHING, init=False)  #: by earlier runs, for certain
    reserved: Decimal = field(default=_NOTHING, init=False)  #: by jobs under way
    maybe_billed: Decimal = field(default=_NOTHING, init=False)  #: by jobs that are over and may have been charged
    maybe_billed_jobs: int = field(default=0, init=False)  #: how many those are, also those without a price
    _bills: dict[Hashable, _Bill] = field(factory=dict, init=False)

    @property
    def committed(self) -> Decimal:
        """All that is spent or may be."""
        return self.spent + self.spent_earlier + self.reserved + self.maybe_billed

    def bill_in(self, currency: str) -> None:
        """Count in another currency, as long as nothing has been counted."""
        if not self._bills and not self.committed:
            self.currency, self.certain = currency, True

    def knows(self, price: Price | None) -> bool:
        """Whether a price is known in this currency, or need not be, because there is no budget."""
        return self.budget is None or (price is not None and price.currency == self.currency)

    def covers(self, price: Price | None) -> bool:
        """Whether the budget has room for one more such job."""
        return self.budget is None or self.committed + self._amount(price) <= self.budget

    def says_full(self, price: Price | None) -> str:
        """Why the next job is not covered, for a person."""
        parts = {
            "spent": self.spent,
            "spent by earlier runs": self.spent_earlier,
            "reserved": self.reserved,
            "in doubt": self.maybe_billed,
            "for the next job": self._amount(price),
        }
        left = ", ".join(f"{amount} {what}" for what, amount in parts.items() if amount)
        return f"the budget of {self.budget} {self.currency} is reached: {left or 'nothing is left'}"

    def reserve(self, name: Hashable, price: Price | None, *, earlier: bool = False) -> None:
        """Take a job's price for as good as spent; a second time under the same name counts once."""
        self.release(name)
        bill = self._bills[name] = _Bill(self._amount(price), earlier, price)
        self.reserved += bill.reserved

    def settle(self, name: Hashable, usage: Usage) -> None:
        """Count what a job cost; where the server does not say that credibly in this currency, it is in doubt.

        Hosts that are neither site name no currency: theirs is the account's.
        """
        bill, paid = self._bills.get(name), credible(usage)
        if bill is None or bill.paid is not None:
            return
        if paid is None or usage.currency not in {None, self.currency}:
            self.doubt(name)
            return
        self._free(bill)
        bill.paid = paid
        if bill.earlier:
            self.spent_earlier += paid
        else:
            self.spent += paid

    def doubt(self, name: Hashable) -> None:
        """A job is over, and nobody knows what it cost: its price counts on."""
        bill = self._bills.get(name)
        if bill is not None and not bill.maybe_billed_jobs and bill.paid is None:
            self.reserved -= bill.reserved
            self.maybe_billed += bill.reserved
            self.maybe_billed_jobs += 1
            bill.maybe_billed_jobs = True

    def release(self, name: Hashable) -> None:
        """A job cost nothing."""
        if (bill := self._bills.pop(name, None)) is not None and bill.paid is None:
            self._free(bill)

    def close(self, name: Hashable) -> Cost:
        """What a job that has ended cost, whose bill is not asked for again."""
        bill = self._bills.get(name)
        if bill is None:
            return NO_COST
        if bill.paid is None:
            return Cost(maybe_billed=bill.price) if bill.maybe_billed_jobs else NO_COST
        del self._bills[name]
        paid = Price(bill.paid, self.currency)
        return Cost(spent_earlier=paid) if bill.earlier else Cost(spent=paid)

    def _free(self, bill: _Bill) -> None:
        if bill.maybe_billed_jobs:
            self.maybe_billed -= bill.reserved
            self.maybe_billed_jobs -= 1
        else:
            self.reserved -= bill.reserved

    def _amount(self, price: Price | None) -> Decimal:
        return price.amount if price is not None and price.currency == self.currency else _NOTHING


def credible(usage: Usage) -> Decimal | None:
    """What a job cost; None where nothing is said, or what can be no cost: it would spoil the sum, or flood a line."""
    money = usage.money
    if money is None or not money.is_finite() or not 0 <= money <= _MOST:
        return None
    # A zero with such an exponent was no zero when it was sent.
    return (money or _NOTHING) if money.adjusted() >= _LEAST_EXPONENT else None
