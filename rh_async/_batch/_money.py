"""Adds up what a batch costs: reserved by the list when a job starts, settled by what its result says. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal

from attrs import define, field

from rh_async._types import Usage

from ._prices import Price


@define(eq=False, kw_only=True)
class Money:
    """What a batch has cost, and may yet.

    :param currency: of the price list; what is told in another cannot be compared, and stays reserved.
    :param budget: in the same; None for none.
    """

    currency: str
    budget: Decimal | None = None
    spent: Decimal = Decimal()
    reserved: Decimal = field(default=Decimal(), init=False)  #: what is not settled
    _reserved: dict[Hashable, Decimal] = field(factory=dict, init=False)

    def knows(self, price: Price | None) -> bool:
        """Whether a price is known in the list's currency, or need not be, because there is no budget."""
        return self.budget is None or (price is not None and price.currency == self.currency)

    def covers(self, price: Price | None) -> bool:
        """Whether the budget has room for one more such job."""
        return self.budget is None or self.spent + self.reserved + self._amount(price) <= self.budget

    def says_full(self, price: Price | None) -> str:
        """Why the next job is not covered, for a person."""
        left = f"{self.spent} spent, {self.reserved} reserved, {self._amount(price)} for the next job"
        return f"the budget of {self.budget} {self.currency} is reached: {left}"

    def reserve(self, name: Hashable, price: Price | None) -> None:
        """Take a job's price for as good as spent; a second time under the same name counts once."""
        self.release(name)
        self._reserved[name] = self._amount(price)
        self.reserved += self._reserved[name]

    def settle(self, name: Hashable, usage: Usage) -> None:
        """Count what a job cost; the reservation stays where the server does not say, or says it in another currency.

        Hosts that are neither site name no currency: theirs is the list's.
        """
        if name in self._reserved and usage.money is not None and usage.currency in {None, self.currency}:
            self.release(name)
            self.spent += usage.money

    def release(self, name: Hashable) -> None:
        """A job cost nothing."""
        self.reserved -= self._reserved.pop(name, Decimal())

    def _amount(self, price: Price | None) -> Decimal:
        return price.amount if price is not None and price.currency == self.currency else Decimal()
