"""Tracks what a batch costs against its budget: reserve a price, settle it by the stated cost, or release it. Pure.

Four sums are kept apart, in one currency: spent by this run, spent by earlier runs, reserved by jobs under way, and
maybe billed. The last holds the prices of ended jobs whose cost the server did not state. All four count against the
budget: a batch that stops too early can go on with a greater one, but money that was spent does not come back.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal

from attrs import define, field, frozen

from rh_async.models.prices import Price
from rh_async.types import Usage

_HIGHEST_COST = Decimal(1_000_000)
_LOWEST_EXPONENT = -12
_ZERO = Decimal()


@frozen(kw_only=True)
class Cost:
    """What one job of a batch has cost, or may have; None where it has not.

    :param spent: for certain, by a job that this run submitted.
    :param spent_earlier: for certain, by a job that an earlier run submitted.
    :param maybe_billed: by its price, where it is unknown whether or how much the server charged.
    """

    spent: Price | None = None
    spent_earlier: Price | None = None
    maybe_billed: Price | None = None


NO_COST = Cost()


@define(eq=False)
class _Charge:
    """One job's entry in the books.

    :param reserved: the amount that counts until the cost is known.
    :param earlier: whether an earlier run submitted the job.
    :param paid: the stated cost; None until then.
    """

    reserved: Decimal
    earlier: bool
    price: Price | None
    paid: Decimal | None = None
    maybe_billed: bool = False


@define(eq=False, kw_only=True)
class BudgetTracker:
    """What a batch has cost, and may yet.

    :param currency: of all sums; an amount in another currency cannot be compared with them.
    :param certain: whether the account is billed in that currency; else it is the price list's, for want of a better.
    :param budget: the most that may be spent; None for no limit.
    """

    currency: str
    certain: bool = True
    budget: Decimal | None = None
    spent: Decimal = field(default=_ZERO, init=False)  #: by this run, for certain
    spent_earlier: Decimal = field(default=_ZERO, init=False)  #: by earlier runs, for certain
    reserved: Decimal = field(default=_ZERO, init=False)  #: by jobs under way
    maybe_billed: Decimal = field(default=_ZERO, init=False)  #: by ended jobs that may have been charged
    maybe_billed_jobs: int = field(default=0, init=False)  #: how many these are, also those without a price
    _charges: dict[Hashable, _Charge] = field(factory=dict, init=False)

    @property
    def committed(self) -> Decimal:
        """All that is spent, or may be."""
        return self.spent + self.spent_earlier + self.reserved + self.maybe_billed

    def set_currency(self, currency: str) -> None:
        """Count in another currency; only as long as nothing was counted, since sums are never converted."""
        if not self._charges and not self.committed:
            self.currency, self.certain = currency, True

    def can_compare(self, price: Price | None) -> bool:
        """Return whether a price can be compared with the budget; without a budget there is nothing to compare."""
        return self.budget is None or (price is not None and price.currency == self.currency)

    def covers(self, price: Price | None) -> bool:
        """Return whether the budget has room for one more job of this price."""
        return self.budget is None or self.committed + self._amount(price) <= self.budget

    def describe_exhausted(self, price: Price | None) -> str:
        """Describe for a person why the budget does not cover the next job."""
        parts = {
            "spent": self.spent,
            "spent by earlier runs": self.spent_earlier,
            "reserved": self.reserved,
            "maybe billed": self.maybe_billed,
            "for the next job": self._amount(price),
        }
        listed = ", ".join(f"{amount} {what}" for what, amount in parts.items() if amount)
        return f"the budget of {self.budget} {self.currency} is reached: {listed or 'nothing is left'}"

    def reserve(self, charge_id: Hashable, price: Price | None, *, earlier: bool = False) -> None:
        """Count a job's price as if it were spent; a second reservation under the same id replaces the first.

        Reserving before the submit is what keeps many jobs under way at once from exceeding the budget together.
        """
        self.release(charge_id)
        charge = self._charges[charge_id] = _Charge(self._amount(price), earlier, price)
        self.reserved += charge.reserved

    def settle(self, charge_id: Hashable, usage: Usage) -> None:
        """Replace a job's reservation by its stated cost; without a credible one in this currency, keep its price.

        A host that is neither site names no currency: its costs are in the account's.
        """
        charge, paid = self._charges.get(charge_id), credible_cost(usage)
        if charge is None or charge.paid is not None:  # a job is settled once: a second answer must not count again
            return
        if paid is None or usage.currency not in {None, self.currency}:
            self.mark_maybe_billed(charge_id)
            return
        self._unreserve(charge)
        charge.paid = paid
        if charge.earlier:
            self.spent_earlier += paid
        else:
            self.spent += paid

    def mark_maybe_billed(self, charge_id: Hashable) -> None:
        """Keep counting the price of a job that ended without a stated cost: it may have been billed."""
        charge = self._charges.get(charge_id)
        if charge is not None and not charge.maybe_billed and charge.paid is None:
            self.reserved -= charge.reserved
            self.maybe_billed += charge.reserved
            self.maybe_billed_jobs += 1
            charge.maybe_billed = True

    def release(self, charge_id: Hashable) -> None:
        """Stop counting a job that was certainly not billed; what was paid stays paid."""
        if (charge := self._charges.pop(charge_id, None)) is not None and charge.paid is None:
            self._unreserve(charge)

    def close(self, charge_id: Hashable) -> Cost:
        """Return what an ended job cost. A paid charge is forgotten, so that no second outcome reports its cost."""
        charge = self._charges.get(charge_id)
        if charge is None:
            return NO_COST
        if charge.paid is None:
            return Cost(maybe_billed=charge.price) if charge.maybe_billed else NO_COST
        del self._charges[charge_id]
        paid = Price(charge.paid, self.currency)
        return Cost(spent_earlier=paid) if charge.earlier else Cost(spent=paid)

    def _unreserve(self, charge: _Charge) -> None:
        if charge.maybe_billed:
            self.maybe_billed -= charge.reserved
            self.maybe_billed_jobs -= 1
        else:
            self.reserved -= charge.reserved

    def _amount(self, price: Price | None) -> Decimal:
        return price.amount if price is not None and price.currency == self.currency else _ZERO


def credible_cost(usage: Usage) -> Decimal | None:
    """Return the stated cost; None where none is stated, or where it can be none.

    A negative, endless or enormous amount would spoil every sum, and one with a thousand digits would flood a line.
    """
    money = usage.money
    if money is None or not money.is_finite() or not 0 <= money <= _HIGHEST_COST:
        return None
    # A zero with such an exponent was no zero when it was sent.
    return (money or _ZERO) if money.adjusted() >= _LOWEST_EXPONENT else None
